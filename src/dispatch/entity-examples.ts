// The examples of the entity routes: one entity of each kind, and what has to be there before it.

import type { ExampleCall } from '../rest/rest-route.ts';
import { type EntityKind, PAIR_KINDS, PLURALS } from './entity-kinds.ts';
import { OWN_SCHEMAS, shownFields } from './entity-schemas.ts';
import { completeEntity, parseEntity } from './parse-entity.ts';

const names = {
  destination: 'sms-de',
  set: 'gold',
  tenant: 'acme',
  sender: 'acme/4930',
  pool: 'campaign',
  gateway: 'carrier-a',
  account: 'AC00112233445566778899aabbccddeeff',
  number: '+4915112345678',
  route: '49',
  service: 'MG00112233445566778899aabbccddeeff',
  webhook: 'acme',
  resource: 'calls.create',
  policy: 'calls.create/acme',
  price: 'messages',
  cap: 'acme/monthly',
} as const satisfies Record<EntityKind, string>;

export const exampleFields = {
  destination: { ratePerSec: 100, burst: 10, retryBaseMs: 2_000 },
  set: { weight: 900, borrowMax: 0.5 },
  tenant: { set: 'gold', levelFloors: [0, 0.1, 0.2] },
  sender: { inFlightMax: 10, pool: 'campaign' },
  pool: { ratePerSec: 50 },
  gateway: {
    type: 'smpp',
    destinations: ['sms-de'],
    smpp: { host: 'smpp.example.com', port: 2775, systemId: 'acme', password: 'carrier-a' },
  },
  account: { tenant: 'acme', friendlyName: 'Acme' },
  number: { tenant: 'acme', webhookUrl: 'https://acme.example/inbound' },
  route: { destination: 'sms-de' },
  service: { tenant: 'acme', friendlyName: 'Codes', senders: ['4930', '4931'] },
  webhook: {},
  resource: { limit: 500, tenantLimit: 20, mode: 'queue' },
  policy: { limit: 50, floor: 5 },
  price: { steps: [{ price: '0.0075' }] },
  cap: { value: '100' },
} as const satisfies Record<EntityKind, object>;

const needs: Readonly<Partial<Record<EntityKind, readonly EntityKind[]>>> = {
  tenant: ['set'],
  sender: ['pool'],
  gateway: ['destination'],
  route: ['destination'],
  policy: ['resource'],
};

const needsOf = (kind: EntityKind): readonly EntityKind[] => needs[kind] ?? [];

/** What examples show of fields that the daemon fills in. */
const own = {
  createdMs: 1_790_000_000_123,
  updatedMs: 1_790_000_000_123,
  tokenVersion: 1,
} as const;

/** Tokens as the first answer shows them. */
export const exampleTokens = {
  primaryToken: '0123456789abcdef0123456789abcdef',
  secondaryToken: 'fedcba9876543210fedcba9876543210',
} as const;

export function exampleName(kind: EntityKind): string {
  return names[kind];
}

/** Path parameters of the example. */
export function exampleParams(kind: EntityKind, name = exampleName(kind)): Record<string, string> {
  const pair = PAIR_KINDS[kind];
  if (pair === undefined) return { name };
  const parts = name.split('/');
  return Object.fromEntries(parts.map((part, index) => [pair[index] ?? '', part]));
}

/** The PUT of the example, with that of what it refers to; `alone`: only the latter. */
export function examplePuts(
  kind: EntityKind,
  { alone = false, name = exampleName(kind) } = {},
): ExampleCall[] {
  const kinds = alone ? needsOf(kind) : [...needsOf(kind), kind];
  return kinds.map((each) => ({
    method: 'PUT',
    path: `/v1/${PLURALS[each]}/${each === kind ? name : names[each]}`,
    body: exampleFields[each],
  }));
}

/** The answer of the example; `more`: fields that were changed since its PUT. */
export function exampleView(kind: EntityKind, more: object = {}, name = exampleName(kind)): object {
  const parsed = parseEntity(kind, name, exampleFields[kind]);
  const fields = shownFields(kind, completeEntity(kind, name, parsed, undefined));
  const filled = OWN_SCHEMAS[kind] === undefined ? {} : own;
  const changes = needsOf(kind).length + (Object.keys(more).length === 0 ? 1 : 2);
  return { name, ...fields, ...filled, ...more, version: changes };
}
