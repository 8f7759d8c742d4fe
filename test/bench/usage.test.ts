// Rows of usage small and short, on real processes: that each is measured and checked, not how fast it is.
import t from 'tap';
import { formatRow } from '../../bench/report.ts';
import { measureUsage, type UsageResult } from '../../bench/usage/rows.ts';
import { notLong } from '../support/long-form.ts';

const SIZES = {
  firings: 10,
  keys: 20_000,
  counters: { tenants: 4, countersPerTenant: 50, triggersPerTenant: 5, restMs: 1 },
  runs: 1,
};
const PACE = { rounds: 1, warmUpMs: 0, measureMs: 200 };

async function rowOf(name: string): Promise<UsageResult | undefined> {
  let found: UsageResult | undefined;
  for await (const row of measureUsage({ sizes: SIZES, pace: PACE, filter: name })) found = row;
  return found;
}

const side = { firings: 10, callbackP50Ms: Number, callbackP99Ms: Number };
const expected: readonly [name: string, row: object, skip?: string | false][] = [
  ['usage/firing-latency', { tenants: 100, oneByOne: side, clocked: side, bare: side }],
  // Some of those that were filled, some of the measured, all of them known when they come again.
  ['usage/use-keys', { liveKeys: 20_000, eventsPerSec: Number, answerP99Ms: Number }],
  [
    'usage/dispatch-triggers',
    { triggers: 100, runs: 1, ratio: Number, ratioOfTurns: Number },
    notLong,
  ],
  ['usage/counters', { counters: 200, triggers: 20, fired: 20, readySec: Number }, notLong],
];
for (const [name, figures, skip = false] of expected) {
  t.test(`${name} is measured`, { skip }, async (t) => {
    const row = await rowOf(name);
    t.match(row, { name, ...figures });
    if (row?.kind === 'use') t.ok(row.repeated >= 20_000, 'keys were sent again');
    if (row !== undefined) t.notMatch(formatRow(row), /NaN|undefined|Infinity|null/);
  });
}
