/** The REST resources of dispatch: messages, dead letters, entities, apply, audit, explain, status. */
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { pageFields } from '../rest/page-query.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import { applyRoute } from './apply-route.ts';
import { auditRoute } from './audit-log.ts';
import { deadLetterRoutes } from './dead-letter-routes.ts';
import { nameSchema } from './entity-fields.ts';
import { ENTITY_KINDS, type EntityKind } from './entity-kinds.ts';
import { checkName } from './entity-names.ts';
import { entityRoutes } from './entity-routes.ts';
import type { EntityService } from './entity-service.ts';
import { messageActionRoutes } from './message-action-routes.ts';
import { messageRoutes } from './message-routes.ts';
import { MessageShards } from './message-shards.ts';
import type { EntityTable, LateMessages, ShardPorts } from './ports.ts';
import { type SecretOf, secretRoutes } from './secret-routes.ts';

/** As documents have them: destinations first. */
const KINDS = [
  'destination',
  ...ENTITY_KINDS.filter((kind) => kind !== 'destination'),
] as const satisfies EntityKind[];

export interface RestRoutesOptions {
  readonly entities: EntityService;
  readonly table: EntityTable;
  readonly shards: ShardPorts;
  /** The whole answer of `/v1/status`. */
  readonly status: () => Promise<object>;
  readonly secretOf: SecretOf;
  /** Undefined: nothing is known of messages that shards have forgotten. */
  readonly late?: LateMessages;
}

export function restRoutes(options: RestRoutesOptions): RestRoute[] {
  const { entities, table, shards, status, secretOf, late } = options;
  const messages = new MessageShards(entities, shards, late);
  const hasTenant = (name: string): boolean => entities.find('tenant', name) !== undefined;
  return [
    ...messageRoutes(messages),
    ...messageActionRoutes(messages, hasTenant),
    ...deadLetterRoutes(messages),
    ...KINDS.flatMap((kind) => entityRoutes(entities, kind)),
    ...secretRoutes(entities, secretOf),
    explainRoute(entities, shards),
    applyRoute(entities),
    auditRoute(table),
    statusRoute(status),
  ];
}

const count = z.int().min(0);

const explainSchema = z.looseObject({
  destination: z.string(),
  waiting: count,
  inFlight: count,
  consumers: count,
  credit: count,
  queueCount: count,
  queues: z.array(
    z.looseObject({
      set: z.string(),
      tenant: z.string(),
      sender: z.string().nullable(),
      orderKey: z.string().nullable(),
      level: count,
      waiting: count,
      inFlight: count,
      eligible: z.boolean(),
    }),
  ),
  lastPicks: z.array(z.looseObject({})),
  cursor: z.string().nullable(),
});

function explainRoute(entities: EntityService, shards: ShardPorts): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/destinations/:name/explain',
    scope: 'platform',
    doc: {
      tag: 'destinations',
      summary: 'Shows the queues of a destination with their scores, and why the last were picked.',
      params: { name: nameSchema },
      query: z.strictObject({
        ...pageFields,
        cursor: z
          .string()
          .regex(/^\d{1,9}$/, 'is what the page before gave')
          .default('0')
          .describe('where the page before ended'),
      }),
      body: null,
      responses: [{ status: 200, meaning: 'a page of queues', schema: explainSchema }],
      errors: ['unknownDestination', 'invalidValue', 'invalidName', 'fieldTooLong'],
      example: {
        before: [{ method: 'PUT', path: '/v1/destinations/sms-de', body: {} }],
        params: { name: 'sms-de' },
        query: { limit: '10' },
        status: 200,
        response: {
          destination: 'sms-de',
          waiting: 0,
          inFlight: 0,
          consumers: 0,
          credit: 0,
          queueCount: 0,
          queues: [],
          lastPicks: [],
          cursor: null,
        },
      },
    },
    handler: async ({ params, query: { cursor, limit } }) => {
      const destination = params.name ?? '';
      checkName(destination);
      const shard = entities.shardOf(destination);
      if (shard === undefined) {
        throw new FairleadError('unknownDestination', `There is no destination ${destination}.`);
      }
      const offset = Number(cursor);
      const body = (await shards.explain(shard, { destination, offset, limit })) as {
        readonly queues?: readonly unknown[];
      };
      // A full page may be followed by another one.
      const more = (body.queues?.length ?? 0) >= limit;
      return { status: 200, body: { ...body, cursor: more ? String(offset + limit) : null } };
    },
  });
}

const statusSchema = z.looseObject({
  version: z.string(),
  uptimeSec: count,
  durability: z.enum(['flushed', 'committed', 'memory']),
  transport: z.enum(['native', 'fallback']),
  connections: count,
  connectionsParked: count,
  usage: z.looseObject({
    counters: count.describe('tenants times categories times tags'),
    triggers: count,
    eventKeys: count.describe('that are known'),
    dirtyCells: count.describe('cells of counters that wait for a checkpoint'),
    firingsUntold: count.describe('firings whose callbacks are not in the outbox yet'),
    logBytes: count,
  }),
  shards: z.array(
    z.looseObject({
      shard: count,
      waiting: count,
      scheduled: count.describe('that wait for their time'),
      inFlight: count,
      deadLetters: count,
      queues: count,
      endedBytes: count.describe('of ended messages that are remembered'),
      idempotencyKeys: count.describe('that are remembered'),
      expired: count.describe('since the start, as all below'),
      cancelled: count,
      undelivered: count.describe('told by receipts'),
      repeated: count.describe('messages whose idempotency key was known'),
      deadLettersDropped: count.describe('given up because there were too many'),
      acceptedThenExpired: count,
      refusedByTime: count.describe('that would have expired before their turn'),
      refusedWouldHaveMadeIt: count.describe('of these, those that would have been sent in time'),
      oldestAcceptedMs: z.int().nullable(),
      journalBytes: count,
      flushMs: z.number().nullable().describe('mean of all flushes'),
      flushP99Ms: z.number().nullable().describe('bound that 99 of 100 flushes keep'),
    }),
  ),
});

function statusRoute(status: () => Promise<object>): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/status',
    scope: 'platform',
    doc: {
      tag: 'daemon',
      summary: 'Shows how the daemon and its shards are.',
      params: {},
      query: NO_QUERY,
      body: null,
      responses: [{ status: 200, meaning: 'the state', schema: statusSchema }],
      errors: [],
      example: {
        status: 200,
        response: {
          version: '0.1.0',
          uptimeSec: 60,
          durability: 'flushed',
          transport: 'native',
          connections: 2,
          connectionsParked: 0,
          usage: {
            counters: 12,
            triggers: 2,
            eventKeys: 40,
            dirtyCells: 3,
            firingsUntold: 0,
            logBytes: 4_096,
          },
          shards: [
            {
              shard: 0,
              waiting: 12,
              scheduled: 3,
              inFlight: 0,
              deadLetters: 1,
              queues: 2,
              endedBytes: 16_384,
              idempotencyKeys: 5,
              expired: 0,
              cancelled: 0,
              undelivered: 0,
              repeated: 1,
              deadLettersDropped: 0,
              acceptedThenExpired: 0,
              refusedByTime: 0,
              refusedWouldHaveMadeIt: 0,
              oldestAcceptedMs: 1_790_000_000_123,
              journalBytes: 0,
              flushMs: 1.25,
              flushP99Ms: 5,
            },
          ],
        },
      },
    },
    handler: async () => ({ status: 200, body: await status() }),
  });
}
