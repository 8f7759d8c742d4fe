/**
 * `npm run test:usage -- [--only fold,cap] [--events N] [--kills N] [--clients N] [--shards N] [--seed N] [--today DAY]
 * [--messages N] [--json]`: kills the built daemon while it counts, and holds every counter, firing and callback
 * against a fold of all that was asked (`fold`); floods hard caps with `--messages`, on one and on `--shards` shards,
 * over a kill and without (`cap`). Exit 0 when all agree. `--without NAME` takes something away (mutations.ts): then
 * the exit code has to be 1. Without options 1,000,000 events and messages and 110 kills: some ten minutes.
 */
import { parseArgs } from 'node:util';
import { changedBuild } from '../crash/changed-build.ts';
import { type CapResult, capRun } from './cap-run.ts';
import { MUTATIONS } from './mutations.ts';
import { UsageRun } from './usage-run.ts';

/** Options that are numbers, and what they are without. */
const SIZES = { events: 1_000_000, kills: 110, clients: 32, shards: 4, messages: 1_000_000 };
const RUNS = ['fold', 'cap'] as const;
type Size = keyof typeof SIZES;
const sizeNames = Object.keys(SIZES) as Size[];
const text = { type: 'string' } as const;
const sizeOptions = Object.fromEntries(sizeNames.map((name) => [name, text]));
const { values } = parseArgs({
  options: {
    ...(sizeOptions as Record<Size, typeof text>),
    seed: text,
    today: text,
    only: text,
    without: text,
    json: { type: 'boolean', default: false },
  },
});
const size = (name: Size): number => Number(values[name] ?? SIZES[name]);
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const mutation = MUTATIONS[values.without ?? ''];
const only = mutation === undefined ? (values.only?.split(',') ?? RUNS) : ['fold'];
const isKnown = only.every((name) => RUNS.some((known) => known === name));
const isRight = isKnown && [seed, ...sizeNames.map(size)].every(Number.isInteger);
if (!isRight || (values.without !== undefined && mutation === undefined)) {
  const sizes = sizeNames.map((name) => `[--${name} N]`).join(' ');
  console.error(
    `usage: npm run test:usage -- [--only ${RUNS.join(',')}] ${sizes} [--seed N] [--today DAY] [--without ${Object.keys(MUTATIONS).join('|')}] [--json]`,
  );
  process.exit(2);
}

const changed = mutation === undefined ? undefined : changedBuild(mutation);
const report: Record<string, unknown> = { seed };
if (values.without !== undefined) report.without = values.without;
const ends = [await fold(), await caps()];
changed?.remove();
const passed = ends.every(Boolean);
report.passed = passed;
if (values.json) console.log(JSON.stringify(report));
else
  for (const [name, value] of Object.entries(report))
    console.log(`${name}: ${JSON.stringify(value)}`);
process.exit(passed ? 0 : 1);

/** @returns whether it passed, or was not asked for */
async function fold(): Promise<boolean> {
  if (!only.includes('fold')) return true;
  const { faults, passed, ...figures } = await UsageRun.run({
    ...{ events: size('events'), kills: size('kills'), clients: size('clients') },
    ...{ shards: size('shards'), seed, today: values.today, build: changed?.path },
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
  for (const shards of new Set([1, size('shards')])) {
    for (const kill of [false, true]) {
      const result = await capRun({ shards, messages: size('messages'), seed, kill });
      for (const fault of result.faults) console.error(`cap, ${shards} shards: ${fault}`);
      results.push(result);
    }
  }
  report.caps = results;
  return results.every(({ passed }) => passed);
}
