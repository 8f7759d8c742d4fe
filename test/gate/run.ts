/**
 * `npm run test:gate -- [--only cells,pair,fairness,strict,relaxed,mix,mass,proxy] [--seed N] [--json]`: the
 * promises of the gate and of the proxy before it, seen from outside; exit 0 when all hold. `--without NAME`
 * takes something away (mutations.ts): then the exit code has to be 1. Without options some minutes; sizes:
 * `--pairs N` (mass: of each client; 1000000 is the large form), `--operations N` (mix), `--clients N`,
 * `--threads N`, `--processes N`, `--durability strict|relaxed` (mass), `--rounds N` (pair), `--kills N`,
 * `--waiters N`, `--requests N`, `--cycles N` and `--tool-seconds N` (proxy). `--build FOLDER`: another build than
 * that of this tree.
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
import { type ProxyOptions, proxyRun } from './proxy-run.ts';

/** Options that are numbers, and what they are without. */
const SIZES = {
  ...{ operations: 100_000, pairs: 50_000, clients: 64, processes: 4, threads: 2, rounds: 4000 },
  ...{ kills: 3, waiters: 10_000, requests: 10_000, cycles: 4, 'tool-seconds': 4 },
};
type Size = keyof typeof SIZES;
const sizeNames = Object.keys(SIZES) as Size[];
const text = { type: 'string' } as const;
const sizeOptions = Object.fromEntries(sizeNames.map((name) => [name, text]));
const { values } = parseArgs({
  options: {
    ...(sizeOptions as Record<Size, typeof text>),
    seed: text,
    only: text,
    without: text,
    build: text,
    durability: { type: 'string', default: 'strict' },
    json: { type: 'boolean', default: false },
  },
});
const size = (name: Size): number => Number(values[name] ?? SIZES[name]);
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const mutation = MUTATIONS[values.without ?? ''];
const isRight = [seed, ...sizeNames.map(size)].every(Number.isInteger);
if (!isRight || (values.without !== undefined && mutation === undefined)) {
  const sizes = sizeNames.map((name) => `[--${name} N]`).join(' ');
  console.error(
    `usage: npm run test:gate -- [--seed N] [--only NAME,…] ${sizes} [--durability strict|relaxed] [--build FOLDER] [--without ${Object.keys(MUTATIONS).join('|')}] [--json]`,
  );
  process.exit(2);
}

const changed = mutation?.changes === undefined ? undefined : changedBuild(mutation.changes);
const { plan, leaseMs, massPlan, hiddenLimits = false, mixedShare = 0 } = mutation ?? {};
const build = changed?.path ?? values.build;
const kills = {
  ...{ kills: size('kills'), seed, build },
  ...{ ...(plan && { plan }), ...(leaseMs !== undefined && { leaseMs }) },
};
const mix = {
  ...{ operations: size('operations'), clients: size('clients'), processes: size('processes') },
  ...{ seed, build, hiddenLimits, ...(plan && { plan }) },
};
const mass: MassOptions = {
  ...{ pairs: size('pairs'), clients: size('clients'), threads: size('threads') },
  durability: values.durability === 'relaxed' ? 'relaxed' : 'strict',
  ...{ seed, build, hiddenLimits, showsProgress: true, ...(massPlan && { plan: massPlan }) },
};
const proxy: ProxyOptions = {
  requests: size('requests'),
  cycles: size('cycles'),
  toolSeconds: size('tool-seconds'),
  ...{ atOnce: 2000, seed, build, mixedShare, showsProgress: true },
};
const runs: Readonly<Record<string, () => Promise<{ readonly passed: boolean }>>> = {
  cells: cellsRun,
  pair: () => pairRun({ rounds: size('rounds'), build }),
  fairness: () =>
    fairnessRun({
      ...{ waiters: size('waiters'), probes: 40, slots: 10, serviceMs: 50, build },
    }),
  strict: () => killRun({ ...kills, durability: 'strict' }),
  relaxed: () => killRun({ ...kills, durability: 'relaxed' }),
  mix: () => mixRun(mix),
  mass: () => massRun(mass),
  proxy: () => proxyRun(proxy),
};
const names =
  mutation === undefined ? (values.only?.split(',') ?? Object.keys(runs)) : mutation.runs;

const report: Record<string, unknown> = { seed, ...(mutation && { without: values.without }) };
const ends: boolean[] = [];
for (const name of names) {
  const run = runs[name];
  if (run === undefined) throw new Error(`there is no run ${name}`);
  const result = await run().catch((error: unknown) => {
    if (mutation === undefined) throw error;
    // Not what was taken away: it does not count as red.
    return { passed: true, faults: [String(error)] };
  });
  const { faults = [], ...figures } = result as typeof result & { faults?: readonly string[] };
  const { because } = mutation ?? {};
  const isByChance = because !== undefined && !faults.some((fault) => because.test(fault));
  if (isByChance) console.error(`${name}: no fault is what was taken away`);
  ends.push(result.passed || isByChance);
  for (const fault of faults) console.error(`${name}: ${fault}`);
  report[name] = figures;
  if (!values.json) console.log(`${name}: ${JSON.stringify(figures)}`);
}
changed?.remove();
// What is taken away has to turn each of its runs red.
const passed = mutation === undefined ? ends.every(Boolean) : ends.some(Boolean);
if (values.json) console.log(JSON.stringify({ ...report, passed }));
process.exit(passed ? 0 : 1);
