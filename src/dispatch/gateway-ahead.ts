/**
 * What a shard is told of a gateway: one that the daemon drives may have more messages than its window,
 * so that the window never waits for the disk (src/gateway/read-ahead.ts says how many it asks for).
 *
 * Only with one destination, since credit is given for each, and only where a message that is in
 * doubt goes out again: elsewhere what a crash finds waiting here would end as if it had been sent.
 */
import { LIMITS } from '../limits.ts';
import type { EntityChange, EntityRow, EntityRowOf } from './ports.ts';

export type FindDestination = (name: string) => EntityRowOf<'destination'> | undefined;

export function asShardsSee(change: EntityChange, find: FindDestination): EntityChange {
  if (change.kind !== 'gateway' || change.fields === null) return change;
  const { type, destinations, inFlightMax } = change.fields;
  const [only = '', another] = destinations;
  if (type === 'pull' || inFlightMax === null || another !== undefined) return change;
  if (find(only)?.fields.onDoubt !== 'redeliver') return change;
  const more = { inFlightMax: inFlightMax + LIMITS.gatewayAhead };
  return { ...change, fields: { ...change.fields, ...more } };
}

/** Whether gateways of a destination are seen otherwise now. */
export function isDoubtChange(before: EntityRow | undefined, after: EntityRow): boolean {
  if (before?.kind !== 'destination' || after.kind !== 'destination') return false;
  return before.fields.onDoubt !== after.fields.onDoubt;
}

export function namesOfGateways(
  rows: Iterable<EntityRowOf<'gateway'>>,
  destination: string,
): string[] {
  const ofIt = [...rows].filter(({ fields }) => fields.destinations.includes(destination));
  return ofIt.map(({ name }) => name);
}
