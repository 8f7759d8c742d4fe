/** The REST resource of the ledger. */
import { z } from 'zod';
import { MEASURE } from '../protocol/usage-exchange.ts';
import { named } from '../rest/openapi-schemas.ts';
import { pageFields, pageOf, wrongCursor } from '../rest/page-query.ts';
import { type RestRoute, route } from '../rest/rest-route.ts';
import { type Ledger, textOf } from './ledger.ts';
import { partRange } from './ledger-line.ts';
import { daySchema, measureSchema, sidSchema, tenantSchema } from './schemas.ts';
import { dayOf } from './texts.ts';

const DAY_MS = 86_400_000;

const lineSchema = named(
  'LedgerLine',
  z.strictObject({
    tenant: z.string(),
    atMs: z.int().describe('when it fired, ms since the epoch'),
    trigger: sidSchema,
    token: z.string().describe('one line each'),
    category: z.string(),
    tag: z.string().nullable(),
    by: measureSchema.describe(`what was looked at: ${Object.keys(MEASURE).join(', ')}`),
    value: z.string().describe('decimal; of the price with 9 places'),
    currentValue: z.string().describe('what the counter had come to'),
    amount: z.number().nullable().describe('the number of the action'),
    period: z.string().describe('2026-11-22, 2026-11, 2026 or alltime'),
  }),
);

const querySchema = z.strictObject({
  ...pageFields,
  tenant: tenantSchema.optional().describe('of this tenant only'),
  from: daySchema.optional().describe('first day of UTC'),
  to: daySchema.optional().describe('last day'),
});

export function ledgerRoute(ledger: Pick<Ledger, 'page'>): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/usage/ledger',
    scope: 'platform',
    doc: {
      tag: 'usage',
      summary: 'Lists lines that triggers added, in order of tenant and time; a page may be short.',
      params: {},
      query: querySchema,
      body: null,
      responses: [{ status: 200, meaning: 'a page', schema: pageOf(lineSchema) }],
      errors: ['invalidValue'],
      example: {
        query: { tenant: 'acme', from: '2026-11-01', limit: '10' },
        status: 200,
        response: { items: [], cursor: null },
      },
    },
    handler: ({ query }) => {
      const { tenant, from, to, cursor, limit } = query;
      const fromMs = from === undefined ? 0 : dayOf('from', from) * DAY_MS;
      const toMs = to === undefined ? Number.POSITIVE_INFINITY : (dayOf('to', to) + 1) * DAY_MS;
      const after = cursor === undefined ? undefined : keyOf(cursor);
      return { status: 200, body: ledger.page({ tenant, fromMs, toMs, limit, after }) };
    },
  });
}

/** @throws FairleadError invalidValue for what is no cursor of this list */
function keyOf(cursor: string): Uint8Array {
  const key = Buffer.from(cursor, 'base64url');
  const { start, end } = partRange('lines');
  const isOurs = Buffer.compare(key, start) > 0 && Buffer.compare(key, end) < 0;
  if (isOurs && textOf(key) === cursor) return key;
  throw wrongCursor();
}
