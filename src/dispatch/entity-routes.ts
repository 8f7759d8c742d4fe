// The REST resources of one kind of entity: list, get, put, delete, and pause, resume, drain.
import type { z } from 'zod';
import type { ErrorName } from '../errors.ts';
import { pageOf, pageQuery, wrongCursor } from '../rest/page-query.ts';
import {
  NO_QUERY,
  type RestReply,
  type RestRoute,
  type RouteDoc,
  route,
} from '../rest/rest-route.ts';
import {
  exampleFields,
  exampleName,
  exampleParams,
  examplePuts,
  exampleTokens,
  exampleView,
} from './entity-examples.ts';
import { nameSchema } from './entity-fields.ts';
import {
  type EntityKind,
  HALF_PAIR_KINDS,
  IMPLICIT_KINDS,
  PAIR_KINDS,
  PLURALS,
} from './entity-kinds.ts';
import { checkEntityName, entityNameSchema } from './entity-names.ts';
import type { Fields } from './entity-schemas.ts';
import type { EntityService } from './entity-service.ts';
import {
  accountWithTokensSchema,
  bodySchemas,
  view,
  viewSchemas,
  viewWithTokens,
} from './entity-views.ts';
import type { EntityRow } from './ports.ts';

/** What each verb sets. Pausing leaves refuseNew as it is; draining sends what waits and takes no more. */
export const VERBS = {
  pause: { paused: true },
  resume: { paused: false, refuseNew: false },
  drain: { refuseNew: true, paused: false },
} as const;
type Verb = keyof typeof VERBS;

/** What can be paused, and what each of its verbs sets; a gateway takes no work that it could refuse. */
type Verbs = Readonly<Partial<Record<Verb, object>>>;
const GATEWAY_VERBS: Verbs = { pause: { paused: true }, resume: { paused: false } };
const KIND_VERBS: Readonly<Partial<Record<EntityKind, Verbs>>> = {
  destination: VERBS,
  set: VERBS,
  tenant: VERBS,
  sender: VERBS,
  gateway: GATEWAY_VERBS,
};

const verbSummaries: Readonly<Record<Verb, string>> = {
  pause: 'Stops sending; new work is still taken.',
  resume: 'Sends and takes new work again.',
  drain: 'Refuses new work and sends what waits.',
};

/** The segments of the path of an entity that is named like `example`. */
function paramsOf(kind: EntityKind, example = exampleName(kind)): Record<string, z.ZodType> {
  const pair = PAIR_KINDS[kind];
  if (pair === undefined) return { name: entityNameSchema(kind) };
  const parts = pair.slice(0, example.split('/').length);
  return Object.fromEntries(parts.map((name) => [name, nameSchema]));
}

/** `/v1/sets/:name`, `/v1/senders/:tenant/:sender`. */
export const pathOf = (kind: EntityKind, example = exampleName(kind)): string =>
  `/v1/${PLURALS[kind]}/${Object.keys(paramsOf(kind, example))
    .map((name) => `:${name}`)
    .join('/')}`;

/** Names of examples, one for each form that names of the kind have. */
function examplesOf(kind: EntityKind): readonly string[] {
  const name = exampleName(kind);
  return HALF_PAIR_KINDS.includes(kind) ? [name, `${name}/acme`] : [name];
}

/** Kinds that set the limits of the gate, which this interface is behind itself. */
const CONTROL: ReadonlySet<EntityKind> = new Set(['tenant', 'resource', 'policy']);

export function entityRoutes(entities: EntityService, kind: EntityKind): RestRoute[] {
  const routes = [
    listRoute(entities, kind),
    ...examplesOf(kind).flatMap((example) => [
      getRoute(entities, kind, example),
      putRoute(entities, kind, example),
      deleteRoute(entities, kind, example),
    ]),
    ...verbRoutes(entities, kind),
  ];
  return CONTROL.has(kind) ? routes.map((each) => ({ ...each, control: true })) : routes;
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

function getRoute(entities: EntityService, kind: EntityKind, name: string): RestRoute {
  return route({
    method: 'GET',
    path: pathOf(kind, name),
    scope: 'platform',
    doc: {
      ...docOf(kind, name),
      summary: `Shows one ${kind}.`,
      responses: [{ status: 200, meaning: `the ${kind}`, schema: viewSchemas[kind] }],
      errors: ['entityNotFound', 'invalidName', 'fieldTooLong'],
      example: {
        before: examplePuts(kind, { name }),
        params: exampleParams(kind, name),
        status: 200,
        response: exampleView(kind, {}, name),
      },
    },
    handler: ({ params }) => reply(200, entities.get(kind, nameOf(kind, params))),
  });
}

const putErrors: Readonly<Partial<Record<EntityKind, readonly ErrorName[]>>> = {
  destination: ['shardKeyFixed'],
  tenant: ['unknownSet'],
  sender: ['unknownPool'],
  gateway: ['unknownDestination'],
  account: ['tenantTaken'],
  number: ['unknownDestination'],
  route: ['unknownDestination'],
  policy: ['unknownResource'],
};

function putRoute(entities: EntityService, kind: EntityKind, name: string): RestRoute {
  return route({
    method: 'PUT',
    path: pathOf(kind, name),
    scope: 'platform',
    doc: {
      ...docOf(kind, name),
      summary: `Makes or replaces ${a(kind)}; absent fields get their defaults.`,
      body: bodySchemas[kind],
      responses: [
        kind === 'account'
          ? {
              status: 201,
              meaning: 'the account was made; its tokens are not shown again',
              schema: accountWithTokensSchema,
            }
          : { status: 201, meaning: `the ${kind} was made`, schema: viewSchemas[kind] },
        { status: 200, meaning: `the ${kind} was replaced`, schema: viewSchemas[kind] },
      ],
      errors: [
        ...(['invalidName', 'fieldTooLong', 'invalidValue', 'tooManyEntities'] as const),
        ...(putErrors[kind] ?? []),
      ],
      example: {
        before: examplePuts(kind, { alone: true, name }),
        params: exampleParams(kind, name),
        body: exampleFields[kind],
        status: 201,
        response: { ...exampleView(kind, {}, name), ...(kind === 'account' ? exampleTokens : {}) },
      },
    },
    handler: async ({ params, body, actor }) => {
      const { row, created } = await entities.put(kind, nameOf(kind, params), body, actor);
      const answer = reply(created ? 201 : 200, row);
      if (!created || row.kind !== 'account') return answer;
      return { ...answer, body: viewWithTokens(row) };
    },
  });
}

function deleteRoute(entities: EntityService, kind: EntityKind, name: string): RestRoute {
  return route({
    method: 'DELETE',
    path: pathOf(kind, name),
    scope: 'platform',
    doc: {
      ...docOf(kind, name),
      summary: `Deletes ${a(kind)}; refused while work or other resources refer to it.`,
      responses: [{ status: 204, meaning: 'deleted', schema: null }],
      errors: [
        ...(['entityNotFound', 'invalidName', 'fieldTooLong', 'inUse'] as const),
        ...(kind === 'set' || kind === 'resource' ? (['reservedName'] as const) : []),
      ],
      example: {
        before: examplePuts(kind, { name }),
        params: exampleParams(kind, name),
        status: 204,
      },
    },
    handler: async ({ params, actor }) => {
      await entities.remove(kind, nameOf(kind, params), actor);
      return { status: 204 };
    },
  });
}

function verbRoutes(entities: EntityService, kind: EntityKind): RestRoute[] {
  return Object.entries(KIND_VERBS[kind] ?? {}).map(([verb, fields]) =>
    route({
      method: 'POST',
      path: `${pathOf(kind)}/${verb}`,
      scope: 'platform',
      doc: {
        ...docOf(kind),
        summary: verbSummaries[verb as Verb],
        responses: [{ status: 200, meaning: `the ${kind}`, schema: viewSchemas[kind] }],
        errors: [
          ...(['invalidName', 'fieldTooLong'] as const),
          IMPLICIT_KINDS.includes(kind) ? 'tooManyEntities' : 'entityNotFound',
        ],
        example: {
          before: examplePuts(kind),
          params: exampleParams(kind),
          status: 200,
          response: exampleView(kind, verb === 'resume' ? {} : fields),
        },
      },
      handler: async ({ params, actor }) => {
        const change: Partial<Fields[EntityKind]> = fields;
        const { row } = await entities.amend(kind, nameOf(kind, params), change, actor);
        return reply(200, row);
      },
    }),
  );
}

const a = (kind: EntityKind): string => `${kind === 'account' ? 'an' : 'a'} ${kind}`;

/** What the documents of the routes of one entity have in common. */
export function docOf(
  kind: EntityKind,
  example = exampleName(kind),
): Pick<RouteDoc<typeof NO_QUERY>, 'tag' | 'params' | 'query' | 'body'> {
  return { tag: PLURALS[kind], params: paramsOf(kind, example), query: NO_QUERY, body: null };
}

export function reply(status: number, row: EntityRow): RestReply {
  return { status, body: view(row), headers: { etag: `"${row.version}"` } };
}

export function nameOf(kind: EntityKind, params: Readonly<Record<string, string>>): string {
  const names = PAIR_KINDS[kind] ?? ['name'];
  const isHalf = HALF_PAIR_KINDS.includes(kind) && params[names[1] ?? ''] === undefined;
  const given = (isHalf ? names.slice(0, 1) : names).map((name) => params[name] ?? '').join('/');
  checkEntityName(kind, given);
  return given;
}

function decodeCursor(cursor: string | undefined): string {
  if (cursor === undefined) return '';
  const name = Buffer.from(cursor, 'base64url').toString();
  if (/^[A-Za-z0-9._:+@/*-]+$/.test(name)) return name;
  throw wrongCursor();
}
