/** The record of changes to entities: who changed what, when, from what to what. Written by the entity service. */
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { pageFields, pageOf } from '../rest/page-query.ts';
import { type RestRoute, route } from '../rest/rest-route.ts';
import { ENTITY_KINDS } from './entity-kinds.ts';
import type { ChangeRecord, EntityTable } from './ports.ts';

const fields = z.record(z.string(), z.unknown()).nullable();

const recordSchema = z.strictObject({
  sequence: z.int().min(1).describe('number of the change, and version of what it wrote'),
  atMs: z.int().describe('ms since the epoch'),
  actor: z
    .string()
    .describe('subject of the token; platform: it had none; daemon: the daemon itself'),
  address: z.string().nullable().describe('where the request came from'),
  kind: z.enum(ENTITY_KINDS),
  name: z.string().describe('a sender’s is tenant/sender'),
  before: fields.describe('all fields but secrets; null: there was none of that name'),
  after: fields.describe('all fields but secrets; null: deleted'),
});

const querySchema = z.strictObject({
  kind: z
    .enum(ENTITY_KINDS, `is one of ${ENTITY_KINDS.join(', ')}`)
    .optional()
    .describe('changes of this kind only'),
  name: z.string().min(1).max(257).optional().describe('changes of this name only'),
  ...pageFields,
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, 'is what the page before gave')
    .optional()
    .describe('where the page before ended'),
});

export interface AuditQuery {
  readonly kind?: string | undefined;
  readonly name?: string | undefined;
  readonly limit: number;
  /** Only changes with smaller numbers. */
  readonly below: number;
}

export interface AuditPage {
  readonly items: readonly (ChangeRecord & { readonly sequence: number })[];
  /** Number to go on below; undefined: that was all. */
  readonly next: number | undefined;
}

/**
 * A page of the changes that a filter lets through, newest first. It may be short or empty although
 * there are more, since one page looks through a bounded number of records.
 */
export function auditPage(table: EntityTable, { kind, name, limit, below }: AuditQuery): AuditPage {
  const items: (ChangeRecord & { sequence: number })[] = [];
  let seen = 0;
  let last = below;
  for (const { sequence, value } of table.changes(below)) {
    if (items.length >= limit || seen >= LIMITS.changesPerPage) return { items, next: last };
    seen += 1;
    last = sequence;
    const record = value as ChangeRecord;
    if (kind !== undefined && record.kind !== kind) continue;
    if (name === undefined || record.name === name) items.push({ sequence, ...record });
  }
  return { items, next: undefined };
}

export function auditRoute(table: EntityTable): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/audit',
    scope: 'platform',
    doc: {
      tag: 'daemon',
      summary: `Lists the newest ${LIMITS.changeRecords.toLocaleString('en')} changes of entities, newest first; a page may be short.`,
      params: {},
      query: querySchema,
      body: null,
      responses: [{ status: 200, meaning: 'a page', schema: pageOf(recordSchema) }],
      errors: ['invalidValue'],
      example: {
        before: [
          { method: 'PUT', path: '/v1/pools/campaign', body: { ratePerSec: 50 } },
          { method: 'PUT', path: '/v1/pools/campaign', body: { ratePerSec: 80 } },
        ],
        query: { kind: 'pool', limit: '1' },
        status: 200,
        response: {
          items: [
            {
              sequence: 2,
              atMs: 1_790_000_000_123,
              actor: 'platform',
              address: '127.0.0.1',
              kind: 'pool',
              name: 'campaign',
              before: { ratePerSec: 50, burst: null },
              after: { ratePerSec: 80, burst: null },
            },
          ],
          cursor: '2',
        },
      },
    },
    handler: ({ query }) => {
      const { kind, name, limit, cursor } = query;
      const below = cursor === undefined ? Number.MAX_SAFE_INTEGER : Number(cursor);
      const { items, next } = auditPage(table, { kind, name, limit, below });
      return { status: 200, body: { items, cursor: next === undefined ? null : String(next) } };
    },
  });
}
