/** The table of HTTP routes: which handler a method and path lead to. Pure; the answers are http.ts's. */
import { FairleadError } from '../errors.ts';
import type { BasicCredentials, FormRequest } from '../rest/form-route.ts';
import type { Identity, ScopeName } from './identity.ts';

export type HttpMethod = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/** One request, complete: everything is copied, so a handler may keep it. */
export interface HttpRequest {
  readonly method: HttpMethod;
  /** The path as it came, percent-encoded. */
  readonly path: string;
  /** Percent-decoded; a name of the pattern that is not here is a programmer's error. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** The JSON value; undefined without a body. */
  readonly body: unknown;
  /** The body as it came; undefined without one. */
  readonly bytes?: Uint8Array | undefined;
  /** Who asks; undefined on routes without a scope, and of a signed request without a token. */
  readonly identity: Identity | undefined;
  /** Of the peer, which may be a proxy; empty when it has gone. */
  readonly remoteAddress: string;
  readonly requestId: string;
}

export interface HttpReply {
  readonly status: number;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it stands, instead of `body`; give its content-type in the headers. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A route that takes JSON and a token. */
export interface JsonRoute {
  readonly body?: 'json';
  readonly method: HttpMethod;
  /** Starts with `/`; a segment `:name` takes any one segment that is not empty. */
  readonly path: string;
  readonly scope: ScopeName | 'none';
  /** A request without a token is let through: the handler checks its signature. */
  readonly signed?: boolean;
  /** Sets limits of requests: counted, but served also where these leave no room. */
  readonly control?: boolean;
  /** Answers also while the daemon is not ready, and beyond the bound of requests under way. */
  readonly always?: boolean;
  /** Throws FairleadError for an answer with its status and code; anything else is a 500. */
  readonly handler: (request: HttpRequest) => Promise<HttpReply> | HttpReply;
}

/** A route that takes a form and Basic credentials, which its handler checks. */
export interface BasicRoute {
  readonly body: 'form';
  readonly method: HttpMethod;
  readonly path: string;
  readonly scope: 'basic';
  readonly always?: undefined;
  /** Throws as that of a `JsonRoute` does. */
  readonly handler: (request: FormRequest) => Promise<HttpReply> | HttpReply;
}

export type Route = JsonRoute | BasicRoute;

export type { BasicCredentials };

export type Match =
  | { readonly route: Route; readonly params: Readonly<Record<string, string>> }
  | { readonly allow: string };

interface Pattern {
  readonly segments: readonly string[];
  readonly routes: Map<HttpMethod, Route>;
}

export class HttpRouter {
  /** Patterns by number of segments; literal segments before parameters, so the order of adding is free. */
  readonly #patterns = new Map<number, Pattern[]>();

  add(route: Route): void {
    if (!route.path.startsWith('/')) throw new Error(`route ${route.path}: starts with no slash`);
    const segments = route.path.split('/').slice(1);
    const patterns = this.#patterns.get(segments.length) ?? [];
    this.#patterns.set(segments.length, patterns);
    let pattern = patterns.find((each) => each.segments.join('/') === segments.join('/'));
    if (pattern === undefined) {
      pattern = { segments, routes: new Map() };
      patterns.push(pattern);
      patterns.sort((a, b) => rank(a).localeCompare(rank(b)));
    }
    if (pattern.routes.has(route.method)) {
      throw new Error(`route ${route.method} ${route.path}: added twice`);
    }
    pattern.routes.set(route.method, route);
  }

  /** A HEAD is matched like a GET. Undefined: no such path. Throws invalidValue for a bad escape. */
  match(method: string, path: string): Match | undefined {
    const segments = path.split('/').slice(1);
    const wanted = method === 'HEAD' ? 'GET' : method;
    let allow: Set<string> | undefined;
    for (const pattern of this.#patterns.get(segments.length) ?? []) {
      if (!fits(pattern, segments)) continue;
      const route = pattern.routes.get(wanted as HttpMethod);
      if (route !== undefined) return { route, params: paramsOf(pattern, segments) };
      allow ??= new Set();
      for (const each of pattern.routes.keys()) {
        allow.add(each);
        if (each === 'GET') allow.add('HEAD');
      }
    }
    return allow && { allow: [...allow].sort().join(', ') };
  }

  /** Forms of the paths that begin as this one does, `{name}` for what any text may stand for. */
  near(path: string): string[] {
    const begin = path.split('/', NEAR_SEGMENTS + 1).slice(1);
    const patterns = [...this.#patterns.values()].flat();
    return patterns
      .filter(({ segments }) => begin.every((each, index) => segments[index] === each))
      .map(({ segments }) => `/${segments.map(shownSegment).join('/')}`)
      .slice(0, NEAR_MAX);
  }
}

/** `/v1/policies`: what resource is meant. */
const NEAR_SEGMENTS = 2;
const NEAR_MAX = 8;

const shownSegment = (segment: string): string =>
  isParam(segment) ? `{${segment.slice(1)}}` : segment;

const isParam = (segment: string): boolean => segment.startsWith(':');

const rank = ({ segments }: Pattern): string =>
  segments.map((segment) => (isParam(segment) ? '1' : '0')).join('');

function fits({ segments }: Pattern, actual: readonly string[]): boolean {
  return segments.every((segment, index) =>
    isParam(segment) ? actual[index] !== '' : segment === actual[index],
  );
}

function paramsOf({ segments }: Pattern, actual: readonly string[]): Record<string, string> {
  const params: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    if (!isParam(segment)) continue;
    const raw = actual[index] ?? '';
    try {
      params[segment.slice(1)] = decodeURIComponent(raw);
    } catch {
      throw new FairleadError('invalidValue', `The path segment ${raw} is not percent-encoded.`);
    }
  }
  return params;
}
