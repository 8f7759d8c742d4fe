/** The REST resource of usage records: what was counted, by period, as JSON or CSV. */
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { pageFields, pageOf } from '../rest/page-query.ts';
import { type RestRoute, route } from '../rest/rest-route.ts';
import type { Usage, UsagePage, UsageRecord } from './ports.ts';
import {
  categorySchema,
  daySchema,
  recordPeriodSchema,
  recordSchema,
  tagSchema,
  tenantSchema,
} from './schemas.ts';

const COLUMNS = ['account', 'category', 'tag', 'from', 'to', 'count', 'usage', 'price'] as const;

const querySchema = z.strictObject({
  ...pageFields,
  tenant: tenantSchema.optional().describe('of this tenant only'),
  category: categorySchema.optional().describe('of this category only'),
  period: recordPeriodSchema
    .default('total')
    .describe('a row for each day, month or year; total: one for the range; alltime: for all days'),
  from: daySchema.optional().describe('first day of UTC'),
  to: daySchema.optional().describe('last day'),
  tag: tagSchema.optional().describe('of this tag only'),
  tags: z.boolean('is true or false').default(false).describe('each tag as a row of its own, too'),
  subAccounts: z
    .boolean('is true or false')
    .default(false)
    .describe('a tenant with all that are below it'),
  format: z.enum(['json', 'csv'], 'is json or csv').default('json'),
});

export function recordRoute(usage: Usage): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/usage/records',
    scope: 'platform',
    doc: {
      tag: 'usage',
      summary: 'Shows what was counted, in order of tenant, category, tag and period.',
      params: {},
      query: querySchema,
      body: null,
      responses: [
        {
          status: 200,
          meaning: 'a page; as text/csv its cursor is in the header x-next-cursor',
          schema: pageOf(recordSchema),
        },
      ],
      errors: ['invalidValue'],
      example: {
        before: [
          {
            method: 'POST',
            path: '/v1/usage/events',
            body: {
              events: [
                { tenant: 'acme', category: 'pages', quantity: 12, at: '2026-11-22T10:00:00Z' },
              ],
            },
          },
        ],
        query: { tenant: 'acme', category: 'pages', period: 'daily', limit: '10' },
        status: 200,
        response: {
          items: [
            {
              account: 'acme',
              category: 'pages',
              tag: null,
              from: '2026-11-22',
              to: '2026-11-22',
              count: 1,
              usage: 12,
              price: '0.000000000',
            },
          ],
          cursor: null,
        },
      },
    },
    handler: async ({ query }) => {
      const { tenant: account, tag, tags, format, ...rest } = query;
      if (tag !== undefined && tags) {
        throw new FairleadError('invalidValue', 'tags: does not go with tag.', { field: 'tags' });
      }
      const { category, from, to, cursor } = rest;
      const wanted = {
        ...rest,
        account,
        category,
        from,
        to,
        cursor,
        tag: tag ?? (tags ? '' : null),
      };
      const page = await usage.records(wanted);
      return format === 'json' ? { status: 200, body: page } : csvOf(page);
    },
  });
}

function csvOf({ items, cursor }: UsagePage<UsageRecord>) {
  const lines = items.map((row) => COLUMNS.map((column) => row[column] ?? '').join(','));
  const headers: Record<string, string> = { 'content-type': 'text/csv; charset=utf-8' };
  if (cursor !== null) headers['x-next-cursor'] = cursor;
  // Names, days and numbers: nothing of it needs quotes.
  return { status: 200, text: `${[COLUMNS.join(','), ...lines].join('\r\n')}\r\n`, headers };
}
