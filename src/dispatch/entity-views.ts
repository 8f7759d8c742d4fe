// Entities as answers show them and as bodies give them.
import { z } from 'zod';
import { named } from '../rest/openapi-schemas.ts';
import { type EntityKind, nameSchema, SCHEMAS } from './entity-schemas.ts';
import type { EntityRow } from './ports.ts';

const version = z
  .int()
  .min(0)
  .describe('number of the change that wrote it, over all entities; 0: never written');

const senderName = z
  .string()
  .regex(/^[^/]+\/[^/]+$/)
  .describe('tenant/sender');

/** What answers show of each kind. */
export const viewSchemas = {
  destination: named('Destination', viewOf('destination', { shardKey: nameSchema })),
  set: named('Set', viewOf('set')),
  tenant: named('Tenant', viewOf('tenant')),
  sender: named('Sender', viewOf('sender')),
  pool: named('Pool', viewOf('pool')),
} as const satisfies Record<EntityKind, z.ZodType>;

/** What bodies may hold: all fields, each optional, and what an answer echoes. */
export const bodySchemas = {
  destination: named('DestinationFields', bodyOf('destination')),
  set: named('SetFields', bodyOf('set')),
  tenant: named('TenantFields', bodyOf('tenant')),
  sender: named('SenderFields', bodyOf('sender')),
  pool: named('PoolFields', bodyOf('pool')),
} as const satisfies Record<EntityKind, z.ZodType>;

/** What an answer shows; a PUT may send it back. */
export function view({ name, fields, version: number }: EntityRow): object {
  return { name, ...fields, version: number };
}

function viewOf(kind: EntityKind, more: z.ZodRawShape = {}): z.ZodObject {
  const name = kind === 'sender' ? senderName : nameSchema;
  return z.strictObject({ name, ...SCHEMAS[kind].shape, ...more, version });
}

function bodyOf(kind: EntityKind): z.ZodObject {
  const name = (kind === 'sender' ? senderName : nameSchema).optional();
  return z.strictObject({ ...SCHEMAS[kind].shape, name, version: version.optional() });
}
