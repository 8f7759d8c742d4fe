/**
 * `gate/proxy…`: requests a second through the daemon's proxy, beside @fastify/http-proxy before the same backend,
 * and what the proxy adds to the latency of a request at half of its load.
 */
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { DaemonProcess, makeDataDirectory, removeDataDirectory } from '../daemon.ts';
import type { Observer } from '../dispatch.ts';
import { Child } from '../gateways/child.ts';
import { type ProcessTimes, parseProcessTimes } from '../process-times.ts';
import { freePort } from '../restart.ts';
import { median, significant } from '../statistics.ts';
import { halfLoads } from './half-load.ts';
import {
  type ClosedLoopResult,
  closedLoop,
  type HttpGenerator,
  httpGenerator,
} from './http-generator.ts';
import type { BackendQuestions } from './load/backend.ts';
import type { FastifyProxyQuestions } from './load/fastify-proxy.ts';
import type { HopQuestions } from './load/hop.ts';
import type { HttpLoadQuestions } from './load/http-main.ts';
import { type ProxyShape, tenantSettings, urlOf } from './proxy-shapes.ts';
import type { GatePace } from './sides.ts';

const RESOURCE = 'proxy.bench';
const BODY_BYTES = 512;
const CONNECTIONS = 64;
const HALF_LOAD = 0.5;
/** So many requests before a round counts: before them code is not compiled yet. */
const WARM_UP_REQUESTS = 10_000;
const WARM_UP_ROUNDS_MAX = 15;
const POLL_MS = 10;
const IDLE_TIMEOUT_MS = 5_000;

/** Medians of a proxy's rounds. */
export interface ProxySide {
  readonly requestsPerSec: number;
  readonly requestsPerSecMin: number;
  readonly requestsPerSecMax: number;
  readonly cpuUsPerRequest: number;
  readonly mainThreadPct: number;
  readonly otherThreadsPct: number;
  /** Of the closed loop. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface ProxyResult {
  readonly scope: 'gate';
  readonly name: ProxyShape['name'];
  readonly kind: 'proxy';
  readonly generator: HttpGenerator;
  readonly connections: number;
  readonly sentBytes: number;
  readonly bodyBytes: number;
  readonly daemon: ProxySide;
  readonly fastify: ProxySide;
  /** Daemon ÷ @fastify/http-proxy. */
  readonly ratio: number;
  /** @fastify/http-proxy ÷ daemon, of the CPU a request: what others on the machine take is not in it. */
  readonly cpuRatio: number;
  /** The backend alone, as the generator sees it. */
  readonly directPerSec: number;
  /** Open loop at half of the daemon's rate; beside it one to the backend alone, at the same time. */
  readonly halfLoadPerSec: number;
  readonly halfLoadP50Ms: number;
  readonly halfLoadP99Ms: number;
  readonly directP50Ms: number;
  readonly directP99Ms: number;
  readonly addedP99Ms: number;
  /** The same of a process that only hands bytes on: what one more process adds on this machine. */
  readonly hopAddedP99Ms: number;
  /** The same of @fastify/http-proxy, at half of its own rate. */
  readonly fastifyHalfLoadPerSec: number;
  readonly fastifyAddedP99Ms: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly loadBefore: number;
}

interface Target {
  readonly port: number;
  readonly pid: number;
}

interface Round extends ClosedLoopResult {
  readonly times: ProcessTimes;
}

/** What all rounds of a row share. */
interface Run {
  readonly by: HttpGenerator;
  readonly shape: ProxyShape;
  readonly pace: GatePace;
  readonly backend: Child<BackendQuestions>;
}

export async function measureProxy(shape: ProxyShape, pace: GatePace): Promise<ProxyResult> {
  const loadBefore = Number((loadavg()[0] ?? 0).toFixed(2));
  return await withBackend(async (backend, direct) => {
    const other = child<FastifyProxyQuestions>('fastify-proxy.ts');
    const hop = child<HopQuestions>('hop.ts');
    const load = child<HttpLoadQuestions>('http-main.ts');
    try {
      return await withProxy(shape, direct.port, [], async (daemon, proxy) => {
        const port = await other.ask('listen', `http://127.0.0.1:${direct.port}`);
        const targets = { daemon: proxy, fastify: { port, pid: other.pid }, direct };
        const by = httpGenerator();
        const rounds = await inTurn(targets, { by, shape, pace, backend });
        const ours = proxySide(rounds.daemon);
        const fastify = proxySide(rounds.fastify);
        const halfLoadPerSec = halfOf(ours);
        const fastifyHalfLoadPerSec = halfOf(fastify);
        const half = await halfLoads(
          load,
          {
            daemon: { port: proxy.port, ratePerSec: halfLoadPerSec },
            hop: { port: await hop.ask('listen', direct.port), ratePerSec: halfLoadPerSec },
            fastify: { port, ratePerSec: fastifyHalfLoadPerSec },
          },
          { shape, pace, directPort: direct.port, bodyBytes: BODY_BYTES, connections: CONNECTIONS },
        );
        await untilIdle(daemon);
        return {
          scope: 'gate',
          name: shape.name,
          kind: 'proxy',
          generator: by,
          connections: CONNECTIONS,
          sentBytes: shape.sentBytes,
          bodyBytes: BODY_BYTES,
          daemon: ours,
          fastify,
          ratio: significant(ours.requestsPerSec / fastify.requestsPerSec),
          cpuRatio: significant(fastify.cpuUsPerRequest / ours.cpuUsPerRequest),
          directPerSec: proxySide(rounds.direct).requestsPerSec,
          halfLoadPerSec,
          halfLoadP50Ms: half.daemon.p50Ms,
          halfLoadP99Ms: half.daemon.p99Ms,
          directP50Ms: half.daemon.directP50Ms,
          directP99Ms: half.daemon.directP99Ms,
          addedP99Ms: half.daemon.addedP99Ms,
          hopAddedP99Ms: half.hop.addedP99Ms,
          fastifyHalfLoadPerSec,
          fastifyAddedP99Ms: half.fastify.addedP99Ms,
          seconds: pace.measureMs / 1000,
          rounds: pace.rounds,
          loadBefore,
        };
      });
    } finally {
      await load.stop();
      await hop.stop();
      await other.stop();
    }
  });
}

/** Requests a second through the proxy alone, while it is looked at. */
export async function observeProxy(
  shape: ProxyShape,
  pace: GatePace,
  observer: Observer,
): Promise<number> {
  return await withBackend((backend, direct) =>
    withProxy(shape, direct.port, observer.nodeArgs, async (daemon, proxy) => {
      const run = { by: httpGenerator(), shape, pace, backend };
      await oneRound(proxy, pace.warmUpMs, run);
      const stop = await observer.start(daemon);
      const round = await oneRound(proxy, pace.measureMs, run);
      await stop();
      return Math.round(round.requests / round.seconds);
    }),
  );
}

async function inTurn<N extends string>(
  targets: Readonly<Record<N, Target>>,
  run: Run,
): Promise<Record<N, Round[]>> {
  const { rounds: count, warmUpMs, measureMs } = run.pace;
  const entries = Object.entries(targets) as [N, Target][];
  const rounds = Object.fromEntries(entries.map(([name]) => [name, []])) as unknown as Record<
    N,
    Round[]
  >;
  for (const [, target] of warmUpMs > 0 ? entries : []) {
    let warm = 0;
    for (let at = 0; at < WARM_UP_ROUNDS_MAX && warm < WARM_UP_REQUESTS; at += 1) {
      warm += (await oneRound(target, warmUpMs, run)).requests;
    }
  }
  for (let round = 0; round < count; round += 1) {
    for (const [name, target] of entries) rounds[name].push(await oneRound(target, measureMs, run));
  }
  return rounds;
}

/** @throws Error unless the backend had every request that was answered, and all of their bodies */
async function oneRound(
  { port, pid }: Target,
  ms: number,
  { by, shape, backend }: Run,
): Promise<Round> {
  await backend.ask('served');
  const before = timesOf(pid);
  const { method, sentBytes, headers } = shape;
  const request = { url: urlOf(port), method, sentBytes, headers };
  const result = await closedLoop(by, { ...request, connections: CONNECTIONS, ms });
  const after = timesOf(pid);
  const { requests: served, bytes } = await backend.ask('served');
  if (served < result.requests || served > result.requests + 2 * CONNECTIONS) {
    throw new Error(`${result.requests} requests were answered, the backend had ${served}`);
  }
  if (bytes !== served * sentBytes) {
    throw new Error(`${served} requests of ${sentBytes} bytes brought ${bytes}`);
  }
  const times = {
    processUs: after.processUs - before.processUs,
    mainThreadUs: after.mainThreadUs - before.mainThreadUs,
  };
  return { ...result, times };
}

function halfOf({ requestsPerSec }: ProxySide): number {
  return Math.max(1, Math.round(requestsPerSec * HALF_LOAD));
}

function proxySide(rounds: readonly Round[]): ProxySide {
  const middle = (value: (round: Round) => number): number =>
    significant(median(rounds.map(value)));
  const rates = rounds.map(({ requests, seconds }) => Math.round(requests / seconds));
  const pct = (us: number, { seconds }: Round): number => us / seconds / 1e4;
  return {
    requestsPerSec: Math.round(median(rates)),
    requestsPerSecMin: Math.min(...rates),
    requestsPerSecMax: Math.max(...rates),
    cpuUsPerRequest: middle(({ times, requests }) => times.processUs / requests),
    mainThreadPct: middle((round) => pct(round.times.mainThreadUs, round)),
    otherThreadsPct: middle((round) =>
      pct(round.times.processUs - round.times.mainThreadUs, round),
    ),
    p50Ms: middle(({ p50Ms }) => p50Ms),
    p99Ms: middle(({ p99Ms }) => p99Ms),
  };
}

async function withBackend<T>(
  use: (backend: Child<BackendQuestions>, direct: Target) => Promise<T>,
): Promise<T> {
  const backend = child<BackendQuestions>('backend.ts');
  try {
    const port = await backend.ask('listen', BODY_BYTES);
    return await use(backend, { port, pid: backend.pid });
  } finally {
    await backend.stop();
  }
}

async function withProxy<T>(
  shape: ProxyShape,
  backendPort: number,
  nodeArgs: readonly string[],
  use: (daemon: DaemonProcess, proxy: Target) => Promise<T>,
): Promise<T> {
  const dataDir = makeDataDirectory();
  const port = await freePort();
  const tenant = tenantSettings(shape, dataDir);
  const route = [
    'path="/"',
    `resource="${RESOURCE}"`,
    `backends=["http://127.0.0.1:${backendPort}"]`,
    ...tenant.route,
  ];
  const settings = [
    `proxy=[{${route.join(',')}}]`,
    `proxyListener.port=${port}`,
    ...tenant.settings,
  ];
  const options = { durability: 'flushed', dataDir, settings, nodeArgs } as const;
  const daemon = await DaemonProcess.start(options);
  try {
    await daemon.put('resources', RESOURCE, { tenantLimit: CONNECTIONS, limit: 2 * CONNECTIONS });
    return await use(daemon, { port, pid: daemon.pid });
  } finally {
    await daemon.stop();
    removeDataDirectory(dataDir);
  }
}

/** What the gate counts is back to the one request that asks. @throws Error when something is left */
async function untilIdle(daemon: DaemonProcess): Promise<void> {
  const endMs = performance.now() + IDLE_TIMEOUT_MS;
  for (;;) {
    const { permits, localPermits, waiting } = await daemon.gate();
    if (permits === 0 && localPermits <= 1 && waiting === 0) return;
    if (performance.now() > endMs) throw new Error(`${localPermits} requests are still counted`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function timesOf(pid: number): ProcessTimes {
  const read = (path: string): number =>
    parseProcessTimes(readFileSync(`/proc/${pid}/${path}`, 'latin1'));
  return { processUs: read('stat'), mainThreadUs: read(`task/${pid}/stat`) };
}

function child<
  Q extends BackendQuestions | FastifyProxyQuestions | HopQuestions | HttpLoadQuestions,
>(program: string): Child<Q> {
  return new Child<Q>(join(import.meta.dirname, 'load', program));
}
