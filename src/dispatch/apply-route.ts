import { z } from 'zod';
import { type RestRoute, route } from '../rest/rest-route.ts';
import { applyEntities } from './apply.ts';
import { ENTITY_KINDS, PAIR_KINDS, PLURALS } from './entity-kinds.ts';
import type { EntityService } from './entity-service.ts';
import { bodySchemas } from './entity-views.ts';
import { KeyedQueue } from './keyed-queue.ts';

const flag = z.boolean('is true or false').default(false);

const querySchema = z.strictObject({
  dryRun: flag.describe('only says what would change'),
  prune: flag.describe('deletes what the body does not have; the set default always stays'),
});

const bodySchema = z.strictObject(
  Object.fromEntries(
    ENTITY_KINDS.map((kind) => {
      const table = z.record(z.string(), bodySchemas[kind]).optional();
      const pair = PAIR_KINDS[kind];
      return [PLURALS[kind], pair === undefined ? table : table.describe(`by ${pair.join('/')}`)];
    }),
  ),
);

const count = z.int().min(0);

const resultSchema = z.strictObject({
  dryRun: z.boolean(),
  created: count,
  changed: count,
  deleted: count,
  unchanged: count,
  changes: z.array(
    z.strictObject({
      action: z.enum(['create', 'change', 'delete']),
      kind: z.enum(ENTITY_KINDS),
      name: z.string(),
      fields: z
        .record(z.string(), z.strictObject({ from: z.unknown(), to: z.unknown() }))
        .describe('what changes; of a new one what is not the default'),
    }),
  ),
});

export function applyRoute(entities: EntityService): RestRoute {
  // Two at the same time would each work on a difference that the other one changes.
  const queue = new KeyedQueue();
  return route({
    method: 'POST',
    path: '/v1/apply',
    scope: 'platform',
    doc: {
      tag: 'daemon',
      summary:
        'Makes and replaces many entities; checks all of them before the first change. A failure after that says in its details what was done.',
      params: {},
      query: querySchema,
      body: bodySchema,
      responses: [{ status: 200, meaning: 'what changed', schema: resultSchema }],
      errors: [
        ...([
          'invalidValue',
          'invalidName',
          'fieldTooLong',
          'shardKeyFixed',
          'unknownSet',
        ] as const),
        ...(['unknownPool', 'unknownDestination', 'tenantTaken'] as const),
        ...(['inUse', 'tooManyEntities'] as const),
      ],
      example: {
        query: { dryRun: 'true' },
        body: {
          destinations: { 'sms-de': { ratePerSec: 100 } },
          sets: { gold: { weight: 900 } },
          tenants: { acme: { set: 'gold' } },
          senders: { 'acme/4930': { pool: 'campaign' } },
          pools: { campaign: { ratePerSec: 50 } },
        },
        status: 200,
        response: {
          dryRun: true,
          created: 5,
          changed: 0,
          deleted: 0,
          unchanged: 0,
          changes: [
            created('set', 'gold', { weight: { from: 100, to: 900 } }),
            created('pool', 'campaign', { ratePerSec: { from: null, to: 50 } }),
            created('tenant', 'acme', { set: { from: 'default', to: 'gold' } }),
            created('sender', 'acme/4930', { pool: { from: null, to: 'campaign' } }),
            created('destination', 'sms-de', { ratePerSec: { from: null, to: 100 } }),
          ],
        },
      },
    },
    handler: async ({ query: { dryRun, prune }, body, actor }) => {
      const apply = () => applyEntities(entities, body, { dryRun, prune, actor });
      return { status: 200, body: await queue.run('apply', apply) };
    },
  });
}

function created(kind: string, name: string, fields: object): object {
  return { action: 'create', kind, name, fields };
}
