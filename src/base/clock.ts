/**
 * The clock of the process: the wall clock at start plus the monotonic clock, never backwards.
 *
 * The main thread owns it and follows the drift of the wall clock once a second by at most 500 µs
 * (500 ppm), so a step of the wall clock bends time and never breaks it. Workers attach to the same
 * offset through shared memory; all threads of a process share one monotonic clock.
 */

/** Tells the time; tests pass their own. */
export interface Clock {
  /** Microseconds since 1970, an integer below 2^53 that never goes backwards on one thread. */
  nowUs(): number;
}

/** Largest correction a second. */
export const SLEW_US_PER_SEC = 500;
/** Below this the two clocks are as equal as `Date.now()` can tell. */
const DRIFT_IGNORED_US = 1_000;
/** Reading both clocks takes 1 µs; a thread that lost its core in between would see a drift. */
const LOOK_US_MAX = 100;
/** Looks at a start; a later one may be off by what the best of them took, and is followed from there. */
const LOOKS_MAX = 20;

const monotonicUs = (): number => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1_000);
};

/** Wall minus monotonic clock: of a few looks the one that was interrupted least. */
export function measuredOffsetUs(read: ClockReader = { monotonicUs, wallMs: Date.now }): number {
  let [best, bestTookUs] = [0, Number.POSITIVE_INFINITY];
  for (let look = 0; look < LOOKS_MAX && bestTookUs > LOOK_US_MAX; look += 1) {
    const beforeUs = read.monotonicUs();
    const wallUs = read.wallMs() * 1_000;
    const afterUs = read.monotonicUs();
    if (afterUs - beforeUs >= bestTookUs) continue;
    bestTookUs = afterUs - beforeUs;
    best = wallUs - afterUs;
  }
  return best;
}

interface ClockReader {
  readonly monotonicUs: () => number;
  readonly wallMs: () => number;
}

export class ProcessClock implements Clock {
  /** Bytes to hand to a worker thread (`workerData`), which passes them to `attach`. */
  readonly shared: SharedArrayBuffer;
  /** Wall minus monotonic clock, µs. One aligned 8-byte cell, written by the main thread only. */
  readonly #offsetUs: Float64Array;
  #lastUs = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(shared: SharedArrayBuffer) {
    this.shared = shared;
    this.#offsetUs = new Float64Array(shared);
  }

  /** Starts the clock of the process; call once, on the main thread. */
  static start(): ProcessClock {
    const clock = new ProcessClock(new SharedArrayBuffer(8));
    clock.#offsetUs[0] = measuredOffsetUs();
    clock.#timer = setInterval(() => clock.#look(), 1_000).unref();
    return clock;
  }

  /** The same clock on another thread. */
  static attach(shared: SharedArrayBuffer): ProcessClock {
    return new ProcessClock(shared);
  }

  nowUs(): number {
    const now = monotonicUs() + (this.#offsetUs[0] as number);
    if (now > this.#lastUs) this.#lastUs = now;
    return this.#lastUs;
  }

  #look(): void {
    const beforeUs = monotonicUs();
    const wallUs = Date.now() * 1_000;
    const afterUs = monotonicUs();
    if (afterUs - beforeUs <= LOOK_US_MAX) this.follow(wallUs, afterUs);
  }

  /** Moves one slew step towards the wall clock; called once a second. */
  follow(wallUs: number, atUs = monotonicUs()): void {
    const offset = this.#offsetUs[0] as number;
    const driftUs = wallUs - (atUs + offset);
    if (Math.abs(driftUs) <= DRIFT_IGNORED_US) return;
    const step = Math.max(-SLEW_US_PER_SEC, Math.min(SLEW_US_PER_SEC, Math.round(driftUs)));
    this.#offsetUs[0] = offset + step;
  }

  /** Stops following the wall clock. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
