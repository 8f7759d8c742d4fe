/**
 * `npm run test:usage -- [--events N] [--kills N] [--clients N] [--shards N] [--seed N] [--today DAY] [--json]`: kills
 * the built daemon while it counts, and holds every counter, firing and callback against a fold of all that was
 * asked; exit 0 when all agree. `--without NAME` takes something away (mutations.ts): then the exit code has to be
 * 1. Without options 1,000,000 events and messages and 110 kills: some ten minutes.
 */
import { parseArgs } from 'node:util';
import { changedBuild } from '../crash/changed-build.ts';
import { MUTATIONS } from './mutations.ts';
import { UsageRun } from './usage-run.ts';

/** Options that are numbers, and what they are without. */
const SIZES = { events: 1_000_000, kills: 110, clients: 32, shards: 4 };
type Size = keyof typeof SIZES;
const sizeNames = Object.keys(SIZES) as Size[];
const text = { type: 'string' } as const;
const sizeOptions = Object.fromEntries(sizeNames.map((name) => [name, text]));
const { values } = parseArgs({
  options: {
    ...(sizeOptions as Record<Size, typeof text>),
    seed: text,
    today: text,
    without: text,
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
    `usage: npm run test:usage -- ${sizes} [--seed N] [--today DAY] [--without ${Object.keys(MUTATIONS).join('|')}] [--json]`,
  );
  process.exit(2);
}

const changed = mutation === undefined ? undefined : changedBuild(mutation);
const { faults, passed, ...figures } = await UsageRun.run({
  ...{ events: size('events'), kills: size('kills'), clients: size('clients') },
  ...{ shards: size('shards'), seed, today: values.today, build: changed?.path },
  showsProgress: true,
});
changed?.remove();
for (const fault of faults) console.error(fault);
const report = { seed, ...(values.without && { without: values.without }), ...figures, passed };
if (values.json) console.log(JSON.stringify(report));
else
  for (const [name, value] of Object.entries(report))
    console.log(`${name}: ${JSON.stringify(value)}`);
process.exit(passed ? 0 : 1);
