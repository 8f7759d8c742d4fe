/** What the threads of a mass run agree on: keys, caps, shares, totals, words. */
import { below, type Random } from '../../crash/traffic.ts';
import type { SharedState } from './shared-counts.ts';

/** One of each way to be impeded, one more that waits, and last the narrow one. */
export const MODES = {
  ...{ calls: 'reject', sms: 'queue', mail: 'queue', video: 'delay', fax: 'reject' },
} as const;
export const RESOURCES = Object.keys(MODES) as (keyof typeof MODES)[];
const WIDE_RESOURCES = RESOURCES.length - 1;
/**
 * Caps of some tenants, keys of some more and the last resource have a few seats: all of them are held at
 * once again and again, so that one too many shows. The others are wide, and most permits are theirs.
 */
const WIDE_TENANTS = 12;
const NARROW_CAPS = WIDE_TENANTS + 2;
export const MASS_TENANTS = NARROW_CAPS + 2;
const NARROW_SHARE = 0.03;
export const MASS_KEYS = MASS_TENANTS * RESOURCES.length;
/** Keys, then tenants, then resources. */
export const MASS_CAPS = MASS_KEYS + MASS_TENANTS + RESOURCES.length;
export const CAP_SORTS = ['key', 'tenant', 'resource'] as const;

/** Entries of one acquire, at most. */
export const LIST_MAX = 50;
export const SEATS_MAX = 3;
/** Of most permits, and of those whose holder lets them run out. */
export const LEASE_MS = 5000;
export const SHORT_LEASE_MS = 2000;
export const GRACE_MS = 2000;
/** Holders stop so long before their lease ends: a host that is busy calls them late. */
export const MARGIN_MS = 600;

export interface MassKey {
  readonly resource: (typeof RESOURCES)[number];
  readonly tenant: string;
}

export function massKey(key: number): MassKey {
  const resource = RESOURCES[key % RESOURCES.length] as MassKey['resource'];
  return { resource, tenant: `t${tenantOf(key)}` };
}

function tenantOf(key: number): number {
  return Math.floor(key / RESOURCES.length);
}

export const tenantCap = (key: number): number => MASS_KEYS + tenantOf(key);
export const resourceCap = (key: number): number =>
  MASS_KEYS + MASS_TENANTS + (key % RESOURCES.length);

export function sortOf(cap: number): (typeof CAP_SORTS)[number] {
  if (cap < MASS_KEYS) return 'key';
  return cap < MASS_KEYS + MASS_TENANTS ? 'tenant' : 'resource';
}

export function capName(cap: number): string {
  if (cap < MASS_KEYS) return `${massKey(cap).resource}/${massKey(cap).tenant}`;
  const tenant = cap - MASS_KEYS;
  if (tenant < MASS_TENANTS) return `tenant t${tenant}`;
  return `resource ${RESOURCES[tenant - MASS_TENANTS]}`;
}

/** Seats of a cap, another each time. */
export function limitOf(cap: number, random: Random): number {
  const tenant = cap - MASS_KEYS;
  const narrow = SEATS_MAX + below(random, 6);
  if (tenant < 0) {
    const isNarrow = tenantOf(cap) >= WIDE_TENANTS && tenantOf(cap) < NARROW_CAPS;
    return isNarrow ? narrow : 20 + below(random, 130);
  }
  if (tenant < NARROW_CAPS) return 150 + below(random, 350);
  if (tenant < MASS_TENANTS) return narrow;
  const isWide = tenant - MASS_TENANTS < WIDE_RESOURCES;
  return isWide ? 700 + below(random, 1000) : narrow;
}

export function randomKey(random: Random): number {
  const dice = random();
  const isNarrowTenant = dice < NARROW_SHARE;
  const isNarrowResource = !isNarrowTenant && dice < 2 * NARROW_SHARE;
  const tenant = isNarrowTenant
    ? WIDE_TENANTS + below(random, MASS_TENANTS - WIDE_TENANTS)
    : below(random, WIDE_TENANTS);
  const resource = isNarrowResource ? WIDE_RESOURCES : below(random, WIDE_RESOURCES);
  return tenant * RESOURCES.length + resource;
}

export interface MassPlan {
  /** Permits for each client to get and give back. */
  readonly pairs: number;
  /** Acquires of a client that are under way at once. */
  readonly lists: number;
  /** Shares of acquires and waiters: */
  readonly abortShare: number;
  /** of acquires whose permits run out, */
  readonly forgetShare: number;
  /** of entries that may wait. */
  readonly waitShare: number;
  readonly holdMsMax: number;
  /** Between two cut connections of a thread. */
  readonly dropEveryMs: number;
  /** Holders that do not stop when their lease ends. */
  readonly goOn: boolean;
  /** Holders that stop after they gave their permits back. */
  readonly releaseFirst: boolean;
}

/** Of permits, unless said. */
export interface MassTotals {
  granted: number;
  /** Of these, after a wait. */
  admitted: number;
  /** Given back, and the daemon said so. */
  released: number;
  /** Left to end by themselves, and not given back. */
  leftToEnd: number;
  /** Given back on a connection that was cut before the answer. */
  unanswered: number;
  /** Entries of acquires and waiters whose end was lost with a connection. */
  lostAsks: number;
  impeded: number;
  queued: number;
  /** Given up while they waited, or before their answer. */
  aborted: number;
  drops: number;
  claimed: number;
  /** Holders that were called after their lease had ended: they can only make a run fail. */
  late: number;
  /** That the daemon ended before their lease. */
  lost: number;
  acquires: number;
}

export const NO_TOTALS: Readonly<MassTotals> = {
  ...{ granted: 0, admitted: 0, released: 0, leftToEnd: 0, unanswered: 0, lostAsks: 0 },
  ...{ impeded: 0, queued: 0, aborted: 0, drops: 0, claimed: 0, late: 0, lost: 0, acquires: 0 },
};

export interface ThreadData {
  readonly clients: number;
  readonly seed: number;
  readonly url: string;
  readonly token: string;
  readonly plan: MassPlan;
  readonly state: SharedState;
}

export type FromThread =
  | { readonly is: 'progress'; readonly granted: number }
  | { readonly is: 'done'; readonly totals: MassTotals; readonly faults: readonly string[] };
