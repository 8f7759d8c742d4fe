/**
 * Joins the proxy with its listener, the gate, backends and tokens. The composition root's part for
 * it: no rule of its own stands here.
 */
import { readFileSync } from 'node:fs';
import type { Logger } from './base/logger.ts';
import { type Config, ConfigError, type ProxyRouteOption, type Secrets } from './config/index.ts';
import { ProxyListener } from './ingress/proxy-listener.ts';
import { StreamClient } from './outbound/stream-client.ts';
import { Fronts } from './proxy/forwarded.ts';
import { KeyTable } from './proxy/key-table.ts';
import type { Gate, Tokens } from './proxy/ports.ts';
import type { ProxyMetric } from './proxy/proxy-counts.ts';
import { ReverseProxy } from './proxy/reverse-proxy.ts';
import { type Backend, type ProxyRoute, RouteTable, type TenantSource } from './proxy/route.ts';

export interface ProxyParts {
  readonly config: Config;
  readonly gate: Gate;
  readonly tokens: Tokens;
  readonly secrets: Secrets;
  readonly logger: Logger;
}

export interface JoinedProxy {
  readonly proxy: ReverseProxy;
  /** Of the proxy's listener. */
  readonly port: number;
  metrics(): ProxyMetric[];
  /** No new connections and requests; resolves when nothing is under way, or after this long. */
  drain(deadlineMs: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Undefined where no route is configured.
 *
 * @throws ConfigError for a route that cannot be used; what keeps the address from being taken
 */
export async function joinProxy(parts: ProxyParts): Promise<JoinedProxy | undefined> {
  const { config, gate, tokens, logger } = parts;
  const { proxyListener: terms } = config;
  if (config.proxy.length === 0) return undefined;
  const backends = new StreamClient({
    connectTimeoutMs: terms.connectTimeoutMs,
    socketsPerOriginMax: terms.socketsPerBackend,
    // Each backend has its own bound, so none keeps another out.
    socketsMax: Number.POSITIVE_INFINITY,
    ca: caOf(terms.caFile),
  });
  const proxy = new ReverseProxy({
    routes: routesOf(parts),
    fronts: checked('proxyListener.trust', () => new Fronts(terms.trust)),
    gate,
    backends,
    tokens,
    logger,
    requestsMax: terms.requestsMax,
  });
  const { certFile, keyFile } = terms.tls;
  const listener = await ProxyListener.start({
    host: terms.host,
    port: terms.port,
    tls: certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile },
    allowFallback: config.ingress.allowFallback,
    take: (call) => proxy.take(call),
  });
  logger.info({ host: terms.host, port: listener.port, routes: config.proxy.length }, 'proxying');
  return {
    proxy,
    port: listener.port,
    metrics: () => proxy.metrics(),
    drain: async (deadlineMs) => {
      const endMs = performance.now() + deadlineMs;
      listener.stopAccepting();
      await proxy.drain(deadlineMs);
      await listener.whenIdle(endMs - performance.now());
    },
    close: async () => {
      listener.stopAccepting();
      proxy.close();
      await backends.close();
    },
  };
}

function routesOf(parts: ProxyParts): RouteTable {
  const backends = new Map<string, Backend>();
  const keys = new Map<string, KeyTable>();
  const routes = parts.config.proxy.map((option, index): ProxyRoute => {
    const { host, methods, waitMs, lifeMs, tenantFrom: _, keyHeader, keys: __, ...rest } = option;
    return {
      ...rest,
      host,
      waitMs,
      lifeMs,
      methods: methods === undefined ? undefined : new Set(methods),
      backends: option.backends.map((url) => backendOf(url, backends)),
      turn: { next: 0 },
      tenantFrom: checked(`proxy.${index}.keys`, () => sourceOf({ option, parts, keys })),
    };
  });
  return checked('proxy', () => new RouteTable(routes));
}

function backendOf(url: string, known: Map<string, Backend>): Backend {
  const { origin, pathname } = new URL(url);
  const basePath = pathname.replace(/\/+$/, '');
  let backend = known.get(`${origin}${basePath}`);
  if (backend === undefined) {
    backend = { origin, basePath, underway: 0, restUntilMs: 0 };
    known.set(`${origin}${basePath}`, backend);
  }
  return backend;
}

function sourceOf({
  option: { tenantFrom, keyHeader, keys: name = '' },
  parts: { secrets, logger },
  keys: known,
}: {
  readonly option: ProxyRouteOption;
  readonly parts: ProxyParts;
  readonly keys: Map<string, KeyTable>;
}): TenantSource {
  if (tenantFrom === 'jwt') return { kind: 'jwt' };
  if (tenantFrom !== 'key') return { kind: 'header', name: tenantFrom.slice('header:'.length) };
  let keys = known.get(name);
  if (keys === undefined) {
    keys = new KeyTable({ read: () => secrets.get(name), name, logger });
    known.set(name, keys);
  }
  return { kind: 'key', header: keyHeader, keys };
}

function caOf(file: string | undefined): string[] | undefined {
  if (file === undefined) return undefined;
  return [checked('proxyListener.caFile', () => readFileSync(file, 'utf8'))];
}

/** What fails is a fault of the configuration. */
function checked<T>(key: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new ConfigError([{ key, why: (error as Error).message, from: 'the configuration' }]);
  }
}
