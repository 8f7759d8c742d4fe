/**
 * Permits in millions: many clients on raw connections, lists of varying length, while leases end,
 * connections are cut and limits change. The observer counts each permit when it comes and when it goes
 * (mass/shared-counts.ts); `mix` is the same with the SDK, deeper and slower.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { parseProcessTimes } from '../../bench/process-times.ts';
import { below, type Random, randomFrom } from '../crash/traffic.ts';
import { GateDaemon, type GateTotals } from './gate-daemon.ts';
import {
  CAP_SORTS,
  type FromThread,
  GRACE_MS,
  LEASE_MS,
  limitOf,
  MASS_CAPS,
  MASS_KEYS,
  MASS_TENANTS,
  type MassPlan,
  type MassTotals,
  MODES,
  massKey,
  NO_TOTALS,
  RESOURCES,
  sortOf,
  type ThreadData,
} from './mass/mass-plan.ts';
import { SharedCounts } from './mass/shared-counts.ts';

export interface MassOptions {
  /** Permits for each client to get and give back. */
  readonly pairs: number;
  readonly clients: number;
  readonly threads: number;
  readonly seed: number;
  readonly durability: 'strict' | 'relaxed';
  readonly plan?: Partial<MassPlan>;
  /** The observer is not told of every limit. */
  readonly hiddenLimits?: boolean;
  readonly build?: string | undefined;
  /** Prints a line a second on stderr. */
  readonly showsProgress?: boolean;
}

/** Of the caps of one sort. */
export interface SortSeen {
  /** How often one was full to its last seat: only then could it be passed. */
  readonly full: number;
  readonly over: number;
  readonly peak: number;
}

export interface MassResult extends MassTotals {
  readonly clients: number;
  readonly threads: number;
  readonly pairs: number;
  readonly durability: string;
  readonly seen: Readonly<Record<(typeof CAP_SORTS)[number], SortSeen>>;
  /** Who came where a cap allowed no more: each is an over-admission. */
  readonly over: number;
  readonly limitChanges: number;
  /** By the daemon; its own requests are in `granted` and `released`. */
  readonly daemon: Pick<GateTotals, 'granted' | 'released' | 'expired' | 'orphaned' | 'claimed'>;
  /** Permits that the daemon gave and no client heard of, with connections that were cut. */
  readonly unheard: number;
  readonly permitsLeft: number;
  readonly seatsLeft: number;
  readonly waitingLeft: number;
  readonly seatsLeftOutside: number;
  readonly seconds: number;
  readonly perSec: number;
  /** Processor time a permit, µs. */
  readonly daemonCpuUs: number;
  readonly clientCpuUs: number;
  readonly passed: boolean;
  readonly faults: readonly string[];
}

const CHANGE_EVERY_MS = 40;
const EMPTY_TIMEOUT_MS = LEASE_MS + 10_000;
const HIDDEN_SEATS = 10;
/** Tenants with seats kept free at the first resource, and how many. */
const FLOOR_EVERY = 5;
const FLOOR = 2;
const PACE_PER_SEC = 5000;

const PLAN: Omit<MassPlan, 'pairs'> = {
  ...{ lists: 4, abortShare: 0.03, forgetShare: 0.0005, waitShare: 0.1, holdMsMax: 8 },
  ...{ dropEveryMs: 1000, goOn: false, releaseFirst: false },
};

export async function massRun(options: MassOptions): Promise<MassResult> {
  const { durability, build } = options;
  const settings = ['gate.autoCreateResources=false', `gate.graceMs=${GRACE_MS}`];
  const gate = new GateDaemon([...settings, `gate.durability=${durability}`], build);
  try {
    await gate.start();
    return await new MassRun(options, gate).run();
  } finally {
    await gate.end();
  }
}

class MassRun {
  readonly #options: MassOptions;
  readonly #gate: GateDaemon;
  readonly #counts = SharedCounts.of(MASS_CAPS);
  readonly #random: Random;
  #limitChanges = 0;
  #isEnded = false;

  constructor(options: MassOptions, gate: GateDaemon) {
    this.#options = options;
    this.#gate = gate;
    this.#random = randomFrom(options.seed);
  }

  async run(): Promise<MassResult> {
    for (let cap = MASS_CAPS - 1; cap >= 0; cap -= 1) await this.#change(cap);
    const startMs = performance.now();
    const before = this.#cpuUs();
    const threads = this.#threads();
    const done = Promise.all(threads.map(({ done }) => done)).finally(() => {
      this.#isEnded = true;
    });
    done.catch(() => {});
    const progress = setInterval(() => {
      if (this.#options.showsProgress !== true) return;
      const granted = threads.reduce((sum, { heard }) => sum + heard.granted, 0);
      const seconds = (performance.now() - startMs) / 1000;
      process.stderr.write(`mass: ${granted} permits in ${seconds.toFixed(0)} s\n`);
    }, 1000);
    try {
      while (!this.#isEnded) {
        await this.#change(below(this.#random, MASS_CAPS));
        await sleep(CHANGE_EVERY_MS);
      }
      const said = await done;
      const after = this.#cpuUs();
      return await this.#account(said, {
        seconds: (performance.now() - startMs) / 1000,
        daemonCpuUs: after.daemon - before.daemon,
        clientCpuUs: after.clients - before.clients,
      });
    } finally {
      clearInterval(progress);
      await Promise.all(threads.map(({ worker }) => worker.terminate()));
    }
  }

  #threads(): Thread[] {
    const { clients, threads, seed, pairs, plan } = this.#options;
    const { url, token } = this.#gate.now;
    return Array.from({ length: threads }, (_, index) =>
      startThread({
        clients: Math.floor(clients / threads) + Number(index < clients % threads),
        seed: seed + index,
        ...{ url, token, plan: { ...PLAN, ...plan, pairs }, state: this.#counts.state },
      }),
    );
  }

  async #change(cap: number): Promise<void> {
    const sort = sortOf(cap);
    const limit = limitOf(cap, this.#random);
    if (sort === 'key') {
      const { resource, tenant } = massKey(cap);
      // A few seats of some tenants are kept free for them.
      const fields = { floor: cap % (FLOOR_EVERY * RESOURCES.length) === 0 ? FLOOR : 0 };
      await this.#put(cap, limit, `policies/${resource}/${tenant}`, 'limit', fields);
    } else if (sort === 'tenant') {
      await this.#put(cap, limit, `tenants/t${cap - MASS_KEYS}`, 'concurrencyMax', {});
    } else {
      const resource = RESOURCES[cap - MASS_KEYS - MASS_TENANTS] as keyof typeof MODES;
      const mode = MODES[resource];
      const fields = {
        ...{ mode, leaseMs: LEASE_MS, waitMs: 500, waitersMax: 1000 },
        ...(mode === 'delay' && { ratePerSec: PACE_PER_SEC }),
      };
      await this.#put(cap, limit, `resources/${resource}`, 'limit', fields);
    }
  }

  async #put(cap: number, limit: number, path: string, field: string, fields: object) {
    const told = this.#options.hiddenLimits === true ? limit + HIDDEN_SEATS : limit;
    const answered = this.#counts.set(cap, limit);
    await this.#gate.now.put(path, { ...fields, [field]: told });
    answered();
    this.#limitChanges += 1;
  }

  #cpuUs(): { readonly daemon: number; readonly clients: number } {
    const { user, system } = process.cpuUsage();
    const stat = readFileSync(`/proc/${this.#gate.now.pid}/stat`, 'utf8');
    return { daemon: parseProcessTimes(stat), clients: user + system };
  }

  async #account(said: readonly Done[], spent: Spent): Promise<MassResult> {
    const { clients, threads, pairs, durability } = this.#options;
    const left = await this.#gate.untilEmpty(EMPTY_TIMEOUT_MS);
    const { granted, released, expired, orphaned, claimed } = await this.#gate.totals();
    const totals = sumOf(said.map((each) => each.totals));
    const entered = await this.#gate.metric('fairlead_gate_entered_total');
    const unheard = granted - entered - totals.granted;
    const seen = this.#seen();
    const caps = Array.from({ length: MASS_CAPS }, (_, cap) => cap);
    const seatsLeftOutside = caps.reduce((sum, cap) => sum + Math.abs(this.#counts.used(cap)), 0);
    const faults = said.flatMap((each) => each.faults);
    const ended = totals.released + totals.leftToEnd + totals.unanswered;
    const checks: readonly (readonly [isRight: boolean, what: string])[] = [
      [CAP_SORTS.every((sort) => seen[sort].over === 0), 'more came than a limit allowed'],
      [CAP_SORTS.every((sort) => seen[sort].full > 0), 'a sort of caps was never full'],
      [left.permits + left.seats + left.waiting === 0, 'the daemon still counts some'],
      [seatsLeftOutside === 0, 'the observer still counts some'],
      [totals.granted >= pairs * clients, 'fewer were granted than asked for'],
      [totals.granted === ended, `${totals.granted} came, ${ended} ended`],
      // This request is under way.
      [granted - 1 === released + expired, `${granted} granted, ${released} + ${expired} ended`],
      [unheard >= 0 && unheard <= totals.lostAsks, `${unheard} were granted to nobody`],
    ];
    for (const [isRight, what] of checks) if (!isRight) faults.push(what);
    if (faults.length > 0 && totals.late > 0) {
      faults.push(`${totals.late} holders were called too late: the host may be too busy`);
    }
    return {
      ...{ clients, threads, pairs, durability, ...totals, seen },
      over: CAP_SORTS.reduce((sum, sort) => sum + seen[sort].over, 0),
      limitChanges: this.#limitChanges,
      daemon: { granted, released, expired, orphaned, claimed },
      ...{ unheard, permitsLeft: left.permits, seatsLeft: left.seats, waitingLeft: left.waiting },
      ...{ seatsLeftOutside, seconds: Number(spent.seconds.toFixed(1)) },
      perSec: Math.round(totals.granted / spent.seconds),
      daemonCpuUs: Number((spent.daemonCpuUs / totals.granted).toFixed(2)),
      clientCpuUs: Number((spent.clientCpuUs / totals.granted).toFixed(2)),
      ...{ passed: faults.length === 0, faults },
    };
  }

  #seen(): MassResult['seen'] {
    const seen = CAP_SORTS.map((sort) => {
      const sums = { full: 0, over: 0, peak: 0 };
      for (let cap = 0; cap < MASS_CAPS; cap += 1) {
        if (sortOf(cap) !== sort) continue;
        sums.full += this.#counts.full(cap);
        sums.over += this.#counts.over(cap);
        sums.peak = Math.max(sums.peak, this.#counts.peak(cap));
      }
      return [sort, sums];
    });
    return Object.fromEntries(seen) as MassResult['seen'];
  }
}

interface Spent {
  readonly seconds: number;
  readonly daemonCpuUs: number;
  readonly clientCpuUs: number;
}

type Done = Extract<FromThread, { is: 'done' }>;

interface Thread {
  readonly worker: Worker;
  readonly heard: { granted: number };
  readonly done: Promise<Done>;
}

function startThread(data: ThreadData): Thread {
  const worker = new Worker(new URL('./mass/mass-thread.ts', import.meta.url), {
    workerData: data,
  });
  const heard = { granted: 0 };
  const done = new Promise<Done>((resolve, reject) => {
    worker.on('message', (message: FromThread) => {
      if (message.is === 'done') resolve(message);
      else heard.granted = message.granted;
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`a thread of clients ended with ${code}`)));
  });
  return { worker, heard, done };
}

function sumOf(all: readonly MassTotals[]): MassTotals {
  const sum = { ...NO_TOTALS };
  for (const each of all) {
    for (const name of Object.keys(sum) as (keyof MassTotals)[]) sum[name] += each[name];
  }
  return sum;
}
