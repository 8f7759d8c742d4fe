// What status callbacks tell the metrics.
import { counterMetric as counter, gaugeMetric as gauge, type Metric } from '../base/metric.ts';
import type { CallbackNumbers } from './ports.ts';

export function callbackMetrics(numbers: CallbackNumbers): Metric[] {
  const { items: put, refused, unknown, late } = numbers;
  const what = Object.entries({ put, refused, unknown, late });
  return [
    gauge('fairlead_callback_records', 'Messages with callbacks that are kept.', numbers.records),
    gauge(
      'fairlead_callback_waiting_bytes',
      'Bytes of status changes that wait for the outbox.',
      numbers.waitingBytes,
    ),
    counter(
      'fairlead_callback_events_total',
      'Status changes of messages with callbacks.',
      numbers.events,
    ),
    counter(
      'fairlead_callbacks_total',
      'Callbacks by what became of them: put into the outbox, refused by it, unknown message; late receipts.',
      what.map(([what, value]) => ({ labels: { what }, value })),
    ),
    counter(
      'fairlead_callback_records_dropped_total',
      'Messages whose callbacks were given up: too many.',
      numbers.dropped,
    ),
  ];
}
