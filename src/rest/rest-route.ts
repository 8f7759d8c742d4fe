/**
 * A route of the REST API: what it does, and all that its documentation needs. What checks the
 * query is what the document shows, and the example is run by a test, so none of it can go stale.
 */
import { z } from 'zod';
import type { ErrorName } from '../errors.ts';
import type { Actor } from './actor.ts';
import { parseObject } from './parse-object.ts';

export type RestMethod = 'GET' | 'PUT' | 'POST' | 'DELETE';
export type RestScope = 'none' | 'publish' | 'consume' | 'usage' | 'platform';

/** A request as the HTTP server gives it. */
export interface RestRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** The JSON value; undefined without a body. */
  readonly body: unknown;
  /** The body as it came; undefined without one. */
  readonly bytes?: Uint8Array | undefined;
  /** Who asks; undefined on routes without a scope, and of a signed request without a token. */
  readonly identity: RestIdentity | undefined;
  readonly remoteAddress: string;
}

export interface RestIdentity {
  /** Undefined: the token says none. */
  readonly subject?: string | undefined;
  /** Undefined: the platform. */
  readonly tenant: string | undefined;
  /** Bits of SCOPE_BIT. */
  readonly scopes: number;
}

export interface RestReply {
  readonly status: number;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it stands, instead of `body`; its content-type is in the headers. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A call by its place, as in the examples. */
export interface ExampleCall {
  readonly method: RestMethod;
  /** With its parameters filled in. */
  readonly path: string;
  readonly body?: unknown;
  /** Parameter of the example → dotted place in this call's answer that its value comes from. */
  readonly take?: Readonly<Record<string, string>>;
}

/** A gateway that takes what waits of a destination and settles each delivery so. */
export interface ExampleGateway {
  readonly gateway: string;
  readonly outcome: 'sent' | 'retry';
}

export type ExampleStep = ExampleCall | ExampleGateway;

/** One request and its answer. */
export interface RouteExample {
  /** What makes what it needs on an empty daemon. */
  readonly before?: readonly ExampleStep[];
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly status: number;
  /** Left out: the answer has no body. */
  readonly response?: unknown;
}

export interface RouteResponse {
  readonly status: number;
  readonly meaning: string;
  /** Null: no body. */
  readonly schema: z.ZodType | null;
}

/** Everything the OpenAPI document says of a route; null where it has none. */
export interface RouteDoc<Q extends z.ZodObject = z.ZodObject> {
  /** Heading that it stands under. */
  readonly tag: string;
  /** One sentence. */
  readonly summary: string;
  /** A schema for each `:name` of the path. */
  readonly params: Readonly<Record<string, z.ZodType>>;
  readonly query: Q;
  /** A schema for each header that it reads. */
  readonly headers?: Readonly<Record<string, z.ZodType>>;
  readonly body: z.ZodType | null;
  readonly responses: readonly RouteResponse[];
  /** Errors of its own, beside those that every route has. */
  readonly errors: readonly ErrorName[];
  readonly example: RouteExample;
}

/** One route, in the form that the HTTP server takes. */
export interface RestRoute {
  readonly method: RestMethod;
  readonly path: string;
  readonly scope: RestScope;
  /** A request without a token is let through: the handler checks its signature. */
  readonly signed?: boolean;
  /** Shows or sets limits of requests, and so is served also where these leave no room. */
  readonly control?: boolean;
  readonly doc: RouteDoc;
  /** @throws FairleadError for an answer with its code and status. */
  readonly handler: (request: RestRequest) => Promise<RestReply> | RestReply;
}

/** A request whose query was checked. */
export interface RouteRequest<Q extends z.ZodObject> {
  readonly params: Readonly<Record<string, string>>;
  readonly query: z.output<Q>;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: unknown;
  /** The body as it came; undefined without one. */
  readonly bytes?: Uint8Array | undefined;
  readonly identity: RestIdentity | undefined;
  /** Who a change is recorded for. */
  readonly actor: Actor;
}

export interface RouteDefinition<Q extends z.ZodObject> {
  readonly method: RestMethod;
  readonly path: string;
  readonly scope: RestScope;
  readonly signed?: boolean;
  readonly doc: RouteDoc<Q>;
  readonly handler: (request: RouteRequest<Q>) => Promise<RestReply> | RestReply;
}

/** For routes that take no query. */
export const NO_QUERY = z.strictObject({});

/**
 * Makes a route that checks its query before its handler runs.
 *
 * @throws Error when the documented parameters are not those of the path
 */
export function route<Q extends z.ZodObject>(definition: RouteDefinition<Q>): RestRoute {
  const { method, path, scope, signed = false, doc } = definition;
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name);
  if (names.join() !== Object.keys(doc.params).join()) {
    throw new Error(`route ${method} ${path}: documents ${Object.keys(doc.params).join()}`);
  }
  const what = `The query of ${method} ${path}`;
  const handler: RestRoute['handler'] = ({ query, remoteAddress, ...request }) => {
    const subject = request.identity?.subject ?? 'platform';
    const actor = { subject, address: remoteAddress === '' ? null : remoteAddress };
    const given = parseQuery(what, doc.query, query);
    return definition.handler({ ...request, query: given, actor });
  };
  return { method, path, scope, signed, doc, handler };
}

function parseQuery<Q extends z.ZodObject>(
  what: string,
  schema: Q,
  query: URLSearchParams,
): z.output<Q> {
  const given: Record<string, unknown> = {};
  for (const [name, text] of query) {
    // Browsers without a way to set headers give their token here.
    if (name === 'access_token') continue;
    given[name] = typed(schema.shape[name], text);
  }
  return parseObject(what, schema, given);
}

/** A text as the type wants it; one that does not fit stays a text, which the schema refuses. */
function typed(schema: z.core.$ZodType | undefined, text: string): unknown {
  const type = schema === undefined ? undefined : innermost(schema)._zod.def.type;
  if (type === 'number' && /^\d{1,15}$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

function innermost(schema: z.core.$ZodType): z.core.$ZodType {
  const { innerType } = schema._zod.def as { innerType?: z.core.$ZodType };
  return innerType === undefined ? schema : innermost(innerType);
}
