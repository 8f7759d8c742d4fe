// Entities that are there before anybody made them and cannot be deleted; a PUT changes them.
import type { EntityKind } from './entity-kinds.ts';
import { DEFAULT_SET, setSchema } from './entity-schemas.ts';
import type { EntityRow } from './ports.ts';
import { API_RESOURCE, resourceSchema } from './resource-schemas.ts';

/** Requests to the REST interface at one time: as many as its server takes, and a quarter of them for one tenant. */
const apiFields = { limit: 1_000, tenantLimit: 250 } as const;

export const STANDING_ROWS: readonly EntityRow[] = [
  { kind: 'set', name: DEFAULT_SET, version: 0, fields: setSchema.parse({}) },
  { kind: 'resource', name: API_RESOURCE, version: 0, fields: resourceSchema.parse(apiFields) },
];

export function isStanding(kind: EntityKind, name: string): boolean {
  return STANDING_ROWS.some((row) => row.kind === kind && row.name === name);
}
