// What the ledger says about one stretch of time: who was owed what, got what, waited how long.
import type { Delivered } from './ledger.ts';
import { ownedBySet, TENANTS } from './plan.ts';
import { jainIndex, percentile } from './shares.ts';

/** Times of the host's monotonic clock, in ms. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface TenantMeasure {
  readonly got: number;
  readonly owed: number;
  /** Something of it waited at every delivery of the span: its share is a matter of fairness alone. */
  readonly backlogged: boolean;
  readonly waitsMs: readonly number[];
}

export interface Measure {
  readonly deliveries: number;
  readonly tenants: readonly TenantMeasure[];
  readonly jain: number;
  readonly shareErrorMax: number;
}

/** Fewer waiting than this may all be on their way to the consumer. */
const BACKLOG_MIN = 5;

/**
 * Measures the deliveries of a span; its edges are places in the order of delivery. `deliveries`
 * has to go on until everything published in the span came out.
 */
export function measure(deliveries: readonly Delivered[], span: Span): Measure {
  const first = edge(deliveries, span.fromMs);
  const end = edge(deliveries, span.toMs);
  const inside = deliveries.slice(first, end);
  const leastWaiting = leastWaitingByTenant(deliveries, span);
  const got = countByTenant(inside);
  // What came out later but was acknowledged before the end, waited at the end. What was only on
  // its way to the daemon then could not have been served.
  const left = countByTenant(
    deliveries.slice(end).filter(({ acceptedAt }) => acceptedAt < span.toMs),
  );
  const demands = got.map((count, index) => count + (left[index] ?? 0));
  const owed = ownedBySet(inside.length, demands);
  const waits: number[][] = TENANTS.map(() => []);
  for (const { tenant, publishedAt, receivedAt } of inside) {
    waits[tenant]?.push(receivedAt - publishedAt);
  }
  const tenants = TENANTS.map((_, index) => ({
    got: got[index] ?? 0,
    owed: owed[index] ?? 0,
    backlogged: (leastWaiting[index] ?? 0) >= BACKLOG_MIN,
    waitsMs: waits[index] ?? [],
  }));
  return { deliveries: inside.length, tenants, ...fairness(tenants) };
}

/** Jain's index of got/owed over all tenants; the largest |got/owed − 1| of the backlogged ones. */
export function fairness(tenants: readonly Pick<TenantMeasure, 'got' | 'owed' | 'backlogged'>[]): {
  jain: number;
  shareErrorMax: number;
} {
  const ratio = (each: { got: number; owed: number }): number => each.got / each.owed;
  const owing = tenants.filter(({ owed }) => owed > 0);
  const errors = owing.filter((each) => each.backlogged).map((each) => Math.abs(ratio(each) - 1));
  return { jain: jainIndex(owing.map(ratio)), shareErrorMax: Math.max(0, ...errors) };
}

/** p50 and p99 of the waits of all tenants for which `included` holds, in ms. */
export function waitsOf(
  { tenants }: Measure,
  included: (index: number) => boolean,
): { count: number; p50Ms: number; p99Ms: number } {
  const waits = tenants.flatMap((tenant, index) => (included(index) ? [...tenant.waitsMs] : []));
  return { count: waits.length, p50Ms: percentile(waits, 0.5), p99Ms: percentile(waits, 0.99) };
}

/** Index of the first delivery at or after `ms`. */
function edge(deliveries: readonly Delivered[], ms: number): number {
  const index = deliveries.findIndex(({ receivedAt }) => receivedAt >= ms);
  return index === -1 ? deliveries.length : index;
}

function countByTenant(deliveries: readonly Delivered[]): number[] {
  const counts = TENANTS.map(() => 0);
  for (const { tenant } of deliveries) counts[tenant] = (counts[tenant] ?? 0) + 1;
  return counts;
}

/** For each tenant the least number that was acknowledged and not yet delivered within the span. */
function leastWaitingByTenant(deliveries: readonly Delivered[], span: Span): number[] {
  return TENANTS.map((_, tenant) => {
    const own = deliveries.filter((each) => each.tenant === tenant);
    const accepted = own.map(({ acceptedAt }) => acceptedAt).sort((a, b) => a - b);
    let arrived = 0;
    let least = Number.POSITIVE_INFINITY;
    own.forEach(({ receivedAt }, index) => {
      while ((accepted[arrived] ?? Number.POSITIVE_INFINITY) <= receivedAt) arrived += 1;
      if (receivedAt >= span.fromMs && receivedAt < span.toMs) {
        least = Math.min(least, arrived - index - 1);
      }
    });
    return least === Number.POSITIVE_INFINITY ? 0 : least;
  });
}
