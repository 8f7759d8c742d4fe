/** The metrics that come from the counters of the shards: names, help and which counter. Pure. */
import type { COUNTER_NAMES } from '../protocol/exchange.ts';
import type { MetricFamily } from './metrics-text.ts';

export type CounterName = (typeof COUNTER_NAMES)[number];

/** Counters since the start. */
const TOTALS: readonly (readonly [name: string, help: string, from: CounterName])[] = [
  ['messages_accepted', 'Messages accepted.', 'accepted'],
  ['messages_repeated', 'Messages whose idempotency key was known.', 'repeated'],
  ['messages_delivered', 'Deliveries handed out.', 'delivered'],
  ['messages_returned', 'Deliveries returned by a disconnect or the end of a lease.', 'returned'],
  [
    'messages_given_up',
    'Messages that became dead letters after too many attempts or in doubt.',
    'failedFinal',
  ],
  ['messages_expired', 'Messages whose validity ended before they were sent.', 'expired'],
  ['messages_cancelled', 'Messages cancelled.', 'cancelled'],
  ['messages_undelivered', 'Messages that a receipt told to be undelivered.', 'undelivered'],
  [
    'dead_letters_dropped',
    'Dead letters given up because a shard held as many as it may.',
    'deadLettersDropped',
  ],
  [
    'admission_accepted_then_expired',
    'Messages accepted that expired before their turn.',
    'acceptedThenExpired',
  ],
  [
    'admission_refused',
    'Messages refused, or in shadow mode counted, because they would expire before their turn.',
    'refusedByTime',
  ],
  [
    'admission_refused_wrongly',
    'Of these, messages that would have been sent in time.',
    'refusedWouldHaveMadeIt',
  ],
];

/** What is now. */
const GAUGES: readonly (readonly [name: string, help: string, from: CounterName])[] = [
  ['messages_waiting', 'Messages that wait.', 'waiting'],
  ['messages_scheduled', 'Messages that wait for their time.', 'scheduled'],
  ['messages_in_flight', 'Messages handed out.', 'inFlight'],
  ['dead_letters', 'Dead letters that are kept.', 'deadLetters'],
  ['queues', 'Queues that hold messages.', 'queues'],
  ['log_bytes', 'Journal log since the checkpoint.', 'logBytes'],
  ['ended_bytes', 'Records of ended messages that are remembered.', 'endedBytes'],
  ['idempotency_keys', 'Idempotency keys that are remembered.', 'idempotencyKeys'],
];

const SETTLED = [
  ['sent', 'settledSent'],
  ['delivered', 'settledDelivered'],
  ['retry', 'settledRetry'],
  ['failed', 'settledFailed'],
  ['throttled', 'settledThrottled'],
  ['not_attempted', 'settledNotAttempted'],
] as const;

/** `sum`: a counter over all shards. */
export function messageMetrics(sum: (counter: CounterName) => number): MetricFamily[] {
  return [
    ...TOTALS.map(([name, help, from]): MetricFamily => {
      const samples = [{ value: sum(from) }];
      return { name: `fairlead_${name}_total`, type: 'counter', help, samples };
    }),
    {
      name: 'fairlead_messages_settled_total',
      type: 'counter',
      help: 'Deliveries settled, by outcome.',
      samples: SETTLED.map(([outcome, from]) => ({ labels: { outcome }, value: sum(from) })),
    },
    ...GAUGES.map(([name, help, from]): MetricFamily => {
      return { name: `fairlead_${name}`, type: 'gauge', help, samples: [{ value: sum(from) }] };
    }),
  ];
}
