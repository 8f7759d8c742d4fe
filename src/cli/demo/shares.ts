// The arithmetic of a fair share: what each tenant is owed, and how near what it got comes to that.

/** One who takes part: a share by weight, but never more than it had to send. */
export interface Claim {
  readonly weight: number;
  /** Messages it had to send; Infinity while it is backlogged throughout. */
  readonly demand: number;
}

/**
 * Weighted max-min fair shares of `capacity` (water filling): whoever demands less than its part
 * gets its demand, and what it leaves is divided again among the others, by weight.
 */
export function waterFill(capacity: number, claims: readonly Claim[]): number[] {
  const shares = claims.map(() => 0);
  let rest = capacity;
  let open = claims.map((claim, index) => ({ ...claim, index })).filter((each) => each.demand > 0);
  while (open.length > 0) {
    const weights = sum(open.map((each) => each.weight));
    const level = rest / weights;
    const content = open.filter((each) => each.demand <= level * each.weight);
    if (content.length === 0) {
      for (const each of open) shares[each.index] = level * each.weight;
      break;
    }
    for (const each of content) {
      shares[each.index] = each.demand;
      rest -= each.demand;
    }
    open = open.filter((each) => each.demand > level * each.weight);
  }
  return shares;
}

export interface SetClaim {
  readonly weight: number;
  readonly tenants: readonly Claim[];
}

/** Water filling twice: over the sets, then within each set over its tenants. One list a set. */
export function waterFillSets(capacity: number, sets: readonly SetClaim[]): number[][] {
  const claims = sets.map(({ weight, tenants }) => ({
    weight,
    demand: sum(tenants.map((tenant) => tenant.demand)),
  }));
  const shares = waterFill(capacity, claims);
  return sets.map((set, index) => waterFill(shares[index] ?? 0, set.tenants));
}

/** Jain's index (Σx)²/(n·Σx²): 1 when all are equal, 1/n when one has everything. */
export function jainIndex(values: readonly number[]): number {
  if (values.length === 0) return 1;
  const squares = sum(values.map((value) => value * value));
  return squares === 0 ? 1 : sum(values) ** 2 / (values.length * squares);
}

/** Nearest-rank percentile of values in any order, NaN of none; `share` is 0.99 for p99. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
