/** The REST resources of triggers: make, list, show, replace, delete, arm anew. */
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { pageFields, pageOf } from '../rest/page-query.ts';
import { parseObject, shown } from '../rest/parse-object.ts';
import { type ExampleCall, NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import type { TriggerBody, TriggerView, Usage } from './ports.ts';
import {
  categorySchema,
  changedTriggerSchema,
  measureSchema,
  newTriggerSchema,
  recurringSchema,
  sidSchema,
  tenantSchema,
  triggerSchema,
} from './schemas.ts';

const SID = 'UT00112233445566778899aabbccddeeff';

const exampleFields = {
  category: 'messages',
  by: 'price',
  value: '100',
  recurring: 'monthly',
  callbacks: [{ url: 'https://acme.example/usage' }],
  friendlyName: 'Budget',
} as const;

const exampleTrigger: TriggerView = {
  sid: SID,
  account: 'acme',
  category: 'messages',
  tag: null,
  by: 'price',
  value: '100.000000000',
  relative: false,
  base: null,
  thresholds: [],
  step: null,
  recurring: 'monthly',
  windowMs: null,
  rearmBelow: null,
  everyN: 1,
  callbacks: [{ url: 'https://acme.example/usage', method: 'POST', form: 'standard' }],
  action: null,
  friendlyName: 'Budget',
  subAccounts: false,
  currentValue: '0.000000000',
  firedMs: null,
  firedValue: null,
  firings: 0,
  skipped: 0,
  arming: 0,
  createdMs: 1_790_000_000_123,
  updatedMs: 1_790_000_000_123,
};

const beforeTrigger: readonly ExampleCall[] = [
  {
    method: 'POST',
    path: '/v1/triggers',
    body: { tenant: 'acme', ...exampleFields },
    take: { sid: 'sid' },
  },
];

export function triggerRoutes(usage: Usage): RestRoute[] {
  const one = [showRoute(usage), putRoute(usage), deleteRoute(usage), rearmRoute(usage)];
  return [createRoute(usage), listRoute(usage), ...one];
}

const PUT_ERRORS = ['invalidValue', 'badTrigger', 'tooManyTriggers', 'goingAway'] as const;

function createRoute(usage: Usage): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/triggers',
    scope: 'platform',
    doc: {
      tag: 'triggers',
      summary: 'Makes a trigger; one that is above its value already fires at the next event.',
      params: {},
      query: NO_QUERY,
      body: newTriggerSchema,
      responses: [{ status: 201, meaning: 'the trigger', schema: triggerSchema }],
      errors: [...PUT_ERRORS],
      example: {
        body: { tenant: 'acme', ...exampleFields },
        status: 201,
        response: exampleTrigger,
      },
    },
    handler: async ({ body }) => {
      const { tenant, ...fields } = parseObject('A trigger', newTriggerSchema, objectOf(body));
      return { status: 201, body: await usage.putTrigger(tenant, bodyOf(fields)) };
    },
  });
}

function listRoute(usage: Usage): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/triggers',
    scope: 'platform',
    doc: {
      tag: 'triggers',
      summary: 'Lists triggers in the order in which they were made.',
      params: {},
      query: z.strictObject({
        ...pageFields,
        tenant: tenantSchema.optional().describe('of this tenant only, as the next three'),
        category: categorySchema.optional(),
        recurring: recurringSchema.optional(),
        by: measureSchema.optional(),
      }),
      body: null,
      responses: [{ status: 200, meaning: 'a page', schema: pageOf(triggerSchema) }],
      errors: ['invalidValue'],
      example: {
        before: beforeTrigger,
        query: { tenant: 'acme', limit: '10' },
        status: 200,
        response: { items: [exampleTrigger], cursor: null },
      },
    },
    handler: async ({ query }) => {
      const { tenant: account, category, recurring, by, cursor, limit } = query;
      const asked = { account, category, recurring, by, cursor, limit };
      return { status: 200, body: await usage.triggers(asked) };
    },
  });
}

function showRoute(usage: Usage): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/triggers/:sid',
    scope: 'platform',
    doc: {
      ...oneDoc,
      summary: 'Shows one trigger, with what its counter says now.',
      responses: [{ status: 200, meaning: 'the trigger', schema: triggerSchema }],
      example: { ...oneExample, status: 200, response: exampleTrigger },
    },
    handler: async ({ params: { sid = '' } }) => {
      return { status: 200, body: await usage.trigger(sid) };
    },
  });
}

function putRoute(usage: Usage): RestRoute {
  return route({
    method: 'PUT',
    path: '/v1/triggers/:sid',
    scope: 'platform',
    doc: {
      ...oneDoc,
      summary: 'Replaces a trigger; absent fields get their defaults.',
      body: changedTriggerSchema,
      responses: [{ status: 200, meaning: 'the trigger', schema: triggerSchema }],
      errors: [...oneDoc.errors, ...PUT_ERRORS],
      example: { ...oneExample, body: exampleFields, status: 200, response: exampleTrigger },
    },
    handler: async ({ params: { sid = '' }, body }) => {
      const { account } = await usage.trigger(sid);
      const { tenant = account, ...fields } = parseObject(
        'A trigger',
        changedTriggerSchema,
        objectOf(body),
      );
      if (tenant !== account) {
        const message = `tenant: the trigger is of ${shown(account)}, received ${shown(tenant)}.`;
        throw new FairleadError('invalidValue', message, { field: 'tenant' });
      }
      return { status: 200, body: await usage.putTrigger(account, bodyOf(fields), sid) };
    },
  });
}

function deleteRoute(usage: Usage): RestRoute {
  return route({
    method: 'DELETE',
    path: '/v1/triggers/:sid',
    scope: 'platform',
    doc: {
      ...oneDoc,
      summary: 'Deletes a trigger; what it did to its tenant is undone.',
      responses: [{ status: 204, meaning: 'deleted', schema: null }],
      example: { ...oneExample, status: 204 },
    },
    handler: async ({ params: { sid = '' } }) => {
      await usage.deleteTrigger(sid);
      return { status: 204 };
    },
  });
}

function rearmRoute(usage: Usage): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/triggers/:sid/rearm',
    scope: 'platform',
    doc: {
      ...oneDoc,
      summary: 'Lets a trigger fire again in this period, and undoes what it did to its tenant.',
      responses: [{ status: 200, meaning: 'the trigger', schema: triggerSchema }],
      example: { ...oneExample, status: 200, response: { ...exampleTrigger, arming: 1 } },
    },
    handler: async ({ params: { sid = '' } }) => {
      return { status: 200, body: await usage.rearmTrigger(sid) };
    },
  });
}

/** What the documents of the routes of one trigger have in common. */
const oneDoc = {
  tag: 'triggers',
  params: { sid: sidSchema },
  query: NO_QUERY,
  body: null,
  errors: ['triggerNotFound'],
} as const;

const oneExample = { before: beforeTrigger, params: { sid: SID } } as const;

function objectOf(body: unknown): object {
  const given = body ?? {};
  if (typeof given === 'object' && !Array.isArray(given)) return given;
  throw new FairleadError('invalidValue', `The body is a JSON object, received ${shown(body)}.`);
}

type Given = Omit<z.output<typeof newTriggerSchema>, 'tenant'>;

/** Numbers as text. */
function bodyOf(fields: Given): TriggerBody {
  const { value, thresholds, step, rearmBelow } = fields;
  return {
    ...fields,
    value: String(value),
    thresholds: thresholds.map(String),
    step: step === null ? null : String(step),
    rearmBelow: rearmBelow === null ? null : String(rearmBelow),
  };
}
