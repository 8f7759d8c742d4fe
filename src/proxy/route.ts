/**
 * Which route a request takes: by host, by prefix of the path, by method. The path is compared as it
 * came, never decoded. Pure.
 *
 * The longest prefix wins; of two with the same prefix the one that names the host.
 */
import { FairleadError } from '../errors.ts';

export type TenantSource =
  | { readonly kind: 'jwt' }
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'key'; readonly header: string; readonly keys: KeyLookup };

export interface KeyLookup {
  tenantOf(key: string): string | undefined;
}

export interface ProxyRoute {
  /** In lower case, without a port; undefined: any. */
  readonly host: string | undefined;
  /** Begins with `/`. One that ends with `/` matches what lies below only. */
  readonly path: string;
  /** Undefined: every one. */
  readonly methods: ReadonlySet<string> | undefined;
  readonly resource: string;
  readonly backends: readonly Backend[];
  /** Where the next choice of a backend begins. */
  readonly turn: { next: number };
  readonly tenantFrom: TenantSource;
  readonly seats: number;
  /** Undefined: as long as the resource says. */
  readonly waitMs: number | undefined;
  /** From the last byte of the request that the backend took to the head of its answer. */
  readonly timeoutMs: number;
  /** Between two parts of an answer. */
  readonly idleMs: number;
  /** From its pass to its end; undefined: as long as it takes. */
  readonly lifeMs: number | undefined;
  readonly bodyBytesMax: number;
  /** The prefix is not passed on. */
  readonly stripPrefix: boolean;
  /** The backend hears the client's host, not its own. */
  readonly preserveHost: boolean;
  /** Whether a path may hold encoded slashes and empty segments. */
  readonly encodedSlashes: boolean;
}

/** One server behind a route, shared by the routes that name it. */
export interface Backend {
  readonly origin: string;
  /** Put before the path; without a slash at its end. */
  readonly basePath: string;
  /** Requests that have it now. */
  underway: number;
  /** It took no connection: until then others are asked first. */
  restUntilMs: number;
}

export class RouteTable {
  readonly #routes: readonly ProxyRoute[];

  /** @throws Error when two routes could not be told apart */
  constructor(routes: readonly ProxyRoute[]) {
    this.#routes = [...routes].sort(byRank);
    const seen = new Set<string>();
    for (const { host = '*', path, methods } of routes) {
      for (const method of methods ?? ['*']) {
        const key = `${method} ${host}${path}`;
        if (seen.has(key)) throw new Error(`two routes of the proxy lead from ${key}`);
        seen.add(key);
      }
    }
  }

  /** @throws FairleadError unknownRoute, methodNotAllowed */
  match(host: string, path: string, method: string): ProxyRoute {
    const name = hostName(host);
    let allow: Set<string> | undefined;
    for (const route of this.#routes) {
      if (route.host !== undefined && route.host !== name) continue;
      if (!isBelow(path, route.path)) continue;
      if (route.methods === undefined || route.methods.has(method)) return route;
      allow ??= new Set();
      for (const each of route.methods) allow.add(each);
    }
    if (allow === undefined) throw new FairleadError('unknownRoute');
    const list = [...allow].sort().join(', ');
    throw new FairleadError('methodNotAllowed', undefined, { allow: list });
  }
}

function byRank(a: ProxyRoute, b: ProxyRoute): number {
  const byPath = b.path.length - a.path.length;
  if (byPath !== 0) return byPath;
  const byHost = Number(b.host !== undefined) - Number(a.host !== undefined);
  return byHost !== 0 ? byHost : Number(b.methods !== undefined) - Number(a.methods !== undefined);
}

function isBelow(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return prefix.endsWith('/') || path.length === prefix.length || path[prefix.length] === '/';
}

/** Without its port. */
function hostName(host: string): string {
  const end = host.startsWith('[') ? host.indexOf(']') + 1 : host.indexOf(':');
  return (end > 0 ? host.slice(0, end) : host).toLowerCase();
}

/** The target that the backend gets for a path that the route matched. */
export function targetOf(
  route: ProxyRoute,
  backend: Backend,
  { path, query }: { readonly path: string; readonly query: string | undefined },
): string {
  const cut = route.stripPrefix ? route.path.length - Number(route.path.endsWith('/')) : 0;
  const rest = cut === 0 ? path : path.slice(cut);
  const whole = `${backend.basePath}${rest.startsWith('/') ? rest : `/${rest}`}`;
  return query === undefined ? whole : `${whole}?${query}`;
}

/**
 * The backend with the fewest requests of those that do not rest, in turn where they are equal;
 * `tried` ones are left out. Undefined: all were tried.
 */
export function pickBackend(
  { backends, turn }: ProxyRoute,
  nowMs: number,
  tried?: ReadonlySet<Backend>,
): Backend | undefined {
  let best: Backend | undefined;
  const first = turn.next;
  turn.next = (first + 1) % backends.length;
  for (let step = 0; step < backends.length; step += 1) {
    const backend = backends[(first + step) % backends.length] as Backend;
    if (tried?.has(backend)) continue;
    if (best === undefined || isBetter(backend, best, nowMs)) best = backend;
  }
  return best;
}

function isBetter(a: Backend, b: Backend, nowMs: number): boolean {
  const restsA = a.restUntilMs > nowMs;
  const restsB = b.restUntilMs > nowMs;
  return restsA === restsB ? a.underway < b.underway : restsB;
}
