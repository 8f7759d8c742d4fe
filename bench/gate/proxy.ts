/**
 * `gate/proxy`: requests a second through the daemon's proxy, beside @fastify/http-proxy before the same backend,
 * and what the proxy adds to the latency of a request at half of its load.
 */
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { DaemonProcess, makeDataDirectory, removeDataDirectory } from '../daemon.ts';
import type { Observer } from '../dispatch.ts';
import { Child } from '../gateways/child.ts';
import { percentilesMs } from '../load/latency.ts';
import { type ProcessTimes, parseProcessTimes } from '../process-times.ts';
import { freePort } from '../restart.ts';
import { median, significant } from '../statistics.ts';
import {
  type ClosedLoopResult,
  closedLoop,
  type HttpGenerator,
  httpGenerator,
} from './http-generator.ts';
import type { BackendQuestions } from './load/backend.ts';
import type { FastifyProxyQuestions } from './load/fastify-proxy.ts';
import type { HttpLoadQuestions } from './load/http-main.ts';
import type { GatePace } from './sides.ts';

const RESOURCE = 'proxy.bench';
const TENANT = 'bench';
const TENANT_HEADER = 'x-bench-tenant';
const PATH = '/bench';
const BODY_BYTES = 512;
const CONNECTIONS = 64;
const HALF_LOAD = 0.5;
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
  readonly name: 'gate/proxy';
  readonly kind: 'proxy';
  readonly generator: HttpGenerator;
  readonly connections: number;
  readonly bodyBytes: number;
  readonly daemon: ProxySide;
  readonly fastify: ProxySide;
  /** Daemon ÷ @fastify/http-proxy. */
  readonly ratio: number;
  /** The backend alone, as the generator sees it. */
  readonly directPerSec: number;
  /** Open loop at half of the daemon's rate. */
  readonly halfLoadPerSec: number;
  readonly halfLoadP50Ms: number;
  readonly halfLoadP99Ms: number;
  readonly directP50Ms: number;
  readonly directP99Ms: number;
  readonly addedP99Ms: number;
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

export async function measureProxy(pace: GatePace): Promise<ProxyResult> {
  const loadBefore = Number((loadavg()[0] ?? 0).toFixed(2));
  return await withBackend(async (backend, direct) => {
    const other = child<FastifyProxyQuestions>('fastify-proxy.ts');
    const load = child<HttpLoadQuestions>('http-main.ts');
    try {
      return await withProxy(direct.port, [], async (daemon, proxy) => {
        const port = await other.ask('listen', `http://127.0.0.1:${direct.port}`);
        const targets = { daemon: proxy, fastify: { port, pid: other.pid }, direct };
        const by = httpGenerator();
        const rounds = await inTurn(by, targets, pace, backend);
        const ours = proxySide(rounds.daemon);
        const fastify = proxySide(rounds.fastify);
        const halfLoadPerSec = Math.max(1, Math.round(ours.requestsPerSec * HALF_LOAD));
        const half = await halfLoad(load, targets, halfLoadPerSec, pace);
        await untilIdle(daemon);
        return {
          scope: 'gate',
          name: 'gate/proxy',
          kind: 'proxy',
          generator: by,
          connections: CONNECTIONS,
          bodyBytes: BODY_BYTES,
          daemon: ours,
          fastify,
          ratio: significant(ours.requestsPerSec / fastify.requestsPerSec),
          directPerSec: proxySide(rounds.direct).requestsPerSec,
          halfLoadPerSec,
          ...half,
          seconds: pace.measureMs / 1000,
          rounds: pace.rounds,
          loadBefore,
        };
      });
    } finally {
      await load.stop();
      await other.stop();
    }
  });
}

/** Requests a second through the proxy alone, while it is looked at. */
export async function observeProxy(pace: GatePace, observer: Observer): Promise<number> {
  return await withBackend((backend, direct) =>
    withProxy(direct.port, observer.nodeArgs, async (daemon, proxy) => {
      const by = httpGenerator();
      await oneRound(by, proxy, pace.warmUpMs, backend);
      const stop = await observer.start(daemon);
      const round = await oneRound(by, proxy, pace.measureMs, backend);
      await stop();
      return Math.round(round.requests / round.seconds);
    }),
  );
}

async function inTurn<N extends string>(
  by: HttpGenerator,
  targets: Readonly<Record<N, Target>>,
  pace: GatePace,
  backend: Child<BackendQuestions>,
): Promise<Record<N, Round[]>> {
  const entries = Object.entries(targets) as [N, Target][];
  const rounds = Object.fromEntries(entries.map(([name]) => [name, []])) as unknown as Record<
    N,
    Round[]
  >;
  for (const [, target] of pace.warmUpMs > 0 ? entries : []) {
    await oneRound(by, target, pace.warmUpMs, backend);
  }
  for (let round = 0; round < pace.rounds; round += 1) {
    for (const [name, target] of entries) {
      rounds[name].push(await oneRound(by, target, pace.measureMs, backend));
    }
  }
  return rounds;
}

/** @throws Error unless the backend had every request that was answered */
async function oneRound(
  by: HttpGenerator,
  { port, pid }: Target,
  ms: number,
  backend: Child<BackendQuestions>,
): Promise<Round> {
  await backend.ask('served');
  const before = timesOf(pid);
  const url = `http://127.0.0.1:${port}${PATH}`;
  const headers = { [TENANT_HEADER]: TENANT };
  const result = await closedLoop(by, { url, headers, connections: CONNECTIONS, ms });
  const after = timesOf(pid);
  const served = await backend.ask('served');
  if (served < result.requests || served > result.requests + 2 * CONNECTIONS) {
    throw new Error(`${result.requests} requests were answered, the backend had ${served}`);
  }
  const times = {
    processUs: after.processUs - before.processUs,
    mainThreadUs: after.mainThreadUs - before.mainThreadUs,
  };
  return { ...result, times };
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

async function halfLoad(
  load: Child<HttpLoadQuestions>,
  { daemon, direct }: { readonly daemon: Target; readonly direct: Target },
  ratePerSec: number,
  { rounds, warmUpMs, measureMs }: GatePace,
) {
  const request = `GET ${PATH} HTTP/1.1\r\nHost: bench\r\n${TENANT_HEADER}: ${TENANT}\r\n\r\n`;
  const shape = { request, bodyBytes: BODY_BYTES, connections: CONNECTIONS, ratePerSec };
  const percentiles = new Map<Target, number[][]>([
    [daemon, []],
    [direct, []],
  ]);
  for (let round = 0; round < rounds; round += 1) {
    for (const [target, of] of percentiles) {
      const { port } = target;
      const { latency } = await load.ask('run', { ...shape, port, warmUpMs, measureMs });
      of.push(percentilesMs([latency], [50, 99]));
    }
  }
  const middle = (target: Target, at: number): number =>
    median((percentiles.get(target) as number[][]).map((of) => of[at] as number));
  const added = middle(daemon, 1) - middle(direct, 1);
  return {
    halfLoadP50Ms: significant(middle(daemon, 0)),
    halfLoadP99Ms: significant(middle(daemon, 1)),
    directP50Ms: significant(middle(direct, 0)),
    directP99Ms: significant(middle(direct, 1)),
    addedP99Ms: significant(added),
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
  backendPort: number,
  nodeArgs: readonly string[],
  use: (daemon: DaemonProcess, proxy: Target) => Promise<T>,
): Promise<T> {
  const dataDir = makeDataDirectory();
  const port = await freePort();
  const route = [
    'path="/"',
    `resource="${RESOURCE}"`,
    `backends=["http://127.0.0.1:${backendPort}"]`,
    `tenantFrom="header:${TENANT_HEADER}"`,
  ];
  const settings = [
    `proxy=[{${route.join(',')}}]`,
    `proxyListener.port=${port}`,
    'proxyListener.trust=["127.0.0.1"]',
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

function child<Q extends BackendQuestions | FastifyProxyQuestions | HttpLoadQuestions>(
  program: string,
): Child<Q> {
  return new Child<Q>(join(import.meta.dirname, 'load', program));
}
