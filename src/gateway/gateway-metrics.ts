// What gateways, receipts and inbound messages tell the metrics.
import {
  counterMetric as counter,
  gaugeMetric as gauge,
  type Metric,
  type MetricSample,
} from '../base/metric.ts';
import { LIMITS } from '../limits.ts';
import type { GatewayService, GatewayState } from './gateway-service.ts';
import type { Inbound } from './inbound.ts';
import type { ReceiptBook } from './receipt-book.ts';

export interface MetricSources {
  readonly service: Pick<GatewayService, 'states'>;
  readonly receipts: Pick<ReceiptBook, 'taken' | 'dropped' | 'waiting'>;
  readonly inbound: Pick<Inbound, 'counts'>;
}

/** Past LIMITS.gatewaysShown gateways the others have no lines. */
export function gatewayMetrics({ service, receipts, inbound }: MetricSources): Metric[] {
  const states: GatewayState[] = [];
  for (const state of service.states()) {
    states.push(state);
    if (states.length >= LIMITS.gatewaysShown) break;
  }
  const each = (value: (state: GatewayState) => number): MetricSample[] =>
    states.map((state) => ({ labels: { gateway: state.name }, value: value(state) }));
  const outcomes = states.flatMap(({ name, outcomes: counts }) =>
    Object.entries(counts).map(([outcome, value]) => {
      return { labels: { gateway: name, outcome }, value };
    }),
  );
  const { taken, dropped, waiting } = receipts;
  return [
    gauge(
      'fairlead_gateway_up',
      'Whether a gateway can send now.',
      each(({ up }) => Number(up)),
    ),
    gauge(
      'fairlead_gateway_in_flight',
      'Messages of a gateway without an outcome.',
      each(({ inFlight }) => inFlight ?? 0),
    ),
    counter(
      'fairlead_gateway_attempts_total',
      'Attempts of a gateway, by how they ended.',
      outcomes,
    ),
    counter('fairlead_receipts_total', 'Receipts of gateways, by what they were.', byKey(taken)),
    counter('fairlead_receipts_dropped_total', 'Receipts no longer waited for: too many.', [
      { value: dropped },
    ]),
    gauge('fairlead_receipts_waiting', 'Receipts that are waited for.', [
      { value: waiting.entries },
    ]),
    counter(
      'fairlead_inbound_total',
      'Messages that gateways received, by what became of them.',
      byKey(inbound.counts),
    ),
  ];
}

function byKey(counts: object): MetricSample[] {
  const entries = Object.entries(counts) as [string, number][];
  return entries.map(([what, value]) => ({ labels: { what }, value }));
}
