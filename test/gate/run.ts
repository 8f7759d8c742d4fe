/**
 * `npm run test:gate -- [--operations N] [--clients N] [--processes N] [--rounds N] [--kills N]
 * [--waiters N] [--seed N] [--only cells,mix,pair,strict,relaxed,fairness] [--json]`: the promises of the
 * gate, seen from outside; exit 0 when all hold. `--without NAME` takes something away (mutations.ts):
 * then the exit code has to be 1.
 */
import { parseArgs } from 'node:util';
import { changedBuild } from '../crash/changed-build.ts';
import { cellsRun } from './cells-run.ts';
import { fairnessRun } from './fairness-run.ts';
import { killRun } from './kill-run.ts';
import { type MassOptions, massRun } from './mass-run.ts';
import { mixRun } from './mix-run.ts';
import { MUTATIONS } from './mutations.ts';
import { pairRun } from './pair-run.ts';

const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: '100000' },
    pairs: { type: 'string', default: '50000' },
    threads: { type: 'string', default: '2' },
    durability: { type: 'string', default: 'strict' },
    clients: { type: 'string', default: '64' },
    processes: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '4000' },
    kills: { type: 'string', default: '3' },
    waiters: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    only: { type: 'string' },
    without: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const mutation = MUTATIONS[values.without ?? ''];
const numbers = [values.operations, values.clients, values.processes, values.rounds, values.kills];
const isRight = [seed, ...numbers.map(Number)].every((number) => Number.isInteger(number));
if (!isRight || (values.without !== undefined && mutation === undefined)) {
  console.error(
    `usage: npm run test:gate -- [--operations N] [--clients N] [--processes N] [--rounds N] [--kills N] [--waiters N] [--seed N] [--only NAME,…] [--without ${Object.keys(MUTATIONS).join('|')}] [--json]`,
  );
  process.exit(2);
}

const changed = mutation?.changes === undefined ? undefined : changedBuild(mutation.changes);
const { plan, massPlan, hiddenLimits = false } = mutation ?? {};
const build = changed?.path;
const kills = { kills: Number(values.kills), seed, build, ...(plan && { plan }) };
const mix = {
  operations: Number(values.operations),
  clients: Number(values.clients),
  processes: Number(values.processes),
  ...{ seed, build, hiddenLimits, ...(plan && { plan }) },
};
const mass: MassOptions = {
  pairs: Number(values.pairs),
  clients: Number(values.clients),
  threads: Number(values.threads),
  durability: values.durability === 'relaxed' ? 'relaxed' : 'strict',
  ...{ seed, build, hiddenLimits, showsProgress: true, ...(massPlan && { plan: massPlan }) },
};
const runs: Readonly<Record<string, () => Promise<{ readonly passed: boolean }>>> = {
  cells: cellsRun,
  pair: () => pairRun({ rounds: Number(values.rounds), build }),
  fairness: () =>
    fairnessRun({
      ...{ waiters: Number(values.waiters), probes: 40, slots: 10, serviceMs: 50, build },
    }),
  strict: () => killRun({ ...kills, durability: 'strict' }),
  relaxed: () => killRun({ ...kills, durability: 'relaxed' }),
  mix: () => mixRun(mix),
  mass: () => massRun(mass),
};
const names =
  mutation === undefined ? (values.only?.split(',') ?? Object.keys(runs)) : mutation.runs;

const report: Record<string, unknown> = { seed, ...(mutation && { without: values.without }) };
const ends: boolean[] = [];
for (const name of names) {
  const run = runs[name];
  if (run === undefined) throw new Error(`there is no run ${name}`);
  const result = await run();
  ends.push(result.passed);
  const { faults = [], ...figures } = result as typeof result & { faults?: readonly string[] };
  for (const fault of faults) console.error(`${name}: ${fault}`);
  report[name] = figures;
  if (!values.json) console.log(`${name}: ${JSON.stringify(figures)}`);
}
changed?.remove();
// What is taken away has to turn each of its runs red.
const passed = mutation === undefined ? ends.every(Boolean) : ends.some(Boolean);
if (values.json) console.log(JSON.stringify({ ...report, passed }));
process.exit(passed ? 0 : 1);
