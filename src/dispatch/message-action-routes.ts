// The REST resources that change messages: cancel, redact, forget, erase.
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { parseObject } from '../rest/parse-object.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import { nameSchema } from './entity-fields.ts';
import { checkName } from './entity-names.ts';
import { eraseTenant } from './message-erase.ts';
import { beforeEnded, beforeMessage, exampleId } from './message-examples.ts';
import { cancelSchema, idSchema, oneQuery } from './message-schemas.ts';
import type { MessageShards } from './message-shards.ts';

const WAIT_MS_DEFAULT = 10_000;
/** Less than clients usually wait for an answer. */
const WAIT_MS_MAX = 25_000;

const count = z.int().min(0);

export function messageActionRoutes(
  shards: MessageShards,
  hasTenant: (name: string) => boolean,
): RestRoute[] {
  return [
    cancelRoute(shards),
    redactRoute(shards),
    forgetRoute(shards),
    cancelAllRoute(shards),
    eraseRoute(shards, hasTenant),
  ];
}

function cancelRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/messages/:id/cancel',
    scope: 'platform',
    doc: {
      tag: 'messages',
      summary: 'Cancels a message that waits for its turn, its time or its next attempt.',
      params: { id: idSchema },
      query: oneQuery,
      body: null,
      responses: [
        {
          status: 200,
          meaning: 'cancelled',
          schema: z.strictObject({ id: idSchema, status: z.literal('cancelled') }),
        },
      ],
      errors: ['messageNotFound', 'messageEnded', 'messageInFlight', 'invalidValue'],
      example: {
        before: beforeMessage,
        params: { id: exampleId },
        status: 200,
        response: { id: exampleId, status: 'cancelled' },
      },
    },
    handler: async ({ params: { id = '' }, query }) => {
      await shards.cancel(id, query.tenant);
      return { status: 200, body: { id: id.toLowerCase(), status: 'cancelled' } };
    },
  });
}

function redactRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/messages/:id/redact',
    scope: 'platform',
    doc: {
      tag: 'messages',
      summary: 'Takes payload, recipient and callback out of a message that has ended.',
      params: { id: idSchema },
      query: oneQuery,
      body: null,
      responses: [
        {
          status: 200,
          meaning: 'redacted',
          schema: z.strictObject({ id: idSchema, redacted: z.literal(true) }),
        },
      ],
      errors: ['messageNotFound', 'messageNotEnded', 'invalidValue'],
      example: {
        before: beforeEnded,
        params: { id: exampleId },
        status: 200,
        response: { id: exampleId, redacted: true },
      },
    },
    handler: async ({ params: { id = '' }, query }) => {
      await shards.redact(id, query.tenant);
      return { status: 200, body: { id: id.toLowerCase(), redacted: true } };
    },
  });
}

function forgetRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'DELETE',
    path: '/v1/messages/:id',
    scope: 'platform',
    doc: {
      tag: 'messages',
      summary: 'Forgets a message that has ended: it is redacted and in no answer any more.',
      params: { id: idSchema },
      query: oneQuery,
      body: null,
      responses: [{ status: 204, meaning: 'forgotten', schema: null }],
      errors: ['messageNotFound', 'messageNotEnded', 'invalidValue'],
      example: { before: beforeEnded, params: { id: exampleId }, status: 204 },
    },
    handler: async ({ params: { id = '' }, query }) => {
      await shards.forget(id, query.tenant);
      return { status: 204 };
    },
  });
}

function cancelAllRoute(shards: MessageShards): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/messages/cancel',
    scope: 'platform',
    doc: {
      tag: 'messages',
      summary: 'Cancels all that waits of a destination, tenant or sender; at least one is named.',
      params: {},
      query: NO_QUERY,
      body: cancelSchema,
      responses: [
        { status: 200, meaning: 'how many', schema: z.strictObject({ cancelled: count }) },
      ],
      errors: ['invalidValue', 'unknownDestination'],
      example: {
        before: beforeMessage,
        body: { tenant: 'acme', sender: '4930' },
        status: 200,
        response: { cancelled: 1 },
      },
    },
    handler: async ({ body }) => {
      const filter = parseObject('A cancel', cancelSchema, asObject(body));
      requireOne(filter, ['destination', 'tenant', 'sender']);
      requireDestination(shards, filter.destination);
      return { status: 200, body: { cancelled: await shards.cancelAll(filter) } };
    },
  });
}

const eraseSchema = z.strictObject({
  waitMs: z
    .int(`is a whole number from 0 to ${WAIT_MS_MAX}`)
    .min(0)
    .max(WAIT_MS_MAX)
    .default(WAIT_MS_DEFAULT)
    .describe('how long messages in flight are waited for'),
});

const erasedSchema = z.strictObject({
  tenant: nameSchema,
  cancelled: count,
  purged: count.describe('dead letters'),
  redacted: count,
  left: count.describe('in flight, or accepted meanwhile: ask again'),
  entityStays: z.boolean().describe('there is a tenant entity of this name, which was left alone'),
});

function eraseRoute(shards: MessageShards, hasTenant: (name: string) => boolean): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/tenants/:name/erase',
    scope: 'platform',
    doc: {
      tag: 'tenants',
      summary:
        'Cancels what waits of a tenant, purges its dead letters and redacts what has ended; the tenant’s fields stay.',
      params: { name: nameSchema },
      query: NO_QUERY,
      body: eraseSchema,
      responses: [{ status: 200, meaning: 'what was done', schema: erasedSchema }],
      errors: ['invalidName', 'fieldTooLong', 'invalidValue'],
      example: {
        before: beforeMessage,
        params: { name: 'acme' },
        body: { waitMs: 5_000 },
        status: 200,
        response: {
          tenant: 'acme',
          cancelled: 1,
          purged: 0,
          redacted: 1,
          left: 0,
          entityStays: false,
        },
      },
    },
    handler: async ({ params: { name = '' }, body }) => {
      checkName(name);
      const { waitMs } = parseObject('An erasure', eraseSchema, asObject(body));
      const erased = await eraseTenant(shards, name, waitMs);
      return { status: 200, body: { tenant: name, ...erased, entityStays: hasTenant(name) } };
    },
  });
}

/** @throws FairleadError invalidValue */
export function asObject(body: unknown): object {
  if (body === undefined || body === null) return {};
  if (typeof body === 'object' && !Array.isArray(body)) return body;
  throw new FairleadError('invalidValue', 'The body is a JSON object.');
}

/** What acts on many messages has to say which. @throws FairleadError invalidValue */
export function requireOne(given: object, fields: readonly string[]): void {
  const named = given as Readonly<Record<string, unknown>>;
  if (fields.some((field) => named[field] !== undefined)) return;
  const names = `${fields.slice(0, -1).join(', ')} or ${fields.at(-1)}`;
  throw new FairleadError('invalidValue', `The body names ${names}, received none of them.`, {
    fields: fields.map((field) => ({ field })),
  });
}

/** A name that is misspelt shall not look like one that has nothing. @throws FairleadError unknownDestination */
export function requireDestination(
  { destinations }: MessageShards,
  destination: string | undefined,
): void {
  if (destination === undefined || destinations.shardOf(destination) !== undefined) return;
  throw new FairleadError('unknownDestination', `There is no destination ${destination}.`);
}
