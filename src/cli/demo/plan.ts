// What a run of the demo does, in numbers: who the tenants are, how much each sends, how long.
import { type SetClaim, waterFillSets } from './shares.ts';

/**
 * quiet: always below its share; busy: half speed first, then more than it can get;
 * flooder: a quiet tenant at first, then 100 times of that.
 */
export type Role = 'quiet' | 'busy' | 'flooder';

export interface DemoTenant {
  readonly name: string;
  readonly set: string;
  readonly weight: number;
  readonly role: Role;
}

export interface DemoSet {
  readonly name: string;
  readonly weight: number;
}

export const SETS: readonly DemoSet[] = [
  { name: 'gold', weight: 500 },
  { name: 'silver', weight: 300 },
  { name: 'bronze', weight: 200 },
];

const t = (name: string, set: string, weight: number, role: Role): DemoTenant => ({
  name,
  set,
  weight,
  role,
});

/** 20 tenants; each set has some that are backlogged under the flood and some that stay quiet. */
export const TENANTS: readonly DemoTenant[] = [
  t('ada', 'gold', 300, 'busy'),
  t('bell', 'gold', 100, 'busy'),
  t('curie', 'gold', 100, 'quiet'),
  t('darwin', 'gold', 100, 'quiet'),
  t('euler', 'gold', 100, 'quiet'),
  t('fermat', 'gold', 100, 'quiet'),
  t('flood', 'silver', 100, 'flooder'),
  t('gauss', 'silver', 200, 'busy'),
  t('hertz', 'silver', 100, 'busy'),
  t('ibn', 'silver', 100, 'quiet'),
  t('joule', 'silver', 100, 'quiet'),
  t('kepler', 'silver', 100, 'quiet'),
  t('lamarr', 'silver', 100, 'quiet'),
  t('meitner', 'bronze', 200, 'busy'),
  t('newton', 'bronze', 100, 'busy'),
  t('ohm', 'bronze', 100, 'quiet'),
  t('planck', 'bronze', 100, 'quiet'),
  t('ramanujan', 'bronze', 100, 'quiet'),
  t('sagan', 'bronze', 100, 'quiet'),
  t('tesla', 'bronze', 100, 'quiet'),
];

/** Part of the destination's rate that one quiet tenant sends: about half of the smallest share. */
const QUIET_PART = 0.0125;
/** Part of the rate that all tenants together send while nobody floods. */
const BASE_LOAD = 0.5;
/** How many times its usual rate the flooder publishes. */
export const FLOOD_FACTOR = 100;
/** A busy tenant publishes this many times what it can get, so that something always waits. */
const BUSY_SURPLUS = 1.25;
/** Sends this long before the measured window begins, so that backlogs stand and nothing is cold. */
const WARM_UP_SECONDS = 1.5;
/** The base is measured for this part of the window's time. */
const BASE_PART = 0.6;
const BURST_SECONDS = 0.1;

export interface Plan {
  readonly messages: number;
  readonly ratePerSec: number;
  /** Room of the destination's bucket: what a stall of the host held up is caught up after it. */
  readonly burst: number;
  readonly warmUpMs: number;
  readonly baseMs: number;
  readonly windowMs: number;
  /** By tenant, in the order of TENANTS: messages a second in each phase. */
  readonly basePerSec: readonly number[];
  readonly floodPerSec: readonly number[];
}

/**
 * A plan in which about `messages` are published in all; the rate follows from that and from the
 * seconds of the measured window, so more messages mean a faster run and not a longer one.
 */
export function makePlan(messages: number, windowSeconds: number): Plan {
  const baseSeconds = windowSeconds * BASE_PART;
  // With the rate 1, everything sent in all; the real rate is what makes that `messages`.
  const one = perSecond(1);
  const total = (list: readonly number[]): number => list.reduce((all, each) => all + each, 0);
  const perRate =
    total(one.base) * (WARM_UP_SECONDS + baseSeconds) +
    total(one.flood) * (WARM_UP_SECONDS + windowSeconds);
  const ratePerSec = Math.max(50, Math.round(messages / perRate));
  const { base, flood } = perSecond(ratePerSec);
  return {
    messages,
    ratePerSec,
    burst: Math.ceil(ratePerSec * BURST_SECONDS),
    warmUpMs: WARM_UP_SECONDS * 1000,
    baseMs: baseSeconds * 1000,
    windowMs: windowSeconds * 1000,
    basePerSec: base,
    floodPerSec: flood,
  };
}

function perSecond(ratePerSec: number): { base: number[]; flood: number[] } {
  const quiet = QUIET_PART * ratePerSec;
  const entitled = ownedBySet(
    ratePerSec,
    TENANTS.map(({ role }) => (role === 'quiet' ? quiet : Number.POSITIVE_INFINITY)),
  );
  const busyAll = sumWhere(entitled, 'busy');
  const quietAll = TENANTS.filter(({ role }) => role !== 'busy').length * quiet;
  const busyPart = (BASE_LOAD * ratePerSec - quietAll) / busyAll;
  const rates = (busy: number, flooder: number): number[] =>
    TENANTS.map(({ role }, index) => {
      if (role === 'busy') return busy * (entitled[index] ?? 0);
      return role === 'flooder' ? flooder : quiet;
    });
  return { base: rates(busyPart, quiet), flood: rates(BUSY_SURPLUS, FLOOD_FACTOR * quiet) };
}

function sumWhere(values: readonly number[], role: Role): number {
  return values.reduce((all, value, index) => all + (TENANTS[index]?.role === role ? value : 0), 0);
}

/** What each tenant is owed of `capacity`, in the order of TENANTS, given what each had to send. */
export function ownedBySet(capacity: number, demands: readonly number[]): number[] {
  const members = SETS.map((set) =>
    TENANTS.map((tenant, index) => ({ tenant, index })).filter(
      ({ tenant }) => tenant.set === set.name,
    ),
  );
  const claims: SetClaim[] = SETS.map((set, at) => ({
    weight: set.weight,
    tenants: (members[at] ?? []).map(({ tenant, index }) => ({
      weight: tenant.weight,
      demand: demands[index] ?? 0,
    })),
  }));
  const owed = TENANTS.map(() => 0);
  waterFillSets(capacity, claims).forEach((shares, at) => {
    shares.forEach((share, position) => {
      const index = members[at]?.[position]?.index;
      if (index !== undefined) owed[index] = share;
    });
  });
  return owed;
}
