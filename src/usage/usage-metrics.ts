// What usage tells the metrics.
import { counterMetric, gaugeMetric, type Metric } from '../base/metric.ts';
import { FLUSH_BOUNDS_SECONDS, type FlushSnapshot } from '../exchange/flush-histogram.ts';
import type { FiringNumbers } from './firings.ts';

export interface UsageNumbers {
  /** As the machine says them. */
  readonly stats: Readonly<Record<string, number>>;
  readonly firings: FiringNumbers;
  readonly holds: number;
  readonly ledgerLines: number;
  readonly flush: FlushSnapshot;
}

const NOW = [
  ['counters', 'counters', 'Tenants times categories times tags that are counted.'],
  ['dirtyCells', 'dirty_cells', 'Cells of counters that wait for a checkpoint.'],
  ['triggers', 'triggers', 'Triggers.'],
  ['watched', 'watched', 'Counters that triggers look at.'],
  ['eventKeys', 'event_keys', 'Keys of events that are known.'],
  ['logBytes', 'journal_bytes', 'Log of counted events since the last checkpoint.'],
] as const;
const SINCE_START = [
  ['counted', 'events', 'Events that were counted.'],
  ['repeated', 'events_repeated', 'Events whose key was known.'],
  ['refused', 'events_refused', 'Events that were refused.'],
  ['corrections', 'corrections', 'Events with a negative quantity.'],
  ['tagsDropped', 'tags_dropped', 'Counts of tags that their account had no room for.'],
  ['checkpoints', 'checkpoints', 'Checkpoints.'],
] as const;

export function usageMetrics({ stats, firings, holds, ledgerLines, flush }: UsageNumbers) {
  const { fired, requests, refused, waiting } = firings;
  const metrics: Metric[] = [
    ...NOW.map(([from, name, help]) =>
      gaugeMetric(`fairlead_usage_${name}`, help, stats[from] ?? 0),
    ),
    ...SINCE_START.map(([from, name, help]) => {
      return counterMetric(`fairlead_usage_${name}_total`, help, stats[from] ?? 0);
    }),
    gaugeMetric('fairlead_usage_holds', 'Tenants’ fields that triggers hold.', holds),
    gaugeMetric('fairlead_usage_ledger_lines', 'Lines that triggers added.', ledgerLines),
    gaugeMetric('fairlead_usage_firings_waiting', 'Firings that wait for the outbox.', waiting),
    counterMetric('fairlead_usage_firings_total', 'Firings of triggers that were told.', fired),
    counterMetric(
      'fairlead_usage_callbacks_total',
      'Callbacks of triggers by what became of them.',
      [
        { labels: { what: 'put' }, value: requests },
        { labels: { what: 'refused' }, value: refused },
      ],
    ),
  ];
  return [...metrics, flushMetric(flush)];
}

/** Cumulative, as the format wants it. */
function flushMetric({ counts, count, sumSeconds }: FlushSnapshot) {
  let below = 0;
  const buckets = counts.map((each, index) => {
    below += each;
    const le = `${FLUSH_BOUNDS_SECONDS[index] ?? '+Inf'}`;
    return { suffix: '_bucket', labels: { le }, value: below };
  });
  return {
    name: 'fairlead_usage_flush_seconds',
    type: 'histogram',
    help: 'How long a step of usage waited for its flush.',
    samples: [
      ...buckets,
      { suffix: '_sum', value: sumSeconds },
      { suffix: '_count', value: count },
    ],
  } as const;
}
