/**
 * Many clients in several processes, with everything that can go wrong at a client: aborts, leases
 * that end, connections that drop or freeze; and limits that change. The observer may never see more
 * holders than a limit allowed, and nothing may be left at the end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { below, type Random, randomFrom } from '../crash/traffic.ts';
import { GateDaemon, Limits } from './gate-daemon.ts';
import { Holders } from './holder-process.ts';
import { type Watched, watch } from './observer.ts';
import { sightings } from './sightings.ts';
import {
  capsOf,
  KEYS,
  keyName,
  MODES,
  type Plan,
  RESOURCES,
  TENANTS,
  type Totals,
} from './traffic.ts';

export interface MixOptions {
  /** Permits to get and give back, by all clients together. */
  readonly operations: number;
  readonly clients: number;
  readonly processes: number;
  readonly seed: number;
  readonly plan?: Partial<Plan>;
  /** The observer is not told of every limit. */
  readonly hiddenLimits?: boolean;
  readonly build?: string | undefined;
}

export interface MixResult extends Totals, Omit<Watched, 'faults' | 'left'> {
  readonly clients: number;
  readonly processes: number;
  readonly seconds: number;
  readonly perSec: number;
  readonly limitChanges: number;
  readonly expired: number;
  readonly orphaned: number;
  readonly claimed: number;
  /** At the end, by the daemon and by its metrics. */
  readonly permitsLeft: number;
  readonly seatsLeft: number;
  readonly waitingLeft: number;
  readonly metricPermitsLeft: number;
  readonly seatsLeftOutside: number;
  readonly passed: boolean;
  readonly faults: readonly string[];
}

const LEASE_MS = 4000;
/** Short, so that seats of dropped connections come back soon. */
const GRACE_MS = 1000;
const CHANGE_EVERY_MS = 60;
const RUN_TIMEOUT_MS = 3 * 3_600_000;
/** After the last client: leases that nobody gives back, and the grace of dropped connections. */
const EMPTY_TIMEOUT_MS = LEASE_MS + 10_000;

const PLAN: Omit<Plan, 'clients' | 'operations'> = {
  ...{ lanes: 16, keys: KEYS, leaseMs: LEASE_MS, holdMsMax: 30, longShare: 0.001, longMs: 6000 },
  ...{ abortShare: 0.03, forgetShare: 0.0005, faultEveryMs: 3000, pauseMsMax: 3 },
  ...{ goOn: false, releaseFirst: false },
};

export async function mixRun(options: MixOptions): Promise<MixResult> {
  const gate = new GateDaemon([`gate.graceMs=${GRACE_MS}`], options.build);
  let holders: Holders | undefined;
  try {
    const daemon = await gate.start();
    const limits = new Limits(gate, options.hiddenLimits);
    await firstLimits(limits);
    const { clients, processes, seed, operations } = options;
    const plan: Plan = {
      ...{ ...PLAN, ...options.plan },
      clients: Math.ceil(clients / processes),
      operations: Math.ceil(operations / processes),
    };
    holders = new Holders(gate.folder, { processes, seed, plan });
    await holders.connect(daemon);
    const startMs = performance.now();
    holders.tell({ do: 'start' });
    const ended = holders.done(RUN_TIMEOUT_MS);
    await changeUntil(ended, limits, randomFrom(seed));
    const totals = await ended;
    const seconds = (performance.now() - startMs) / 1000;
    return await account(options, { gate, holders, limits, totals, seconds });
  } finally {
    holders?.kill();
    await gate.end();
  }
}

async function account(
  { clients, processes }: MixOptions,
  of: { gate: GateDaemon; holders: Holders; limits: Limits; totals: Totals; seconds: number },
): Promise<MixResult> {
  const { gate, holders, limits, totals, seconds } = of;
  const left = await gate.untilEmpty(EMPTY_TIMEOUT_MS);
  const metricPermitsLeft = await gate.metric('fairlead_gate_permits');
  const { expired, orphaned, claimed } = await gate.totals();
  const watched = watch(sightings(holders.logs), { of: capsOf, histories: limits.histories });
  const { faults, left: seatsLeftOutside, ...seen } = watched;
  const isEmpty = left.permits + left.seats + left.waiting + metricPermitsLeft === 0;
  return {
    ...{ clients, processes, ...totals, ...seen, limitChanges: limits.changes },
    ...{ expired, orphaned, claimed },
    ...{ permitsLeft: left.permits, seatsLeft: left.seats, waitingLeft: left.waiting },
    ...{ metricPermitsLeft, seatsLeftOutside },
    seconds: Number(seconds.toFixed(1)),
    perSec: Math.round(totals.granted / seconds),
    passed: seen.over === 0 && seen.full > 0 && isEmpty && seatsLeftOutside === 0,
    faults,
  };
}

async function firstLimits(limits: Limits): Promise<void> {
  for (const resource of RESOURCES) await putResource(limits, resource, 150);
  for (let tenant = 0; tenant < TENANTS; tenant += 1) await putTenant(limits, tenant, 110);
  for (let key = 0; key < KEYS; key += 1) await putPolicy(limits, key, 30);
}

/** Changes one limit after the other until the clients have ended. */
async function changeUntil(ended: Promise<unknown>, limits: Limits, random: Random): Promise<void> {
  const state = { isEnded: false };
  const end = (): void => {
    state.isEnded = true;
  };
  ended.then(end, end);
  while (!state.isEnded) {
    const dice = random();
    const resource = RESOURCES[below(random, RESOURCES.length)] as keyof typeof MODES;
    if (dice < 0.2) await putResource(limits, resource, 60 + below(random, 200));
    else if (dice < 0.4) await putTenant(limits, below(random, TENANTS), 40 + below(random, 160));
    else await putPolicy(limits, below(random, KEYS), 3 + below(random, 40));
    await sleep(CHANGE_EVERY_MS);
  }
}

async function putResource(
  limits: Limits,
  resource: keyof typeof MODES,
  limit: number,
): Promise<void> {
  const mode = MODES[resource];
  const fields = {
    ...{ mode, leaseMs: LEASE_MS, waitMs: 500, waitersMax: 1000 },
    ...(mode === 'delay' && { ratePerSec: 2000 }),
  };
  await limits.put(`resource ${resource}`, limit, {
    ...{ path: `resources/${resource}`, field: 'limit', fields },
  });
}

async function putTenant(limits: Limits, tenant: number, limit: number): Promise<void> {
  const path = `tenants/t${tenant}`;
  await limits.put(`tenant t${tenant}`, limit, { path, field: 'concurrencyMax' });
}

async function putPolicy(limits: Limits, key: number, limit: number): Promise<void> {
  const { resource, tenant } = keyName(key);
  const path = `policies/${resource}/${tenant}`;
  // A few seats of some tenants are kept free for them.
  const fields = { floor: key % 5 === 0 ? Math.min(2, limit) : 0 };
  await limits.put(`${resource}/${tenant}`, limit, { path, field: 'limit', fields });
}
