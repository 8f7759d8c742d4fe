// The examples of the entity routes: one entity of each kind, and what has to be there before it.

import type { ExampleCall } from '../rest/rest-route.ts';
import { type EntityKind, PLURALS, SCHEMAS } from './entity-schemas.ts';

const names = {
  destination: 'sms-de',
  set: 'gold',
  tenant: 'acme',
  sender: 'acme/4930',
  pool: 'campaign',
} as const;

export const exampleFields = {
  destination: { ratePerSec: 100, burst: 10, retryBaseMs: 2_000 },
  set: { weight: 900, borrowMax: 0.5 },
  tenant: { set: 'gold', levelFloors: [0, 0.1, 0.2] },
  sender: { inFlightMax: 10, pool: 'campaign' },
  pool: { ratePerSec: 50 },
} as const;

const needs: Readonly<Record<EntityKind, readonly EntityKind[]>> = {
  destination: [],
  set: [],
  tenant: ['set'],
  sender: ['pool'],
  pool: [],
};

/** Path parameters of the example. */
export function exampleParams(kind: EntityKind): Record<string, string> {
  if (kind !== 'sender') return { name: names[kind] };
  const [tenant = '', sender = ''] = names.sender.split('/');
  return { tenant, sender };
}

/** The PUT of the example, with that of what it refers to; `alone`: only the latter. */
export function examplePuts(kind: EntityKind, { alone = false } = {}): ExampleCall[] {
  const kinds = alone ? needs[kind] : [...needs[kind], kind];
  return kinds.map((each) => ({
    method: 'PUT',
    path: `/v1/${PLURALS[each]}/${names[each]}`,
    body: exampleFields[each],
  }));
}

/** The answer of the example; `more`: fields that were changed since its PUT. */
export function exampleView(kind: EntityKind, more: object = {}): object {
  const fields = SCHEMAS[kind].parse(exampleFields[kind]);
  const own = kind === 'destination' ? { shardKey: names.destination } : {};
  const changes = needs[kind].length + (Object.keys(more).length === 0 ? 1 : 2);
  return { name: names[kind], ...fields, ...own, ...more, version: changes };
}
