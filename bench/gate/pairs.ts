/**
 * `gate/pairs/…`: permits acquired and given back a second over the WebSocket, one a frame and in lists, beside
 * the same on Redis. `gate/roundtrip/…`: the same one at a time, for the time until a permit is granted.
 */
import type { Observer } from '../dispatch.ts';
import { significant } from '../statistics.ts';
import type { GateDurability } from './daemon-gate.ts';
import { type GatePace, measureSides, type PairSide, pairSide, type SidePlan } from './sides.ts';

const RESOURCE = 'calls.create';
const TENANTS = 100;
const LEASE_MS = 30_000;
/** Requests under way: as many small ones of many clients have, or lists that together hold more. */
const SINGLE_SLOTS = 2_000;
const LIST_SLOTS = 100;
/** Of a generator: clients are many, and Redis reads 16 KiB of each between two flushes. */
const CONNECTIONS = 16;
/** Permits of a request, of each row. */
export const LISTS = [1, 50] as const;

/** Why a row has no figures of Redis. */
const NO_REDIS = 'redis-server is not installed';

interface BesideRedis {
  readonly scope: 'gate';
  readonly durability: GateDurability;
  readonly tenants: number;
  /** Of each tenant: the most that can be held at a time. */
  readonly limit: number;
  readonly generators: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly loadBefore: number;
  readonly redisVersion: string | null;
  readonly redisSkipped: string | null;
}

export interface PairsResult extends BesideRedis {
  readonly name: string;
  readonly kind: 'pairs';
  /** Permits of a request. */
  readonly list: number;
  /** Permits asked for or held, at most. */
  readonly outstanding: number;
  readonly daemon: PairSide;
  readonly redis: PairSide | null;
  /** Rate of the daemon ÷ Redis's, both by a lean client. */
  readonly ratio: number | null;
  readonly ioredis: PairSide | null;
  readonly ratioToIoredis: number | null;
}

export interface RoundTripSide {
  readonly acquireP50Ms: number;
  readonly acquireP99Ms: number;
  readonly pairsPerSec: number;
}

export interface RoundTripResult extends BesideRedis {
  readonly name: string;
  readonly kind: 'roundtrip';
  readonly daemon: RoundTripSide;
  readonly redis: RoundTripSide | null;
  readonly ioredis: RoundTripSide | null;
}

function pairsPlan(list: number, durability: GateDurability, pace: GatePace): SidePlan {
  const all = list === 1 ? SINGLE_SLOTS : LIST_SLOTS;
  const slots = Math.ceil(all / pace.generators);
  const limit = Math.ceil((slots * list) / TENANTS);
  const at = { slots, connections: CONNECTIONS };
  const shape = { resource: RESOURCE, list, ...at, limit, leaseMs: LEASE_MS };
  return { durability, shape, tenants: TENANTS, pace };
}

function roundTripPlan(durability: GateDurability, pace: GatePace): SidePlan {
  const at = { slots: 1, connections: 1 };
  const shape = { resource: RESOURCE, list: 1, ...at, limit: 1, leaseMs: LEASE_MS };
  return { durability, shape, tenants: 1, pace: { ...pace, generators: 1 } };
}

export async function measurePairs(
  list: number,
  durability: GateDurability,
  pace: GatePace,
): Promise<PairsResult> {
  const plan = pairsPlan(list, durability, pace);
  const { daemon: ours, redis: bare, ioredis: client, ...of } = await measureSides(plan);
  const daemon = pairSide(ours);
  const redis = bare === undefined ? null : pairSide(bare);
  const ioredis = client === undefined ? null : pairSide(client);
  return {
    scope: 'gate',
    name: `gate/pairs/${list}/${durability}`,
    kind: 'pairs',
    list,
    outstanding: plan.shape.slots * list * pace.generators,
    daemon,
    redis,
    ratio: redis && significant(daemon.pairsPerSec / redis.pairsPerSec),
    ioredis,
    ratioToIoredis: ioredis && significant(daemon.pairsPerSec / ioredis.pairsPerSec),
    ...commonOf(plan, of),
  };
}

export async function measureRoundTrip(
  durability: GateDurability,
  pace: GatePace,
): Promise<RoundTripResult> {
  const plan = roundTripPlan(durability, pace);
  const { daemon, redis, ioredis, ...of } = await measureSides(plan);
  const sideOf = (runs: typeof redis): RoundTripSide | null => {
    if (runs === undefined) return null;
    const { acquireP50Ms, acquireP99Ms, pairsPerSec } = pairSide(runs);
    return { acquireP50Ms, acquireP99Ms, pairsPerSec };
  };
  return {
    scope: 'gate',
    name: `gate/roundtrip/${durability}`,
    kind: 'roundtrip',
    daemon: sideOf(daemon) as RoundTripSide,
    redis: sideOf(redis),
    ioredis: sideOf(ioredis),
    ...commonOf(plan, of),
  };
}

/** The daemon alone, while it is looked at; resolves with pairs a second. */
export async function observePairs(
  list: number,
  durability: GateDurability,
  pace: GatePace,
  observer: Observer,
): Promise<number> {
  return await observed(pairsPlan(list, durability, pace), observer);
}

export async function observeRoundTrip(
  durability: GateDurability,
  pace: GatePace,
  observer: Observer,
): Promise<number> {
  return await observed(roundTripPlan(durability, pace), observer);
}

async function observed(plan: SidePlan, observer: Observer): Promise<number> {
  return pairSide((await measureSides({ ...plan, observer })).daemon).pairsPerSec;
}

function commonOf(
  { durability, shape, tenants, pace }: SidePlan,
  of: { readonly redisVersion: string | undefined; readonly loadBefore: number },
): Omit<BesideRedis, 'scope'> {
  return {
    durability,
    tenants: tenants * pace.generators,
    limit: shape.limit,
    generators: pace.generators,
    seconds: pace.measureMs / 1000,
    rounds: pace.rounds,
    loadBefore: of.loadBefore,
    redisVersion: of.redisVersion ?? null,
    redisSkipped: of.redisVersion === undefined ? NO_REDIS : null,
  };
}
