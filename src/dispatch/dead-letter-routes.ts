// The REST resources of dead letters: find, list, replay, purge.
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { INPUT_OP } from '../protocol/exchange.ts';
import { encodeDeadLetters } from '../protocol/message-ops.ts';
import { pageOf } from '../rest/page-query.ts';
import { parseObject } from '../rest/parse-object.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import { asObject, requireOne } from './message-action-routes.ts';
import { beforeDeadLetter, exampleDeadLetter, exampleId } from './message-examples.ts';
import { type ShardPage, walkShards } from './message-list.ts';
import {
  chooseDeadSchema,
  deadLettersQuery,
  findQuery,
  foundSchema,
  idSchema,
  messageSchema,
} from './message-schemas.ts';
import type { MessageShards } from './message-shards.ts';
import { messageView } from './message-view.ts';

const tag = 'dead letters';
const count = z.int().min(0);

export function deadLetterRoutes(shards: MessageShards): RestRoute[] {
  return [
    listRoute(shards),
    getRoute(shards),
    settleRoute(shards, 'replay'),
    settleRoute(shards, 'purge'),
  ];
}

function listRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/dead-letters',
    scope: 'platform',
    doc: {
      tag,
      summary: 'Lists dead letters, shard after shard in order of acceptance; a page may be short.',
      params: {},
      query: deadLettersQuery,
      body: null,
      responses: [{ status: 200, meaning: 'a page', schema: pageOf(messageSchema) }],
      errors: ['invalidValue'],
      example: {
        before: beforeDeadLetter,
        query: { destination: 'sms-de', limit: '10' },
        status: 200,
        response: { items: [exampleDeadLetter], cursor: null },
      },
    },
    handler: async ({ query: { destination, tenant, limit, cursor } }) => {
      const ask = (shard: number, cursor: string, limit: number): Promise<ShardPage> => {
        const body = encodeDeadLetters({ destination, tenant, cursor, limit });
        return shards.ask(shard, INPUT_OP.deadLetters, body);
      };
      const page = await walkShards({ shards: shards.shardsOf(destination), cursor, limit, ask });
      return { status: 200, body: { ...page, items: page.items.map(messageView) } };
    },
  });
}

function getRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/dead-letters/:id',
    scope: 'platform',
    doc: {
      tag,
      summary: 'Shows one dead letter; any other message is not found here.',
      params: { id: idSchema },
      query: findQuery,
      body: null,
      responses: [{ status: 200, meaning: 'the dead letter', schema: foundSchema }],
      errors: ['messageNotFound', 'invalidValue'],
      example: {
        before: beforeDeadLetter,
        params: { id: exampleId },
        status: 200,
        response: exampleDeadLetter,
      },
    },
    handler: async ({ params: { id = '' }, query }) => {
      const message = await shards.find(id, query);
      if (message.deadLetter) return { status: 200, body: messageView(message) };
      throw new FairleadError('messageNotFound', `${id}: It is no dead letter.`, { id });
    },
  });
}

const doneNames = { replay: 'replayed', purge: 'purged' } as const;
const summaries = {
  replay: 'Puts dead letters into their queues again, their attempts forgotten.',
  purge: 'Gives dead letters up for good; they stay known for a while, as failed.',
} as const;

function settleRoute(shards: MessageShards, verb: 'replay' | 'purge'): RestRoute {
  const done = doneNames[verb];
  return route({
    method: 'POST',
    path: `/v1/dead-letters/${verb}`,
    scope: 'platform',
    doc: {
      tag,
      summary: summaries[verb],
      params: {},
      query: NO_QUERY,
      body: chooseDeadSchema,
      responses: [
        {
          status: 200,
          meaning: 'how many',
          schema: z.strictObject({
            [done]: count,
            unknown: count.describe('that are no dead letters, or not the tenant’s'),
          }),
        },
      ],
      errors: ['invalidValue'],
      example: {
        before: beforeDeadLetter,
        body: { destination: 'sms-de', tenant: 'acme' },
        status: 200,
        response: { [done]: 1, unknown: 0 },
      },
    },
    handler: async ({ body }) => {
      const choice = parseObject(`A ${verb}`, chooseDeadSchema, asObject(body));
      requireOne(choice, ['ids', 'destination', 'tenant']);
      if (choice.ids !== undefined && choice.destination !== undefined) {
        const message = 'destination: is left out where ids are given.';
        throw new FairleadError('invalidValue', message, { field: 'destination' });
      }
      const { done: number, unknown } = await shards.settleDead(verb, choice);
      return { status: 200, body: { [done]: number, unknown } };
    },
  });
}
