/** The REST resources of dispatch: destinations, sets, tenants, explain, status. */
import { FairleadError } from '../errors.ts';
import type { EntityKind } from './entity-schemas.ts';
import type { EntityService } from './entity-service.ts';
import { checkName } from './parse-entity.ts';
import type { EntityRow, RestReply, RestRequest, RestRoute, ShardPorts } from './ports.ts';

const LIST_LIMIT_DEFAULT = 100;
const LIST_LIMIT_MAX = 1000;
const OFFSET_MAX = 2 ** 32 - 1;

const resources = [
  { kind: 'destination', path: '/v1/destinations' },
  { kind: 'set', path: '/v1/sets' },
  { kind: 'tenant', path: '/v1/tenants' },
] as const;

export interface RestRoutesOptions {
  readonly entities: EntityService;
  readonly shards: ShardPorts;
  /** The whole answer of `/v1/status`. */
  readonly status: () => Promise<object>;
}

export function restRoutes({ entities, shards, status }: RestRoutesOptions): RestRoute[] {
  const scope = 'platform';
  return [
    ...resources.flatMap(({ kind, path }) => resourceRoutes(entities, kind, path)),
    {
      method: 'GET',
      path: '/v1/destinations/:name/explain',
      scope,
      handler: (request) => explain(entities, shards, request),
    },
    {
      method: 'GET',
      path: '/v1/status',
      scope,
      handler: async () => ({ status: 200, body: await status() }),
    },
  ];
}

function resourceRoutes(entities: EntityService, kind: EntityKind, path: string): RestRoute[] {
  const one = `${path}/:name`;
  const scope = 'platform';
  return [
    { method: 'GET', path, scope, handler: (request) => list(entities, kind, request) },
    {
      method: 'GET',
      path: one,
      scope,
      handler: ({ params }) => reply(200, entities.get(kind, nameOf(params))),
    },
    {
      method: 'PUT',
      path: one,
      scope,
      handler: async ({ params, body }) => {
        const { row, created } = await entities.put(kind, nameOf(params), body);
        return reply(created ? 201 : 200, row);
      },
    },
    {
      method: 'DELETE',
      path: one,
      scope,
      handler: async ({ params }) => {
        await entities.remove(kind, nameOf(params));
        return { status: 204 };
      },
    },
  ];
}

function list(entities: EntityService, kind: EntityKind, { query }: RestRequest): RestReply {
  checkQuery(query);
  const after = decodeCursor(query.get('cursor'));
  const { rows, next } = entities.list(kind, { limit: limitOf(query), after });
  const cursor = next === undefined ? null : Buffer.from(next).toString('base64url');
  return { status: 200, body: { items: rows.map(view), cursor } };
}

async function explain(
  entities: EntityService,
  shards: ShardPorts,
  { params, query }: RestRequest,
): Promise<RestReply> {
  checkQuery(query);
  const destination = nameOf(params);
  const shard = entities.shardOf(destination);
  if (shard === undefined) {
    throw new FairleadError('unknownDestination', `There is no destination ${destination}.`);
  }
  const offset = integerOf('cursor', query.get('cursor') ?? '0', 0, OFFSET_MAX);
  const limit = limitOf(query);
  const body = (await shards.explain(shard, { destination, offset, limit })) as {
    readonly queues?: readonly unknown[];
  };
  // A full page may be followed by another one.
  const more = (body.queues?.length ?? 0) >= limit;
  return { status: 200, body: { ...body, cursor: more ? String(offset + limit) : null } };
}

function reply(status: number, row: EntityRow): RestReply {
  return { status, body: view(row), headers: { etag: `"${row.version}"` } };
}

/** What an answer shows; a PUT may send it back. */
function view({ name, fields, version }: EntityRow): object {
  return { name, ...fields, version };
}

function nameOf(params: RestRequest['params']): string {
  const name = params.name ?? '';
  checkName(name);
  return name;
}

function checkQuery(query: URLSearchParams): void {
  for (const name of query.keys()) {
    // Browsers without a way to set headers give their token here.
    if (['limit', 'cursor', 'access_token'].includes(name)) continue;
    throw new FairleadError('unknownField', `A list takes limit and cursor, received ${name}.`, {
      field: name,
    });
  }
}

function limitOf(query: URLSearchParams): number {
  return integerOf('limit', query.get('limit') ?? String(LIST_LIMIT_DEFAULT), 1, LIST_LIMIT_MAX);
}

function integerOf(field: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new FairleadError(
    'invalidValue',
    `${field}: is a whole number from ${least} to ${most}, received ${JSON.stringify(text)}.`,
    { field },
  );
}

function decodeCursor(cursor: string | null): string {
  if (cursor === null) return '';
  const name = Buffer.from(cursor, 'base64url').toString();
  if (/^[A-Za-z0-9._:+@-]+$/.test(name)) return name;
  throw new FairleadError(
    'invalidValue',
    'cursor: is what the page before gave, received another text.',
    { field: 'cursor' },
  );
}
