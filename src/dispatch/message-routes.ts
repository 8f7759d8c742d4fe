// The REST resources of messages: send, find, list.
import { z } from 'zod';
import { INPUT_OP } from '../protocol/exchange.ts';
import { MESSAGE_STATUS } from '../protocol/kinds.ts';
import { encodeList } from '../protocol/message-ops.ts';
import { pageOf } from '../rest/page-query.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import {
  beforeMessage,
  beforeSend,
  exampleId,
  exampleMessage,
  exampleSend,
  exampleTrace,
} from './message-examples.ts';
import { type ShardPage, walkShards } from './message-list.ts';
import { newestOfShards } from './message-newest.ts';
import { acceptedOrThrow, publishMessages, readBatch, readSend } from './message-publish.ts';
import {
  acceptedSchema,
  batchResultSchema,
  batchSchema,
  findQuery,
  forgottenSchema,
  foundSchema,
  idSchema,
  keySchema,
  listQuery,
  MESSAGES_MAX,
  messageSchema,
  sendSchema,
  timeMs,
} from './message-schemas.ts';
import type { MessageShards } from './message-shards.ts';
import { messageView } from './message-view.ts';

/** What a message, or all of a request, may be refused with. */
const SEND_ERRORS = [
  ...(['invalidValue', 'payloadTooLarge', 'unknownDestination', 'invalidOption'] as const),
  ...(['queueFull', 'tenantFull', 'shardFull', 'tooManyQueues', 'tooManyKeys'] as const),
  ...(['refusingNew', 'wouldExpire', 'diskFull', 'goingAway'] as const),
];

export function messageRoutes(shards: MessageShards): RestRoute[] {
  return [sendRoute(shards), batchRoute(shards), listRoute(shards), getRoute(shards)];
}

function sendRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/messages',
    scope: 'platform',
    doc: {
      tag: 'messages',
      summary: 'Takes one message; the answer means that it is on disk.',
      params: {},
      query: NO_QUERY,
      headers: {
        'Idempotency-Key': keySchema
          .optional()
          .describe('in place of idempotencyKey; bare, or in double quotes'),
      },
      body: sendSchema,
      responses: [{ status: 202, meaning: 'accepted', schema: acceptedSchema }],
      errors: SEND_ERRORS,
      example: {
        before: beforeSend,
        body: { ...exampleSend, idempotencyKey: 'order-1' },
        status: 202,
        response: { id: exampleId, repeated: false },
      },
    },
    handler: async ({ body, headers }) => {
      const outgoing = readSend(body, headers.get('idempotency-key'));
      const [published] = await publishMessages(shards, outgoing);
      return { status: 202, body: acceptedOrThrow(published) };
    },
  });
}

function batchRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/messages/batch',
    scope: 'platform',
    doc: {
      tag: 'messages',
      summary: `Takes up to ${MESSAGES_MAX.toLocaleString('en')} messages for one destination, each accepted or refused on its own.`,
      params: {},
      query: NO_QUERY,
      body: batchSchema,
      responses: [{ status: 202, meaning: 'what became of each', schema: batchResultSchema }],
      errors: SEND_ERRORS,
      example: {
        before: beforeSend,
        body: {
          destination: 'sms-de',
          messages: [
            { tenant: 'acme', sender: '4930', payload: 'one' },
            {
              tenant: 'acme',
              sender: '4930',
              payloadBase64: 'AP8=',
              sendAt: '2026-12-24T18:00:00Z',
            },
          ],
        },
        status: 202,
        response: {
          items: [
            { id: exampleId, repeated: false },
            {
              code: 3002,
              message: 'The queue holds as many messages as it may.',
              retryAfterMs: 1000,
            },
          ],
        },
      },
    },
    handler: async ({ body, headers }) => {
      const outgoing = readBatch(body, headers.get('idempotency-key'));
      return { status: 202, body: { items: await publishMessages(shards, outgoing) } };
    },
  });
}

function getRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/messages/:id',
    scope: 'platform',
    doc: {
      tag: 'messages',
      summary: 'Shows one message that waits, is being sent or is still remembered.',
      params: { id: idSchema },
      query: findQuery,
      body: null,
      responses: [
        {
          status: 200,
          meaning: 'the message; what is left of a forgotten one of which a receipt came late',
          schema: z.union([foundSchema, forgottenSchema]),
        },
      ],
      errors: ['messageNotFound', 'invalidValue'],
      example: {
        before: beforeMessage,
        params: { id: exampleId },
        query: { trace: 'true' },
        status: 200,
        response: { ...exampleMessage, trace: exampleTrace, traceTruncated: false },
      },
    },
    handler: async ({ params: { id = '' }, query }) => {
      const found = await shards.findOrLate(id, query);
      return { status: 200, body: 'forgotten' in found ? found : messageView(found) };
    },
  });
}

function listRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/messages',
    scope: 'platform',
    doc: {
      tag: 'messages',
      summary: 'Lists messages, the oldest or the newest first; a page may be short.',
      params: {},
      query: listQuery,
      body: null,
      responses: [{ status: 200, meaning: 'a page', schema: pageOf(messageSchema) }],
      errors: ['invalidValue'],
      example: {
        before: beforeMessage,
        query: { tenant: 'acme', status: 'queued,scheduled', limit: '10' },
        status: 200,
        response: { items: [exampleMessage], cursor: null },
      },
    },
    handler: async ({ query }) => {
      const { destination, tenant, status, order, from, to, limit, cursor } = query;
      const filter = {
        destination,
        tenant,
        statuses: statusBits(status),
        fromMs: from === undefined ? 0 : timeMs(from),
        toMs: to === undefined ? Number.MAX_SAFE_INTEGER : timeMs(to),
        newestFirst: order === 'newest',
      };
      const ask = (shard: number, cursor: string, limit: number): Promise<ShardPage> =>
        shards.ask(shard, INPUT_OP.list, encodeList({ ...filter, cursor, limit }));
      const pageOfShards = order === 'newest' ? newestOfShards : walkShards;
      const walk = { shards: shards.shardsOf(destination), cursor, limit, ask };
      const page = await pageOfShards(walk);
      return { status: 200, body: { ...page, items: page.items.map(messageView) } };
    },
  });
}

/** A bit for each status, 0 for all. */
function statusBits(status: string | undefined): number {
  const names = (status?.split(',') ?? []) as (keyof typeof MESSAGE_STATUS)[];
  return names.reduce((bits, name) => bits | (1 << MESSAGE_STATUS[name]), 0);
}
