// The REST resources of the outbox: endpoints, items, replay, enable, test.
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { pageFields, pageOf, pageQuery } from '../rest/page-query.ts';
import { parseObject } from '../rest/parse-object.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import type { Outbox } from './outbox.ts';
import type { AttemptParts } from './outbox-attempt.ts';
import { endpointUrl } from './outbox-endpoints.ts';
import { storedItems } from './outbox-load.ts';
import { endpointSchema, endpointView, itemSchema, itemView } from './outbox-views.ts';
import type { OutboxEnvironment } from './outbox-writer.ts';
import { sendTest, testResultSchema } from './webhook-test.ts';

export interface OutboxRoutesOptions extends AttemptParts {
  readonly outbox: Outbox;
  readonly environment: OutboxEnvironment;
  readonly nowMs: () => number;
}

const tag = 'outbox';
const url = z.string('is a URL').min(1).max(LIMITS.callbackBytes);
const IDS_MAX = 1_000;
const number = z.string().regex(/^\d{1,15}$/, 'is what the page before gave');
const exampleUrl = 'https://example.com/hook';

export function outboxRoutes(options: OutboxRoutesOptions): RestRoute[] {
  const { outbox } = options;
  return [
    endpointsRoute(options),
    itemsRoute(options),
    replayRoute(outbox),
    enableRoute(outbox),
    testRoute(options),
  ];
}

function endpointsRoute({ outbox, nowMs }: OutboxRoutesOptions): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/outbox/endpoints',
    scope: 'platform',
    doc: {
      tag,
      summary: 'Lists the endpoints of webhooks and callbacks, and how each of them does.',
      params: {},
      query: pageQuery.extend({ cursor: number.optional() }),
      body: null,
      responses: [{ status: 200, meaning: 'a page', schema: pageOf(endpointSchema) }],
      errors: ['invalidValue'],
      example: { query: { limit: '10' }, status: 200, response: { items: [], cursor: null } },
    },
    handler: ({ query: { limit, cursor } }) => {
      const items: object[] = [];
      for (const endpoint of outbox.items.endpoints.from(Number(cursor ?? 0))) {
        if (items.length === limit) {
          return { status: 200, body: { items, cursor: String(endpoint.place) } };
        }
        items.push(endpointView(endpoint, nowMs()));
      }
      return { status: 200, body: { items, cursor: null } };
    },
  });
}

const itemsQuery = z.strictObject({
  endpoint: url.optional().describe('of this endpoint only; its query does not count'),
  state: z
    .enum(['waiting', 'failed'], 'is waiting or failed')
    .optional()
    .describe('in this state only'),
  ...pageFields,
  cursor: number.optional().describe('where the page before ended'),
});

function itemsRoute({ environment }: OutboxRoutesOptions): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/outbox/items',
    scope: 'platform',
    doc: {
      tag,
      summary:
        'Lists webhooks and callbacks that wait or have failed, oldest first; a page may be short.',
      params: {},
      query: itemsQuery,
      body: null,
      responses: [{ status: 200, meaning: 'a page', schema: pageOf(itemSchema) }],
      errors: ['invalidValue'],
      example: { query: { state: 'failed' }, status: 200, response: { items: [], cursor: null } },
    },
    handler: ({ query: { endpoint, state, limit, cursor } }) => {
      const wanted = endpoint === undefined ? undefined : endpointUrl(endpoint);
      const items: object[] = [];
      let seen = 0;
      environment.refresh();
      for (const stored of storedItems(environment, Number(cursor ?? 0))) {
        if (items.length === limit || seen === LIMITS.outboxItemsPerPage) {
          return { status: 200, body: { items, cursor: String(stored.number) } };
        }
        seen += 1;
        const isFailed = stored.progress?.isFailed === true;
        if (state !== undefined && isFailed !== (state === 'failed')) continue;
        if (wanted !== undefined && endpointUrl(stored.item.url) !== wanted) continue;
        items.push(itemView(stored));
      }
      return { status: 200, body: { items, cursor: null } };
    },
  });
}

const replaySchema = z.strictObject({
  endpoint: url.optional().describe('all that failed of this endpoint'),
  ids: z
    .array(z.string(), 'is a list of ids')
    .min(1)
    .max(IDS_MAX)
    .optional()
    .describe('webhook-ids; instead of endpoint'),
});

function replayRoute(outbox: Outbox): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/outbox/replay',
    scope: 'platform',
    doc: {
      tag,
      summary: `Sends again what failed for good, up to ${LIMITS.outboxReplayItems.toLocaleString('en')} at a time.`,
      params: {},
      query: NO_QUERY,
      body: replaySchema,
      responses: [
        {
          status: 200,
          meaning: 'what is sent again',
          schema: z.strictObject({
            replayed: z.int().min(0),
            unknown: z.int().min(0).describe('ids of none that failed'),
            left: z.int().min(0).describe('of the endpoint, for another replay'),
          }),
        },
      ],
      errors: ['invalidValue', 'unknownField', 'endpointDisabled'],
      example: {
        body: { endpoint: exampleUrl },
        status: 200,
        response: { replayed: 0, unknown: 0, left: 0 },
      },
    },
    handler: async ({ body }) => {
      const { endpoint, ids } = parseObject('A replay', replaySchema, asObject(body));
      if ((endpoint === undefined) === (ids === undefined)) {
        throw new FairleadError('invalidValue', 'The body names endpoint or ids.');
      }
      return { status: 200, body: await replay(outbox, endpoint, ids ?? []) };
    },
  });
}

async function replay(
  outbox: Outbox,
  endpoint: string | undefined,
  ids: readonly string[],
): Promise<object> {
  const { items } = outbox;
  const named = endpoint === undefined ? undefined : items.endpoints.find(endpoint);
  const found = ids.map((id) => items.find(id)).filter((slot) => items.isFailed(slot));
  const slots = new Set(found);
  if (named !== undefined) {
    for (const slot of items.failedOf(named)) {
      if (slots.size === LIMITS.outboxReplayItems) break;
      slots.add(slot);
    }
  }
  for (const slot of slots) {
    const { url, disabledMs } = items.endpointAt(slot);
    if (disabledMs === 0) continue;
    const message = `The endpoint ${url} answered 410 and is disabled; enable it first.`;
    throw new FairleadError('endpointDisabled', message);
  }
  const replayed = await items.replay([...slots]);
  outbox.pump();
  return { replayed, unknown: ids.length - found.length, left: named?.failed ?? 0 };
}

const enableSchema = z.strictObject({ url: url.describe('the endpoint') });

function enableRoute(outbox: Outbox): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/outbox/endpoints/enable',
    scope: 'platform',
    doc: {
      tag,
      summary: 'Enables an endpoint that answered 410; what failed meanwhile waits for a replay.',
      params: {},
      query: NO_QUERY,
      body: enableSchema,
      responses: [
        {
          status: 200,
          meaning: 'it may be sent to',
          schema: z.strictObject({
            url: z.string(),
            wasDisabled: z.boolean(),
            failed: z.int().min(0).describe('what a replay sends again'),
          }),
        },
      ],
      errors: ['invalidValue', 'unknownField'],
      example: {
        body: { url: exampleUrl },
        status: 200,
        response: { url: exampleUrl, wasDisabled: false, failed: 0 },
      },
    },
    handler: async ({ body }) => {
      const given = parseObject('An endpoint', enableSchema, asObject(body));
      const endpoint = outbox.items.endpoints.find(given.url);
      const wasDisabled = endpoint !== undefined && endpoint.disabledMs !== 0;
      if (endpoint !== undefined) await outbox.items.enable(endpoint);
      outbox.pump();
      const shown = endpointUrl(given.url);
      return { status: 200, body: { url: shown, wasDisabled, failed: endpoint?.failed ?? 0 } };
    },
  });
}

const testSchema = z.strictObject({
  url: url.describe('where the test goes'),
  tenant: z.string('is a name').min(1).max(LIMITS.nameBytes).describe('whose key signs it'),
});

function testRoute(options: OutboxRoutesOptions): RestRoute {
  const exampleHeaders = {
    'webhook-id': 'test_5f0c6f6e2f8b4a3c',
    'webhook-timestamp': '1790000000',
    'webhook-signature': 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
  };
  return route({
    method: 'POST',
    path: '/v1/outbox/test',
    scope: 'platform',
    doc: {
      tag,
      summary: 'Sends a signed test to a URL at once, and tells what came of it.',
      params: {},
      query: NO_QUERY,
      body: testSchema,
      responses: [{ status: 200, meaning: 'taken or not', schema: testResultSchema }],
      errors: ['invalidValue', 'unknownField'],
      example: {
        body: { url: 'https://192.0.2.1/hook', tenant: 'acme' },
        status: 200,
        response: {
          url: 'https://192.0.2.1/hook',
          isTaken: false,
          status: null,
          ms: null,
          headers: exampleHeaders,
          error: { kind: 'blocked', message: '192.0.2.1 leads to 192.0.2.1, which is not public' },
        },
      },
    },
    handler: async ({ body }) => {
      const given = parseObject('A test', testSchema, asObject(body));
      return { status: 200, body: await sendTest(given, options, options.nowMs()) };
    },
  });
}

function asObject(body: unknown): object {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body;
  throw new FairleadError('invalidValue', 'The body is a JSON object.');
}
