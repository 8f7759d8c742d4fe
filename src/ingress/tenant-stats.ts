/** The answer of a shard to `stats`, and how the answers of several become one. Pure. */

/** What is summed for each tenant. */
export const TENANT_SUMS = ['waiting', 'inFlight', 'accepted', 'delivered'] as const;
export type TenantSums = Record<(typeof TENANT_SUMS)[number], number>;

export interface ShardStats {
  readonly tenants: readonly (TenantSums & { readonly tenant: string })[];
  /** Error code → messages refused with it. */
  readonly refused: Readonly<Record<string, number>>;
}

/** The name under which all tenants stand that have no line of their own. */
export const OTHER_TENANTS = 'other';

export const noSums = (): TenantSums => ({ waiting: 0, inFlight: 0, accepted: 0, delivered: 0 });

/**
 * The `shownMax` tenants with most waiting and in flight, and the rest of `totals` as `other`.
 * A tenant of that very name is in the rest too, or its line would stand twice.
 */
export function topTenants(
  answers: readonly ShardStats[],
  totals: TenantSums,
  shownMax: number,
): Map<string, TenantSums> {
  const sums = new Map<string, TenantSums>();
  for (const { tenant, ...more } of answers.flatMap((answer) => answer.tenants)) {
    const sum = sums.get(tenant) ?? noSums();
    for (const key of TENANT_SUMS) sum[key] += more[key];
    sums.set(tenant, sum);
  }
  sums.delete(OTHER_TENANTS);
  const held = ({ waiting, inFlight }: TenantSums): number => waiting + inFlight;
  const shown = [...sums]
    .sort(([, a], [, b]) => held(b) - held(a) || b.delivered - a.delivered)
    .slice(0, shownMax);
  const rest = { ...totals };
  for (const [, sum] of shown) {
    // Answers and totals are not of one moment, so the difference may be a little below zero.
    for (const key of TENANT_SUMS) rest[key] = Math.max(0, rest[key] - sum[key]);
  }
  return new Map([...shown, [OTHER_TENANTS, rest]]);
}

/** Sums refusals by error code. */
export function refusedByCode(answers: readonly ShardStats[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const [code, count] of answers.flatMap(({ refused }) => Object.entries(refused))) {
    sums.set(code, (sums.get(code) ?? 0) + count);
  }
  return sums;
}
