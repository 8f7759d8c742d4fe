// What outgoing requests and the outbox tell the metrics.
import { counterMetric as counter, gaugeMetric as gauge, type Metric } from '../base/metric.ts';
import type { OutboundNumbers } from './outbound-client.ts';
import type { OutboxNumbers } from './outbox.ts';

export interface OutboundMetricSources {
  readonly client: OutboundNumbers;
  readonly outbox: OutboxNumbers;
}

export function outboundMetrics({ client, outbox }: OutboundMetricSources): Metric[] {
  return [...clientMetrics(client), ...outboxMetrics(outbox)];
}

function clientMetrics(client: OutboundNumbers): Metric[] {
  return [
    counter('fairlead_outbound_requests_total', 'Outgoing HTTP requests.', client.requests),
    counter(
      'fairlead_outbound_requests_failed_total',
      'Outgoing HTTP requests without an answer.',
      client.failed,
    ),
    counter(
      'fairlead_outbound_requests_blocked_total',
      'Of these, the ones to an address that may not be reached.',
      client.blocked,
    ),
    gauge('fairlead_outbound_sockets', 'Open sockets of outgoing requests.', client.sockets),
    gauge(
      'fairlead_outbound_requests_waiting',
      'Outgoing HTTP requests that wait for a socket.',
      client.waiting,
    ),
  ];
}

function outboxMetrics(outbox: OutboxNumbers): Metric[] {
  return [
    gauge(
      'fairlead_outbox_waiting',
      'Deliveries of the outbox that have not ended.',
      outbox.waiting,
    ),
    gauge('fairlead_outbox_in_flight', 'Deliveries of the outbox under way.', outbox.inFlight),
    gauge('fairlead_outbox_failed', 'Failed deliveries that are kept.', outbox.failed),
    gauge('fairlead_outbox_bytes', 'Bytes of all deliveries in the outbox.', outbox.bytes),
    gauge('fairlead_outbox_endpoints', 'Endpoints with something in the outbox.', outbox.endpoints),
    gauge(
      'fairlead_outbox_endpoints_disabled',
      'Endpoints that answered 410.',
      outbox.disabledEndpoints,
    ),
    counter('fairlead_outbox_taken_total', 'Deliveries the outbox took.', outbox.taken),
    counter('fairlead_outbox_attempts_total', 'Attempts to deliver.', outbox.attempts),
    counter('fairlead_outbox_delivered_total', 'Deliveries that were received.', outbox.delivered),
    counter(
      'fairlead_outbox_failed_total',
      'Deliveries whose schedule was over.',
      outbox.failedForGood,
    ),
    counter(
      'fairlead_outbox_dropped_total',
      'Failed deliveries that were dropped: too old, or too many.',
      outbox.dropped,
    ),
  ];
}
