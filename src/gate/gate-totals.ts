// The counters of the gate as answers and metrics show them.
import { counterMetric, gaugeMetric, type Metric, type MetricSample } from '../base/metric.ts';
import { ERRORS } from '../errors.ts';
import { FLUSH_BOUNDS_SECONDS, type FlushSnapshot } from '../exchange/flush-histogram.ts';
import type { GateCounters } from '../protocol/gate-exchange.ts';

/** Why callers were impeded: counters that are named as the errors are. */
const IMPEDED = [
  'unknownResource',
  'concurrencyLimit',
  'wouldWaitTooLong',
  'waitersFull',
  'tooManyGateKeys',
  'waitOver',
  'tooManyPermits',
  'gateRecovering',
] as const;

/** What `/v1/gate` answers. */
export function gateTotals(counters: GateCounters): object {
  const { localPermits, seats, waiting, keys, resources, tenants } = counters;
  const permits = counters.permits - localPermits;
  const { recoveringUntilMs, logBytes, granted, admitted, queued, gaveUp } = counters;
  const { released, renewed, expired, orphaned, claimed, gone } = counters;
  return {
    ...{ permits, localPermits, seats, waiting, keys, resources, tenants },
    recoveringUntilMs: recoveringUntilMs === 0 ? null : recoveringUntilMs,
    journalBytes: logBytes,
    ...{ granted, admitted, queued, gaveUp, released, renewed, expired, orphaned, claimed, gone },
    impeded: Object.fromEntries(IMPEDED.map((name) => [name, counters[name]])),
  };
}

interface HistogramMetric {
  readonly name: string;
  readonly type: 'histogram';
  readonly help: string;
  readonly samples: readonly (MetricSample & { readonly suffix: string })[];
}

export type GateMetric = Metric | HistogramMetric;

/** Counters since the start: name, help and counter. */
const TOTALS: readonly (readonly [name: string, help: string, from: keyof GateCounters])[] = [
  ['granted', 'Permits given, those of the daemon itself included.', 'granted'],
  ['admitted', 'Of these, given after a wait.', 'admitted'],
  ['entered', 'Of these, requests of the REST interface and of the proxy.', 'entered'],
  ['queued', 'Callers that began to wait.', 'queued'],
  ['gave_up', 'Waiters given up, or dropped with their connection.', 'gaveUp'],
  ['released', 'Permits released, those of the daemon itself included.', 'released'],
  ['renewed', 'Leases renewed.', 'renewed'],
  ['expired', 'Permits that ended with their lease.', 'expired'],
  ['orphaned', 'Permits whose connection dropped.', 'orphaned'],
  ['claimed', 'Of these, taken over.', 'claimed'],
  ['gone', 'Releases and renewals of permits that had ended.', 'gone'],
];

const NOW: readonly (readonly [name: string, help: string, from: keyof GateCounters])[] = [
  ['local_permits', 'Requests under way at the REST interface and the proxy.', 'localPermits'],
  ['seats', 'Seats that are taken.', 'seats'],
  ['waiting', 'Callers that wait.', 'waiting'],
  ['keys', 'Tenants times resources that are counted.', 'keys'],
  ['journal_bytes', 'Log of permits since the last snapshot.', 'logBytes'],
];

export function gateMetrics(counters: GateCounters, flush: FlushSnapshot): GateMetric[] {
  const impeded = IMPEDED.map((name) => {
    return { labels: { code: `${ERRORS[name].code}`, error: name }, value: counters[name] };
  });
  const { permits, localPermits, recoveringUntilMs } = counters;
  const prefix = 'fairlead_gate';
  return [
    gaugeMetric(`${prefix}_permits`, 'Permits that are out, with a lease.', permits - localPermits),
    ...NOW.map(([name, help, from]) => gaugeMetric(`${prefix}_${name}`, help, counters[from])),
    gaugeMetric(
      `${prefix}_recovering`,
      'Whether no permit is given yet because of a crash.',
      Number(recoveringUntilMs > 0),
    ),
    ...TOTALS.map(([name, help, from]) => {
      return counterMetric(`${prefix}_${name}_total`, help, counters[from]);
    }),
    counterMetric(
      `${prefix}_impeded_total`,
      'Callers that were not let in, by error code.',
      impeded,
    ),
    {
      name: `${prefix}_flush_seconds`,
      type: 'histogram',
      help: 'How long a step waited for the flush of its permits.',
      samples: flushSamples(flush),
    },
  ];
}

/** Cumulative, as the format wants it. */
function flushSamples({
  counts,
  count,
  sumSeconds,
}: FlushSnapshot): readonly HistogramMetric['samples'][number][] {
  let below = 0;
  const buckets = counts.map((each, index) => {
    below += each;
    const bound = FLUSH_BOUNDS_SECONDS[index];
    return { suffix: '_bucket', labels: { le: `${bound ?? '+Inf'}` }, value: below };
  });
  return [...buckets, { suffix: '_sum', value: sumSeconds }, { suffix: '_count', value: count }];
}
