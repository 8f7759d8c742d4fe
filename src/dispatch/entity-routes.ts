// The REST resources of one kind of entity: list, get, put, delete, and pause, resume, drain.
import type { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { pageOf, pageQuery } from '../rest/page-query.ts';
import {
  NO_QUERY,
  type RestReply,
  type RestRoute,
  type RouteDoc,
  route,
} from '../rest/rest-route.ts';
import { exampleFields, exampleParams, examplePuts, exampleView } from './entity-examples.ts';
import { type EntityKind, type Fields, nameSchema, PLURALS } from './entity-schemas.ts';
import type { EntityService } from './entity-service.ts';
import { bodySchemas, view, viewSchemas } from './entity-views.ts';
import { checkEntityName } from './parse-entity.ts';
import type { EntityRow } from './ports.ts';

/** What each verb sets. Pausing leaves refuseNew as it is; draining sends what waits and takes no more. */
export const VERBS = {
  pause: { paused: true },
  resume: { paused: false, refuseNew: false },
  drain: { refuseNew: true, paused: false },
} as const;
type Verb = keyof typeof VERBS;

const verbSummaries: Readonly<Record<Verb, string>> = {
  pause: 'Stops sending; new work is still taken.',
  resume: 'Sends and takes new work again.',
  drain: 'Refuses new work and sends what waits.',
};

const paramsOf: (kind: EntityKind) => Record<string, z.ZodType> = (kind) =>
  kind === 'sender' ? { tenant: nameSchema, sender: nameSchema } : { name: nameSchema };

/** `/v1/sets/:name`, `/v1/senders/:tenant/:sender`. */
const pathOf = (kind: EntityKind): string =>
  `/v1/${PLURALS[kind]}/${Object.keys(paramsOf(kind))
    .map((name) => `:${name}`)
    .join('/')}`;

export function entityRoutes(entities: EntityService, kind: EntityKind): RestRoute[] {
  return [
    listRoute(entities, kind),
    getRoute(entities, kind),
    putRoute(entities, kind),
    deleteRoute(entities, kind),
    ...(kind === 'pool' ? [] : verbRoutes(entities, kind)),
  ];
}

function listRoute(entities: EntityService, kind: EntityKind): RestRoute {
  return route({
    method: 'GET',
    path: `/v1/${PLURALS[kind]}`,
    scope: 'platform',
    doc: {
      tag: PLURALS[kind],
      summary: `Lists ${PLURALS[kind]} in order of name.`,
      params: {},
      query: pageQuery,
      body: null,
      responses: [{ status: 200, meaning: 'a page', schema: pageOf(viewSchemas[kind]) }],
      errors: ['invalidValue'],
      example: {
        before: examplePuts(kind),
        query: { limit: '10' },
        status: 200,
        response: { items: [exampleView(kind)], cursor: null },
      },
    },
    handler: ({ query }) => {
      const { rows, next } = entities.list(kind, {
        limit: query.limit,
        after: decodeCursor(query.cursor),
      });
      const cursor = next === undefined ? null : Buffer.from(next).toString('base64url');
      return { status: 200, body: { items: rows.map(view), cursor } };
    },
  });
}

function getRoute(entities: EntityService, kind: EntityKind): RestRoute {
  return route({
    method: 'GET',
    path: pathOf(kind),
    scope: 'platform',
    doc: {
      ...docOf(kind),
      summary: `Shows one ${kind}.`,
      responses: [{ status: 200, meaning: `the ${kind}`, schema: viewSchemas[kind] }],
      errors: ['entityNotFound', 'invalidName', 'fieldTooLong'],
      example: {
        before: examplePuts(kind),
        params: exampleParams(kind),
        status: 200,
        response: exampleView(kind),
      },
    },
    handler: ({ params }) => reply(200, entities.get(kind, nameOf(kind, params))),
  });
}

function putRoute(entities: EntityService, kind: EntityKind): RestRoute {
  return route({
    method: 'PUT',
    path: pathOf(kind),
    scope: 'platform',
    doc: {
      ...docOf(kind),
      summary: `Makes or replaces a ${kind}; absent fields get their defaults.`,
      body: bodySchemas[kind],
      responses: [
        { status: 201, meaning: `the ${kind} was made`, schema: viewSchemas[kind] },
        { status: 200, meaning: `the ${kind} was replaced`, schema: viewSchemas[kind] },
      ],
      errors: [
        ...(['invalidName', 'fieldTooLong', 'invalidValue', 'tooManyEntities'] as const),
        ...(kind === 'destination' ? (['shardKeyFixed'] as const) : []),
        ...(kind === 'tenant' ? (['unknownSet'] as const) : []),
        ...(kind === 'sender' ? (['unknownPool'] as const) : []),
      ],
      example: {
        before: examplePuts(kind, { alone: true }),
        params: exampleParams(kind),
        body: exampleFields[kind],
        status: 201,
        response: exampleView(kind),
      },
    },
    handler: async ({ params, body, actor }) => {
      const { row, created } = await entities.put(kind, nameOf(kind, params), body, actor);
      return reply(created ? 201 : 200, row);
    },
  });
}

function deleteRoute(entities: EntityService, kind: EntityKind): RestRoute {
  return route({
    method: 'DELETE',
    path: pathOf(kind),
    scope: 'platform',
    doc: {
      ...docOf(kind),
      summary: `Deletes a ${kind}; refused while work or other resources refer to it.`,
      responses: [{ status: 204, meaning: 'deleted', schema: null }],
      errors: [
        ...(['entityNotFound', 'invalidName', 'fieldTooLong', 'inUse'] as const),
        ...(kind === 'set' ? (['reservedName'] as const) : []),
      ],
      example: { before: examplePuts(kind), params: exampleParams(kind), status: 204 },
    },
    handler: async ({ params, actor }) => {
      await entities.remove(kind, nameOf(kind, params), actor);
      return { status: 204 };
    },
  });
}

function verbRoutes(entities: EntityService, kind: Exclude<EntityKind, 'pool'>): RestRoute[] {
  return (Object.keys(VERBS) as Verb[]).map((verb) =>
    route({
      method: 'POST',
      path: `${pathOf(kind)}/${verb}`,
      scope: 'platform',
      doc: {
        ...docOf(kind),
        summary: verbSummaries[verb],
        responses: [{ status: 200, meaning: `the ${kind}`, schema: viewSchemas[kind] }],
        errors: [
          ...(['invalidName', 'fieldTooLong'] as const),
          ...(kind === 'tenant' || kind === 'sender'
            ? (['tooManyEntities'] as const)
            : (['entityNotFound'] as const)),
        ],
        example: {
          before: examplePuts(kind),
          params: exampleParams(kind),
          status: 200,
          response: exampleView(kind, verb === 'resume' ? {} : VERBS[verb]),
        },
      },
      handler: async ({ params, actor }) => {
        const fields: Partial<Fields[typeof kind]> = VERBS[verb];
        const { row } = await entities.amend(kind, nameOf(kind, params), fields, actor);
        return reply(200, row);
      },
    }),
  );
}

/** What the documents of the routes of one entity have in common. */
function docOf(
  kind: EntityKind,
): Pick<RouteDoc<typeof NO_QUERY>, 'tag' | 'params' | 'query' | 'body'> {
  return { tag: PLURALS[kind], params: paramsOf(kind), query: NO_QUERY, body: null };
}

function reply(status: number, row: EntityRow): RestReply {
  return { status, body: view(row), headers: { etag: `"${row.version}"` } };
}

function nameOf(kind: EntityKind, params: Readonly<Record<string, string>>): string {
  const { name = '', tenant = '', sender = '' } = params;
  const given = kind === 'sender' ? `${tenant}/${sender}` : name;
  checkEntityName(kind, given);
  return given;
}

function decodeCursor(cursor: string | undefined): string {
  if (cursor === undefined) return '';
  const name = Buffer.from(cursor, 'base64url').toString();
  if (/^[A-Za-z0-9._:+@/-]+$/.test(name)) return name;
  throw new FairleadError(
    'invalidValue',
    'cursor: is what the page before gave, received another text.',
    { field: 'cursor' },
  );
}
