// How long exchanges waited for their transaction to be durable, in buckets for the metrics.

/** Upper bounds in seconds; the last bucket has none. */
export const FLUSH_BOUNDS_SECONDS = [
  0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
] as const;

export interface FlushSnapshot {
  /** Waits in each bucket, not cumulative: one more than there are bounds. */
  counts: number[];
  count: number;
  sumSeconds: number;
}

export class FlushHistogram {
  readonly #counts = new Array<number>(FLUSH_BOUNDS_SECONDS.length + 1).fill(0);
  #count = 0;
  #sumSeconds = 0;

  observe(seconds: number): void {
    let bucket = 0;
    while (seconds > (FLUSH_BOUNDS_SECONDS[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count += 1;
    this.#sumSeconds += seconds;
  }

  snapshot(): FlushSnapshot {
    return { counts: [...this.#counts], count: this.#count, sumSeconds: this.#sumSeconds };
  }
}
