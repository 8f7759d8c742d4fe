// Entities as answers show them and as bodies give them.
import { z } from 'zod';
import { named } from '../rest/openapi-schemas.ts';
import { nameSchema } from './entity-fields.ts';
import { ENTITY_KINDS, type EntityKind } from './entity-kinds.ts';
import { entityNameSchema } from './entity-names.ts';
import { HIDDEN_FIELDS, OWN_SCHEMAS, SCHEMAS, shownFields } from './entity-schemas.ts';
import type { EntityRow } from './ports.ts';

const version = z
  .int()
  .min(0)
  .describe('number of the change that wrote it, over all entities; 0: never written');

/** What is optional in a body and always in an answer. */
const complete: Readonly<Partial<Record<EntityKind, z.ZodRawShape>>> = {
  destination: { shardKey: nameSchema },
  account: { tenant: nameSchema },
  webhook: {
    secretVersion: z.int().min(1).describe('number of the secret that signs'),
    previousUntilMs: z
      .int()
      .nullable()
      .describe('how long the secret before signs too; null: it does not'),
  },
};

/** What answers show of each kind. */
export const viewSchemas = each((kind) => named(titleOf(kind), viewOf(kind)));

/** What bodies may hold: all fields, each optional, and what an answer echoes. */
export const bodySchemas = each((kind) => named(`${titleOf(kind)}Fields`, bodyOf(kind)));

/** An account with its tokens, as only its first answer and that of a rotation show it. */
export const accountWithTokensSchema = named(
  'AccountWithTokens',
  viewOf('account').extend(hiddenShape('account')),
);

/** What an answer shows; a PUT may send it back. */
export function view({ kind, name, fields, version: number }: EntityRow): object {
  return { name, ...shownFields(kind, fields), version: number };
}

/** An account with its tokens. */
export function viewWithTokens(row: Extract<EntityRow, { kind: 'account' }>): object {
  const { primaryToken, secondaryToken } = row.fields;
  return { ...view(row), primaryToken, secondaryToken };
}

function each<T>(make: (kind: EntityKind) => T): Readonly<Record<EntityKind, T>> {
  return Object.fromEntries(ENTITY_KINDS.map((kind) => [kind, make(kind)])) as Record<
    EntityKind,
    T
  >;
}

function titleOf(kind: EntityKind): string {
  return kind.charAt(0).toUpperCase() + kind.slice(1);
}

function ownShape(kind: EntityKind, isHidden: boolean): z.ZodRawShape {
  const hidden = HIDDEN_FIELDS[kind] ?? [];
  const fields = Object.entries(OWN_SCHEMAS[kind]?.shape ?? {});
  return Object.fromEntries(fields.filter(([field]) => hidden.includes(field) === isHidden));
}

function hiddenShape(kind: EntityKind): z.ZodRawShape {
  return ownShape(kind, true);
}

function viewOf(kind: EntityKind): z.ZodObject {
  const name = entityNameSchema(kind);
  const fields = { ...SCHEMAS[kind].shape, ...complete[kind], ...ownShape(kind, false) };
  return z.strictObject({ name, ...fields, version });
}

function bodyOf(kind: EntityKind): z.ZodObject {
  const name = entityNameSchema(kind).optional();
  const own = z.strictObject(ownShape(kind, false)).partial().shape;
  return z.strictObject({ ...SCHEMAS[kind].shape, ...own, name, version: version.optional() });
}
