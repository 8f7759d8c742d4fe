/** Reads what criterion stores beside its reports. Times there are ns an iteration. */

export interface CoreResult {
  readonly scope: 'core';
  /** The benchmark's id: `shard/pick/1000`. */
  readonly name: string;
  /** Of one message, or of one iteration where the benchmark counts no elements. */
  readonly nsPerMessage: number;
  /** Bounds of criterion's 95 % confidence interval. */
  readonly nsPerMessageMin: number;
  readonly nsPerMessageMax: number;
  /** How many times the same benchmark's time at 1,000 queues; on the row of 100,000 only. */
  readonly ratioTo1000?: number;
}

interface Estimate {
  readonly point_estimate: number;
  readonly confidence_interval: { readonly lower_bound: number; readonly upper_bound: number };
}

/** From the texts of `new/benchmark.json` and `new/estimates.json`. */
export function coreRow(benchmark: string, estimates: string): CoreResult {
  const { full_id: name, throughput } = JSON.parse(benchmark) as {
    readonly full_id: string;
    readonly throughput: { readonly Elements?: number } | null;
  };
  const parsed = JSON.parse(estimates) as {
    readonly slope: Estimate | null;
    readonly mean: Estimate;
  };
  const { point_estimate: point, confidence_interval: interval } = parsed.slope ?? parsed.mean;
  const messages = throughput?.Elements ?? 1;
  const ns = (value: number): number => Number((value / messages).toPrecision(4));
  return {
    scope: 'core',
    name,
    nsPerMessage: ns(point),
    nsPerMessageMin: ns(interval.lower_bound),
    nsPerMessageMax: ns(interval.upper_bound),
  };
}

/** Adds the ratio to each row `…/100000` that has a sister `…/1000`. */
export function pickRatio(rows: readonly CoreResult[]): CoreResult[] {
  const times = new Map(rows.map(({ name, nsPerMessage }) => [name, nsPerMessage]));
  return rows.map((row) => {
    const sister = times.get(row.name.replace(/\/100000$/, '/1000'));
    if (!row.name.endsWith('/100000') || sister === undefined) return row;
    return { ...row, ratioTo1000: Number((row.nsPerMessage / sister).toPrecision(3)) };
  });
}
