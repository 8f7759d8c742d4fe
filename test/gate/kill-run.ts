/**
 * kill -9 with thousands of permits out, again and again. At each kill some clients are cut off for
 * good: their holders go on until they are told that their lease ends, and the next daemon may not
 * give their seats away before. The others claim what they hold.
 *
 * `strict`: no holder that comes back loses its permit. `relaxed`: some may, for what was not written;
 * so nobody gets a new permit until the longest lease from before is over.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { GateDaemon, Limits } from './gate-daemon.ts';
import { Holders } from './holder-process.ts';
import { type Watched, watch } from './observer.ts';
import { nowNs, type Sighting, sightings } from './sightings.ts';
import { capsOf, KEYS, keyName, type Plan, RESOURCES, type Totals } from './traffic.ts';

export interface KillOptions {
  readonly kills: number;
  readonly durability: 'strict' | 'relaxed';
  readonly seed: number;
  /** Default 20 s: longer than a restart of a busy host takes. All times follow it. */
  readonly leaseMs?: number;
  /** Permits that have to be claimed after a kill with a quick start, on average; default 1000. */
  readonly claimedMean?: number;
  readonly plan?: Partial<Plan>;
  readonly build?: string | undefined;
}

export interface KillResult extends Totals, Omit<Watched, 'faults' | 'left'> {
  readonly durability: string;
  readonly kills: number;
  /** Permits out at each kill, the fewest of all. */
  readonly heldAtKillMin: number;
  readonly claimed: number;
  /** Starts within half a lease: after a slower one most leases are over before anybody can claim. */
  readonly quickStarts: number;
  /** Permits claimed after a quick start, on average. */
  readonly claimedMean: number;
  readonly expired: number;
  /** From a kill to the first permit that the next start gave, the shortest of all. */
  readonly closedMsMin: number;
  readonly restartMsMax: number;
  readonly permitsLeft: number;
  readonly seatsLeftOutside: number;
  readonly seconds: number;
  readonly passed: boolean;
  readonly faults: readonly string[];
}

const LEASE_MS = 20_000;
const LIMIT = 200;
const HELD_MIN = 2000;
/** A kill is of use when so many are out; less may be left when it comes. */
const HELD_WANTED = 3000;
const HELD_TIMEOUT_MS = 60_000;
const CLAIMED_MEAN = 1000;
/** Beyond a lease: leases of those that were cut are over. */
const AFTER_MS = 1500;
const CUT_SHARE = 0.3;
/** Long holds, in leases: most of them are still there when their client comes back. */
const LONG_LEASES = 2;
const EMPTY_TIMEOUT_MS = 10_000;
/** Beyond the longest hold. */
const DONE_TIMEOUT_MS = 60_000;

/** Times of holders, in leases. */
function planOf(leaseMs: number): Plan {
  return {
    ...{ clients: 16, lanes: 120, operations: 0, keys: KEYS, leaseMs },
    ...{ holdMsMax: 0.3 * leaseMs, longShare: 0.4, longMs: LONG_LEASES * leaseMs },
    ...{ abortShare: 0.01, forgetShare: 0, faultEveryMs: 0, pauseMsMax: 0.15 * leaseMs },
    ...{ goOn: false, releaseFirst: false },
  };
}
const PROCESSES = 4;

export async function killRun(options: KillOptions): Promise<KillResult> {
  const { durability, seed, build } = options;
  const gate = new GateDaemon([`gate.durability=${durability}`], build);
  const plan = { ...planOf(options.leaseMs ?? LEASE_MS), ...options.plan };
  const holders = new Holders(gate.folder, { processes: PROCESSES, seed, plan });
  try {
    return await new KillRun(options, gate, holders).run();
  } finally {
    holders.kill();
    await gate.end();
  }
}

class KillRun {
  readonly #options: KillOptions;
  readonly #gate: GateDaemon;
  readonly #holders: Holders;
  readonly #limits: Limits;
  readonly #leaseMs: number;
  readonly #killedNs: number[] = [];
  readonly #readyNs: number[] = [];
  readonly #heldAtKill: number[] = [];
  readonly #startsMs: number[] = [];
  /** By each daemon, the first one too. */
  readonly #claimed: number[] = [];
  #expired = 0;

  constructor(options: KillOptions, gate: GateDaemon, holders: Holders) {
    this.#options = options;
    this.#gate = gate;
    this.#holders = holders;
    this.#limits = new Limits(gate);
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
  }

  async run(): Promise<KillResult> {
    const startMs = performance.now();
    const daemon = await this.#gate.start();
    await this.#configure();
    await this.#holders.connect(daemon);
    this.#holders.tell({ do: 'start' });
    for (let kill = 0; kill < this.#options.kills; kill += 1) {
      await this.#untilHeld();
      await this.#kill();
    }
    this.#holders.tell({ do: 'stop' });
    const totals = await this.#holders.done(LONG_LEASES * this.#leaseMs + DONE_TIMEOUT_MS);
    const left = await this.#gate.untilEmpty(this.#leaseMs + EMPTY_TIMEOUT_MS);
    await this.#count();
    return this.#figures(totals, left.permits + left.seats + left.waiting, startMs);
  }

  async #configure(): Promise<void> {
    for (const resource of RESOURCES) {
      await this.#gate.now.put(`resources/${resource}`, {
        leaseMs: this.#leaseMs,
      });
    }
    for (let key = 0; key < KEYS; key += 1) {
      const { resource, tenant } = keyName(key);
      const path = `policies/${resource}/${tenant}`;
      await this.#limits.put(`${resource}/${tenant}`, LIMIT, { path, field: 'limit' });
    }
  }

  /** After a kill a relaxed gate is shut for a lease, and holders come back at their own pace. */
  async #untilHeld(): Promise<void> {
    const endMs = performance.now() + HELD_TIMEOUT_MS;
    do await sleep(0.25 * this.#leaseMs);
    while ((await this.#gate.totals()).permits < HELD_WANTED && performance.now() < endMs);
  }

  async #kill(): Promise<void> {
    this.#heldAtKill.push((await this.#gate.totals()).permits);
    await this.#count();
    this.#holders.tell({ do: 'cut', share: CUT_SHARE });
    // Those that were cut have to know it before they would connect again.
    await this.#holders.figures();
    await this.#gate.now.kill();
    this.#killedNs.push(nowNs());
    const { startMs, url, token } = await this.#gate.start();
    this.#readyNs.push(nowNs());
    this.#startsMs.push(startMs);
    this.#holders.tell({ do: 'connect', url, token });
    await sleep(this.#leaseMs + AFTER_MS);
    this.#holders.tell({ do: 'mend' });
  }

  /** The daemon's counters begin anew with each start. */
  async #count(): Promise<void> {
    const { claimed, expired } = await this.#gate.totals();
    this.#claimed.push(claimed);
    this.#expired += expired;
  }

  #figures(totals: Totals, permitsLeft: number, startMs: number): KillResult {
    const { durability, kills } = this.#options;
    const caps = {
      of: (key: number) => capsOf(key).slice(0, 1),
      histories: this.#limits.histories,
    };
    const firstNs = this.#killedNs.map(() => Number.POSITIVE_INFINITY);
    const all = this.#noteFirst(sightings(this.#holders.logs), firstNs);
    const { faults: found, left: seatsLeftOutside, ...seen } = watch(all, caps);
    const faults = [...found];
    const closedMs = firstNs.map((timeNs, at) => (timeNs - (this.#killedNs[at] ?? 0)) / 1e6);
    const closedMsMin = Math.round(Math.min(...closedMs));
    const heldAtKillMin = Math.min(...this.#heldAtKill);
    const claims = this.#claims();
    const { claimedMean, quickStarts } = claims;
    const { claimedMean: claimedWanted = CLAIMED_MEAN } = this.#options;
    const isClaimed = claimedMean >= claimedWanted;
    if (!isClaimed) faults.push(`${claimedMean} claims a kill, of ${quickStarts} quick starts`);
    // A renewal that was on its way at the kill: the longest lease may have begun half of it before.
    const isClosed = durability === 'strict' || closedMsMin >= this.#leaseMs / 2;
    const isKept = durability === 'relaxed' || totals.lost === 0;
    return {
      ...{ durability, kills, heldAtKillMin, ...totals, ...seen },
      ...claims,
      ...{ expired: this.#expired, closedMsMin },
      restartMsMax: Math.round(Math.max(...this.#startsMs)),
      ...{ permitsLeft, seatsLeftOutside },
      seconds: Number(((performance.now() - startMs) / 1000).toFixed(1)),
      passed:
        seen.over === 0 &&
        seen.full > 0 &&
        permitsLeft === 0 &&
        seatsLeftOutside === 0 &&
        heldAtKillMin >= HELD_MIN &&
        isClaimed &&
        isClosed &&
        isKept,
      faults,
    };
  }

  #claims(): Pick<KillResult, 'claimed' | 'quickStarts' | 'claimedMean'> {
    const sumOf = (counts: readonly number[]): number => counts.reduce((sum, one) => sum + one, 0);
    const isQuick = this.#startsMs.map((ms) => ms <= this.#leaseMs / 2);
    const quick = this.#claimed.slice(1).filter((_, at) => isQuick[at]);
    return {
      claimed: sumOf(this.#claimed),
      quickStarts: quick.length,
      claimedMean: Math.round(sumOf(quick) / Math.max(1, quick.length)),
    };
  }

  /** The first who came after each restart. */
  *#noteFirst(all: Iterable<Sighting>, firstNs: number[]): Generator<Sighting> {
    for (const sighting of all) {
      const { timeNs, seats } = sighting;
      this.#readyNs.forEach((readyNs, at) => {
        const isFirst = seats > 0 && timeNs > readyNs && timeNs < (firstNs[at] ?? 0);
        if (isFirst) firstNs[at] = timeNs;
      });
      yield sighting;
    }
  }
}
