/**
 * The proxy under thousands of requests at once, whose clients leave and whose upstream fails at random:
 * every answer is whole and its own or visibly broken, and when it is over nothing is counted, waits or is
 * held, and memory is where it was. Cycles of three loads: raw clients that check every byte, autocannon, wrk.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../../bench/gateways/child.ts';
import { freePort } from '../crash/daemon-process.ts';
import { GateDaemon } from './gate-daemon.ts';
import { load, missing, TOOLS, type ToolSaid } from './storm/load-tools.ts';
import { MemoryWatch } from './storm/memory-watch.ts';
import type { StormQuestions } from './storm/storm-clients.ts';
import {
  LIMIT,
  NO_OUTCOMES,
  type Outcomes,
  PATHS,
  PATIENT_MS,
  RESOURCE,
  STORM_TENANTS,
  STUCK_MS,
  TENANT_HEADER,
} from './storm/storm-plan.ts';
import type { UpstreamQuestions } from './storm/upstream.ts';

export interface ProxyOptions {
  /** Of raw clients, in each cycle. */
  readonly requests: number;
  readonly atOnce: number;
  readonly cycles: number;
  /** Of each tool in each cycle; 0: without tools. */
  readonly toolSeconds: number;
  readonly seed: number;
  readonly build?: string | undefined;
  /** Answers of the upstream that belong to another request: what the clients have to see. */
  readonly mixedShare?: number;
  readonly showsProgress?: boolean;
}

export interface ProxyResult extends Outcomes {
  readonly requests: number;
  readonly atOnce: number;
  readonly cycles: number;
  readonly perSec: number;
  readonly tools: Readonly<Record<string, ToolSaid | string>>;
  /** At the upstream. */
  readonly served: number;
  readonly atOnceMaxUpstream: number;
  /** When all is over, by the daemon. */
  readonly localPermitsLeft: number;
  readonly waitingLeft: number;
  readonly underWayLeft: number;
  readonly heldBytesLeft: number;
  readonly openUpstreamLeft: number;
  /** Anonymous memory of the daemon, MiB: the most, after each cycle, and what the last ones added. */
  readonly memoryPeakMiB: number;
  readonly memoryAtRestMiB: readonly number[];
  readonly memoryGrownMiB: number;
  readonly exitCode: number | null;
  readonly seconds: number;
  readonly passed: boolean;
  readonly faults: readonly string[];
}

/**
 * Memory at rest after the last cycle may be so much more than after the warm-up. The engine lets its heap grow by
 * tens of MiB between two of its collections, so less would say nothing; what is kept of each request shows by far,
 * as the cycles between have tens of thousands of them.
 */
const GROWN_MIB_MAX = 40;
const WARM_UP_CYCLES = 2;
const IDLE_TIMEOUT_MS = 15_000;
/** What asks is counted itself, at the REST interface. */
const OWN_PERMITS = 1;
const TOOL_TENANT = 'tool';

export async function proxyRun(options: ProxyOptions): Promise<ProxyResult> {
  const upstream = child<UpstreamQuestions>('upstream.ts');
  const clients = child<StormQuestions>('storm-clients.ts');
  const port = await freePort();
  const upstreamPort = await upstream.ask('listen', options.mixedShare ?? 0);
  const route = (path: string, ms: number): string => {
    const by = `backends=["http://127.0.0.1:${upstreamPort}"],tenantFrom="header:${TENANT_HEADER}"`;
    return `{path="${path}",resource="${RESOURCE}",${by},timeoutMs=${ms},idleMs=${ms}}`;
  };
  const routes = [route(PATHS.stuck, STUCK_MS), route('/', PATIENT_MS)];
  const settings = [`proxy=[${routes.join(',')}]`, `proxyListener.port=${port}`];
  const gate = new GateDaemon([...settings, 'proxyListener.trust=["127.0.0.1"]'], options.build);
  try {
    await gate.start();
    return await new ProxyRun(options, { gate, upstream, clients, port }).run();
  } finally {
    await Promise.all([gate.end(), upstream.stop(), clients.stop()]);
  }
}

interface Parts {
  readonly gate: GateDaemon;
  readonly upstream: Child<UpstreamQuestions>;
  readonly clients: Child<StormQuestions>;
  readonly port: number;
}

class ProxyRun {
  readonly #options: ProxyOptions;
  readonly #of: Parts;
  readonly #memory: MemoryWatch;
  readonly #outcomes = { ...NO_OUTCOMES };
  readonly #tools: Record<string, ToolSaid | string> = {};
  readonly #faults: string[] = [];
  #stormSeconds = 0;

  constructor(options: ProxyOptions, of: Parts) {
    this.#options = options;
    this.#of = of;
    this.#memory = new MemoryWatch(of.gate.now.pid);
  }

  async run(): Promise<ProxyResult> {
    const startMs = performance.now();
    try {
      await this.#configure();
      for (let cycle = 0; cycle < this.#options.cycles; cycle += 1) {
        await this.#storm(cycle);
        // What was found is not to be hidden by what comes of it.
        if (this.#faults.length > 0) break;
        for (const tool of TOOLS) await this.#tool(tool);
        await this.#untilIdle();
        await this.#memory.rest();
        if (this.#faults.length > 0) break;
      }
      return await this.#figures(startMs);
    } finally {
      this.#memory.stop();
    }
  }

  async #configure(): Promise<void> {
    const { gate } = this.#of;
    const mode = { mode: 'queue', waitersMax: 150, waitMs: 2000 };
    await gate.now.put(`resources/${RESOURCE}`, { tenantLimit: LIMIT, ...mode });
    await gate.now.put(`policies/${RESOURCE}/${STORM_TENANTS.at(-1)}`, { mode: 'reject' });
    // Half of a tool's connections pass, the others wait, and none is refused.
    const half = Math.ceil(this.#options.atOnce / 2);
    const patient = { limit: half, waitersMax: 2 * half, waitMs: PATIENT_MS };
    await gate.now.put(`policies/${RESOURCE}/${TOOL_TENANT}`, patient);
  }

  async #storm(cycle: number): Promise<void> {
    const { seed, requests, atOnce } = this.#options;
    const firstId = cycle * requests;
    const shape = { port: this.#of.port, seed: seed + cycle, requests, atOnce, firstId };
    const { outcomes, faults, seconds } = await this.#of.clients.ask('run', shape);
    for (const name of Object.keys(outcomes) as (keyof Outcomes)[]) {
      this.#outcomes[name] += outcomes[name];
    }
    this.#faults.push(...faults);
    this.#stormSeconds += seconds;
    this.#progress(`cycle ${cycle + 1}: ${requests} requests in ${seconds.toFixed(1)} s`);
  }

  async #tool(tool: (typeof TOOLS)[number]): Promise<void> {
    const { toolSeconds: seconds, atOnce: connections } = this.#options;
    const why = seconds === 0 ? 'not asked for' : missing(tool);
    if (why !== undefined) {
      if (this.#tools[tool] === undefined) this.#progress(`${tool} is left out: ${why}`);
      this.#tools[tool] = why;
      return;
    }
    const url = `http://127.0.0.1:${this.#of.port}/load`;
    const said = await load(tool, {
      url,
      header: `${TENANT_HEADER}: ${TOOL_TENANT}`,
      connections,
      seconds,
    });
    this.#progress(`${tool}: ${JSON.stringify(said)}`);
    const before = this.#tools[tool];
    if (typeof before === 'object') {
      const names = Object.keys(said) as (keyof ToolSaid)[];
      const sums = names.map((name) => [name, before[name] + said[name]]);
      this.#tools[tool] = Object.fromEntries(sums) as ToolSaid;
    } else {
      this.#tools[tool] = said;
    }
    const { requests, not2xx } = said;
    if (requests <= not2xx) this.#faults.push(`${tool}: nothing was answered well`);
  }

  async #untilIdle(): Promise<Left> {
    const endMs = performance.now() + IDLE_TIMEOUT_MS;
    for (;;) {
      const left = await this.#left();
      const isIdle = Object.values(left).every((count) => count === 0);
      if (isIdle || performance.now() > endMs) return left;
      await sleep(50);
    }
  }

  async #left(): Promise<Left> {
    const { gate, upstream } = this.#of;
    const { localPermits, permits, waiting } = await gate.totals();
    return {
      localPermitsLeft: localPermits + permits - OWN_PERMITS,
      waitingLeft: waiting + (await gate.metric('fairlead_proxy_waiting{[^}]*}')),
      underWayLeft: await gate.metric('fairlead_proxy_under_way{[^}]*}'),
      heldBytesLeft: await gate.metric('fairlead_proxy_held_bytes'),
      openUpstreamLeft: (await upstream.ask('said')).open,
    };
  }

  async #figures(startMs: number): Promise<ProxyResult> {
    const { requests, atOnce, cycles } = this.#options;
    const left = await this.#untilIdle();
    const { requests: served, openMax, faults } = await this.#of.upstream.ask('said');
    this.#memory.stop();
    const exitCode = await this.#of.gate.now.stop();
    const { atRestMiB, peakMiB } = this.#memory;
    const warm = Math.min(WARM_UP_CYCLES, atRestMiB.length) - 1;
    const memoryGrownMiB = (atRestMiB.at(-1) ?? 0) - (atRestMiB[warm] ?? 0);
    const all = [...this.#faults, ...faults];
    const { openUpstreamLeft, ...atGate } = left;
    if (openUpstreamLeft > 0) all.push(`left at the upstream: ${openUpstreamLeft} requests`);
    const isLeft = Object.values(atGate).some((count) => count !== 0);
    if (isLeft) all.push(`left at the gate: ${JSON.stringify(atGate)}`);
    if (memoryGrownMiB > GROWN_MIB_MAX) all.push(`memory grew by ${memoryGrownMiB} MiB`);
    if (exitCode !== 0) all.push(`the daemon ended with ${exitCode}`);
    const { whole, impeded, failed, broken, passedOn, left: gone } = this.#outcomes;
    const isEach = [whole, impeded, failed, broken, passedOn, gone].every((count) => count > 0);
    if (!isEach) all.push('an outcome did not happen');
    return {
      ...{ requests: requests * cycles, atOnce, cycles, ...this.#outcomes },
      perSec: Math.round((requests * atRestMiB.length) / this.#stormSeconds),
      ...{ tools: this.#tools, served, atOnceMaxUpstream: openMax, ...left },
      ...{ memoryPeakMiB: peakMiB, memoryAtRestMiB: atRestMiB, memoryGrownMiB, exitCode },
      seconds: Number(((performance.now() - startMs) / 1000).toFixed(1)),
      passed: all.length === 0,
      faults: all,
    };
  }

  #progress(text: string): void {
    if (this.#options.showsProgress === true) process.stderr.write(`proxy: ${text}\n`);
  }
}

type Left = Pick<
  ProxyResult,
  'localPermitsLeft' | 'waitingLeft' | 'underWayLeft' | 'heldBytesLeft' | 'openUpstreamLeft'
>;

function child<Q extends UpstreamQuestions | StormQuestions>(program: string): Child<Q> {
  return new Child<Q>(join(import.meta.dirname, 'storm', program));
}
