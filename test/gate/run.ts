/**
 * `npm run test:gate -- [--only cells,pair,fairness,strict,relaxed,mix,mass,proxy] [--seed N] [--json]`: the
 * promises of the gate and of the proxy before it, seen from outside; exit 0 when all hold. `--without NAME`
 * takes something away (mutations.ts): then the exit code has to be 1. Without options some minutes; sizes:
 * `--pairs N` (mass: of each client; 1000000 is the large form), `--operations N` (mix), `--clients N`,
 * `--threads N`, `--processes N`, `--durability strict|relaxed` (mass), `--rounds N` (pair), `--kills N`,
 * `--waiters N`, `--requests N`, `--cycles N` and `--tool-seconds N` (proxy). `--build FOLDER`: another build than
 * that of this tree.
 */
import { changedBuild } from '../crash/changed-build.ts';
import { runOptions } from '../support/run-options.ts';
import { cellsRun } from './cells-run.ts';
import { fairnessRun } from './fairness-run.ts';
import { killRun } from './kill-run.ts';
import { type MassOptions, massRun } from './mass-run.ts';
import { mixRun } from './mix-run.ts';
import { MUTATIONS } from './mutations.ts';
import { pairRun } from './pair-run.ts';
import { type ProxyOptions, proxyRun } from './proxy-run.ts';

const { sizes, texts, seed, json, refuse } = runOptions(
  `npm run test:gate -- [--only NAME,…] [--durability strict|relaxed] [--build FOLDER] [--without ${Object.keys(MUTATIONS).join('|')}]`,
  {
    ...{ operations: 100_000, pairs: 50_000, clients: 64, processes: 4, threads: 2, rounds: 4000 },
    ...{ kills: 3, waiters: 10_000, requests: 10_000, cycles: 4, 'tool-seconds': 4 },
  },
  ['only', 'without', 'build', 'durability'],
);
const mutation = MUTATIONS[texts.without ?? ''];
const { durability = 'strict' } = texts;
if (texts.without !== undefined && mutation === undefined) refuse();
if (durability !== 'strict' && durability !== 'relaxed') refuse();

const changed = mutation?.changes === undefined ? undefined : changedBuild(mutation.changes);
const { plan, leaseMs, massPlan, hiddenLimits = false, mixedShare = 0 } = mutation ?? {};
const build = changed?.path ?? texts.build;
const kills = {
  ...{ kills: sizes.kills, seed, build },
  ...{ ...(plan && { plan }), ...(leaseMs !== undefined && { leaseMs }) },
};
const mix = {
  ...{ operations: sizes.operations, clients: sizes.clients, processes: sizes.processes },
  ...{ seed, build, hiddenLimits, ...(plan && { plan }) },
};
const mass: MassOptions = {
  ...{ pairs: sizes.pairs, clients: sizes.clients, threads: sizes.threads },
  durability: durability === 'relaxed' ? 'relaxed' : 'strict',
  ...{ seed, build, hiddenLimits, showsProgress: true, ...(massPlan && { plan: massPlan }) },
};
const proxy: ProxyOptions = {
  requests: sizes.requests,
  cycles: sizes.cycles,
  toolSeconds: sizes['tool-seconds'],
  ...{ atOnce: 2000, seed, build, mixedShare, showsProgress: true },
};
const runs: Readonly<Record<string, () => Promise<{ readonly passed: boolean }>>> = {
  cells: cellsRun,
  pair: () => pairRun({ rounds: sizes.rounds, build }),
  fairness: () =>
    fairnessRun({
      ...{ waiters: sizes.waiters, probes: 40, slots: 10, serviceMs: 50, build },
    }),
  strict: () => killRun({ ...kills, durability: 'strict' }),
  relaxed: () => killRun({ ...kills, durability: 'relaxed' }),
  mix: () => mixRun(mix),
  mass: () => massRun(mass),
  proxy: () => proxyRun(proxy),
};
const names =
  mutation === undefined ? (texts.only?.split(',') ?? Object.keys(runs)) : mutation.runs;

const report: Record<string, unknown> = { seed, ...(mutation && { without: texts.without }) };
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
  if (!json) console.log(`${name}: ${JSON.stringify(figures)}`);
}
changed?.remove();
// What is taken away has to turn each of its runs red.
const passed = mutation === undefined ? ends.every(Boolean) : ends.some(Boolean);
if (json) console.log(JSON.stringify({ ...report, passed }));
process.exit(passed ? 0 : 1);
