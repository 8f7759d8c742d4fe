/** `--scope usage`: events of programs, triggers that fire, what they cost messages, and a million counters. */
import type { Observer } from '../dispatch.ts';
import { type CountersResult, type CountersSize, measureCounters } from './counters.ts';
import { type DispatchTriggersResult, measureDispatchTriggers } from './dispatch-triggers.ts';
import { type FiringResult, measureFiring } from './firing.ts';
import { measureUse, type UsePace, type UseResult } from './use.ts';

export type UsageResult = FiringResult | UseResult | DispatchTriggersResult | CountersResult;

export interface UsageSizes {
  /** Of each way of `usage/firing-latency`. */
  readonly firings: number;
  /** Live before `usage/use-keys` is measured. */
  readonly keys: number;
  readonly counters: CountersSize;
  /** Of each side of `usage/dispatch-triggers`. */
  readonly runs: number;
}

export const USAGE_SIZES: UsageSizes = {
  firings: 2000,
  keys: 10_000_000,
  counters: { tenants: 1000, countersPerTenant: 1000, triggersPerTenant: 100 },
  runs: 10,
};

export const QUICK_USAGE_SIZES: UsageSizes = {
  firings: 200,
  keys: 100_000,
  counters: { tenants: 100, countersPerTenant: 100, triggersPerTenant: 10 },
  runs: 2,
};

export interface UsageOptions {
  readonly sizes: UsageSizes;
  readonly pace: UsePace;
  /** Part of a row's name; undefined: all rows. */
  readonly filter?: string | undefined;
}

type Measure = (options: UsageOptions) => Promise<UsageResult>;

const ROWS: readonly (readonly [name: string, measure: Measure])[] = [
  ['usage/firing-latency', ({ sizes }) => measureFiring(sizes.firings)],
  ['usage/use', ({ pace }) => measureUse(0, pace)],
  ['usage/use-keys', ({ sizes, pace }) => measureUse(sizes.keys, pace)],
  [
    'usage/dispatch-triggers',
    ({ sizes, pace }) => measureDispatchTriggers({ ...pace, rounds: sizes.runs }),
  ],
  ['usage/counters', ({ sizes }) => measureCounters(sizes.counters)],
];

/** For bench/profile.ts; each resolves with events a second. */
export const OBSERVED_USAGE_ROWS: ReadonlyMap<
  string,
  (pace: UsePace, observer: Observer) => Promise<number>
> = new Map(
  [0, QUICK_USAGE_SIZES.keys].map((keys) => [
    keys === 0 ? 'usage/use' : 'usage/use-keys',
    async (pace, observer) => (await measureUse(keys, pace, observer)).eventsPerSec,
  ]),
);

/** Measures the rows one after another, each on processes of its own. */
export async function* measureUsage(options: UsageOptions): AsyncGenerator<UsageResult, void> {
  const { filter = '' } = options;
  for (const [name, measure] of ROWS) if (name.includes(filter)) yield await measure(options);
}
