/** The REST resources of the gate: totals, keys that are open, why one is as it is, and the fullest. */
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { pageFields, pageOf, wrongCursor } from '../rest/page-query.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import type { GateService } from './gate-service.ts';
import { gateTotals } from './gate-totals.ts';

const count = z.int().min(0);
const limit = z.int().min(0).nullable().describe('null: no limit');
const name = z
  .string('is a text')
  .regex(new RegExp(`^[A-Za-z0-9._:+@-]{1,${LIMITS.nameBytes}}$`), 'is a name');
const modes = z.enum(['reject', 'queue', 'delay']);

const keySchema = z.strictObject({
  resource: z.string(),
  tenant: z.string().describe('empty: the platform'),
  used: count.describe('seats'),
  limit,
  waiting: count,
  floor: count,
  weight: z.int(),
  mode: modes,
  oldestWaitMs: count.nullable(),
  permits: count,
  granted: count.describe('since it is open, as is impeded'),
  impeded: count,
});

const exampleKey = {
  resource: 'fairlead.api',
  tenant: '',
  used: 1,
  limit: 250,
  waiting: 0,
  floor: 0,
  weight: 100,
  mode: 'reject',
  oldestWaitMs: null,
  permits: 0,
  granted: 1,
  impeded: 0,
} as const;

const impededSchema = z.strictObject({
  unknownResource: count,
  concurrencyLimit: count,
  wouldWaitTooLong: count,
  waitersFull: count,
  tooManyGateKeys: count,
  waitOver: count,
  tooManyPermits: count,
  gateRecovering: count,
});

const totalsSchema = z.strictObject({
  permits: count.describe('that are out, with a lease'),
  localPermits: count.describe('of the daemon itself: its REST interface and its proxy'),
  seats: count,
  waiting: count,
  keys: count.describe('tenants times resources that are counted now'),
  resources: count,
  tenants: count,
  recoveringUntilMs: z
    .int()
    .nullable()
    .describe('ms since the epoch: no permit is given before; null: they are given'),
  journalBytes: count,
  granted: count.describe('since the start, as all below'),
  admitted: count.describe('of these, after a wait'),
  queued: count,
  gaveUp: count.describe('waiters that were given up, or dropped with their connection'),
  released: count,
  renewed: count,
  expired: count,
  orphaned: count.describe('permits whose connection dropped'),
  claimed: count.describe('of these, those taken over'),
  gone: count.describe('releases and renewals of permits that had ended'),
  impeded: impededSchema,
});

const explainSchema = z.looseObject({
  resource: z.string(),
  tenant: z.string(),
  chain: z.array(
    z.looseObject({
      cap: z.enum(['key', 'tenant', 'resource']),
      used: count,
      limit,
      unfilledFloors: count,
      waitingKeys: count,
    }),
  ),
  policy: z.looseObject({ limit, mode: modes }),
  waiting: count,
  blockedBy: z.enum(['key', 'tenant', 'resource', 'pace']).nullable(),
  estimateMs: z.number().nullable().describe('of one more seat'),
  queue: z.array(z.looseObject({})).describe('keys that wait for the resource, in order'),
  adaptive: z.looseObject({}).nullable(),
  decisions: z.array(z.looseObject({})).describe('the last 16 of the key, oldest first'),
});

export function gateRoutes(gate: GateService): RestRoute[] {
  const routes = [totalsRoute(gate), keysRoute(gate), topRoute(gate), ...explainRoutes(gate)];
  return routes.map((each) => ({ ...each, control: true }));
}

function totalsRoute(gate: GateService): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/gate',
    scope: 'platform',
    doc: {
      tag: 'gate',
      summary: 'Shows how many permits are out, how many wait, and what became of the others.',
      params: {},
      query: NO_QUERY,
      body: null,
      responses: [{ status: 200, meaning: 'the totals', schema: totalsSchema }],
      errors: [],
      example: {
        status: 200,
        response: {
          permits: 12,
          localPermits: 1,
          seats: 15,
          waiting: 2,
          keys: 4,
          resources: 2,
          tenants: 3,
          recoveringUntilMs: null,
          journalBytes: 4_096,
          granted: 1_200,
          admitted: 30,
          queued: 33,
          gaveUp: 1,
          released: 1_180,
          renewed: 40,
          expired: 8,
          orphaned: 2,
          claimed: 2,
          gone: 0,
          impeded: {
            unknownResource: 0,
            concurrencyLimit: 17,
            wouldWaitTooLong: 3,
            waitersFull: 0,
            tooManyGateKeys: 0,
            waitOver: 1,
            tooManyPermits: 0,
            gateRecovering: 0,
          },
        },
      },
    },
    handler: async () => ({ status: 200, body: gateTotals(await gate.port.counters()) }),
  });
}

function keysRoute(gate: GateService): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/gate/keys',
    scope: 'platform',
    doc: {
      tag: 'gate',
      summary: 'Lists what is counted now, by resource and tenant.',
      params: {},
      query: z.strictObject({
        ...pageFields,
        resource: name.optional().describe('of this resource only'),
        tenant: z
          .union([name, z.literal('')])
          .optional()
          .describe('of this tenant only; empty: the platform'),
      }),
      body: null,
      responses: [
        {
          status: 200,
          meaning: 'a page; it may be short and have a cursor all the same',
          schema: pageOf(keySchema),
        },
      ],
      errors: ['invalidValue'],
      example: {
        query: { limit: '10', resource: 'fairlead.api' },
        status: 200,
        response: { items: [exampleKey], cursor: null },
      },
    },
    handler: async ({ query: { resource, tenant, cursor, limit: rows } }) => {
      const page = { resource, tenant, cursor: placeOf(cursor), limit: rows };
      const answer = await gate.keys(page);
      const { items, cursor: next } = answer as { items: unknown; cursor: string | null };
      const shown = next === null ? null : Buffer.from(next).toString('base64url');
      return { status: 200, body: { items, cursor: shown } };
    },
  });
}

/** The machine takes what is no place for the beginning. @throws FairleadError invalidValue */
function placeOf(cursor: string | undefined): string {
  if (cursor === undefined) return '';
  const place = Buffer.from(cursor, 'base64url').toString();
  if (/^\d{1,10}$/.test(place)) return place;
  throw wrongCursor();
}

function topRoute(gate: GateService): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/gate/top',
    scope: 'platform',
    doc: {
      tag: 'gate',
      summary: 'Lists the keys with most of something, the largest first.',
      params: {},
      query: z.strictObject({
        by: z
          .enum(['used', 'waiting', 'granted', 'impeded'], 'is used, waiting, granted or impeded')
          .default('used')
          .describe('what they have most of'),
        limit: pageFields.limit.describe('rows'),
      }),
      body: null,
      responses: [
        { status: 200, meaning: 'the keys', schema: z.strictObject({ items: z.array(keySchema) }) },
      ],
      errors: ['invalidValue'],
      example: {
        query: { by: 'used', limit: '10' },
        status: 200,
        response: { items: [exampleKey] },
      },
    },
    handler: async ({ query: { by, limit: rows } }) => {
      return { status: 200, body: await gate.top(by, rows) };
    },
  });
}

const exampleExplain = {
  resource: 'fairlead.api',
  tenant: 'acme',
  chain: [
    { cap: 'key', used: 0, limit: 250, unfilledFloors: 0, waitingKeys: 0 },
    { cap: 'tenant', used: 0, limit: null, unfilledFloors: 0, waitingKeys: 0 },
    { cap: 'resource', used: 1, limit: 1_000, unfilledFloors: 0, waitingKeys: 0 },
  ],
  policy: {
    limit: 250,
    floor: 0,
    weight: 100,
    mode: 'reject',
    waitersMax: 1_000,
    waitMs: 10_000,
    ratePerSec: null,
    leaseMs: 30_000,
  },
  known: true,
  open: false,
  waiting: 0,
  oldestWaitMs: null,
  blockedBy: null,
  holdMs: null,
  estimateMs: null,
  queue: [],
  adaptive: null,
  decisions: [],
};

/** Of a tenant, and without one of the platform. */
function explainRoutes(gate: GateService): RestRoute[] {
  const platform = { resource: name };
  return [platform, { ...platform, tenant: name }].map((params) => {
    const isTenant = 'tenant' in params;
    const example = { resource: 'fairlead.api', ...(isTenant && { tenant: 'acme' }) };
    return route({
      method: 'GET',
      path: `/v1/gate/keys/:resource${isTenant ? '/:tenant' : ''}`,
      scope: 'platform',
      doc: {
        tag: 'gate',
        summary: `Shows why ${isTenant ? 'a tenant' : 'the platform itself'} may pass at a resource now, or why not.`,
        params,
        query: NO_QUERY,
        body: null,
        responses: [{ status: 200, meaning: 'the key and its caps', schema: explainSchema }],
        errors: ['unknownResource', 'invalidName'],
        example: {
          params: example,
          status: 200,
          response: { ...exampleExplain, tenant: isTenant ? 'acme' : '' },
        },
      },
      handler: async ({ params: named }) => {
        for (const each of Object.values(named)) checkName(each);
        const { resource = '', tenant = '' } = named;
        const body = await gate.explain(resource, tenant);
        if (body !== undefined) return { status: 200, body };
        const message = `There is no resource ${JSON.stringify(resource)}.`;
        throw new FairleadError('unknownResource', message);
      },
    });
  });
}

/** What is no name must not reach the machine, which takes it for damage. @throws FairleadError */
function checkName(given: string): void {
  if (name.safeParse(given).success) return;
  throw new FairleadError('invalidName', `There are no names like ${JSON.stringify(given)}.`);
}
