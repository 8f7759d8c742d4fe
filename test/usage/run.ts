/**
 * `npm run test:usage -- [--only fold,cap] [--events N] [--kills N] [--clients N] [--shards N] [--seed N] [--today DAY]
 * [--messages N] [--json]`: kills the built daemon while it counts, and holds every counter, firing and callback
 * against a fold of all that was asked (`fold`); floods hard caps with `--messages`, on one and on `--shards` shards,
 * over a kill and without (`cap`). Exit 0 when all agree. `--without NAME` takes something away (mutations.ts): then
 * the exit code has to be 1. Without options 1,000,000 events and messages and 110 kills: some ten minutes.
 */
import { changedBuild } from '../crash/changed-build.ts';
import { runOptions } from '../support/run-options.ts';
import { type CapResult, capRun } from './cap-run.ts';
import { MUTATIONS } from './mutations.ts';
import { UsageRun } from './usage-run.ts';

const RUNS = ['fold', 'cap'] as const;
const { sizes, texts, seed, json, refuse } = runOptions(
  `npm run test:usage -- [--only ${RUNS.join(',')}] [--today DAY] [--without ${Object.keys(MUTATIONS).join('|')}]`,
  { events: 1_000_000, kills: 110, clients: 32, shards: 4, messages: 1_000_000 },
  ['only', 'today', 'without'],
);
const mutation = MUTATIONS[texts.without ?? ''];
if (texts.without !== undefined && mutation === undefined) refuse();
const only = mutation === undefined ? (texts.only?.split(',') ?? RUNS) : ['fold'];
if (!only.every((name) => RUNS.some((known) => known === name))) refuse();

const changed = mutation === undefined ? undefined : changedBuild(mutation);
const report: Record<string, unknown> = { seed };
if (texts.without !== undefined) report.without = texts.without;
const ends = [await fold(), await caps()];
changed?.remove();
const passed = ends.every(Boolean);
report.passed = passed;
if (json) console.log(JSON.stringify(report));
else
  for (const [name, value] of Object.entries(report))
    console.log(`${name}: ${JSON.stringify(value)}`);
process.exit(passed ? 0 : 1);

/** @returns whether it passed, or was not asked for */
async function fold(): Promise<boolean> {
  if (!only.includes('fold')) return true;
  const { faults, passed, ...figures } = await UsageRun.run({
    ...sizes,
    ...{ seed, today: texts.today, build: changed?.path },
    showsProgress: true,
    // What is taken away may be what is waited for.
    ...(mutation !== undefined && { drainTimeoutMs: 20_000 }),
  });
  for (const fault of faults) console.error(fault);
  Object.assign(report, figures);
  return passed;
}

async function caps(): Promise<boolean> {
  if (!only.includes('cap')) return true;
  const results: CapResult[] = [];
  for (const shards of new Set([1, sizes.shards])) {
    for (const kill of [false, true]) {
      const result = await capRun({ shards, messages: sizes.messages, seed, kill });
      for (const fault of result.faults) console.error(`cap, ${shards} shards: ${fault}`);
      results.push(result);
    }
  }
  report.caps = results;
  return results.every(({ passed }) => passed);
}
