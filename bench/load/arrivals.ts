/**
 * Scheduled messages as they arrive: each once, none before its time, those of a sender in the order
 * in which they were published; and how late each one is.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { encodeHistogram, newHistogram } from './latency.ts';
import { type MessageShape, queueOf, queuesOf } from './message-shape.ts';
import { atMsOf, type SendTimes } from './option-field.ts';

const CLOCK_TRIES = 8;
/** The wall clock may be slewed by this much while messages arrive, ms. */
const CLOCK_DRIFT_MS_MAX = 1;
const LOOP_GRAIN_MS = 1;

export interface ArrivalResult {
  /** Histogram of µs, delivered − at, of every message. */
  readonly lateness: string;
  readonly maxLateMs: number;
  /** How late this process's own event loop was meanwhile: part of every lateness. */
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
  /** Change of wall clock against monotonic clock while messages arrived, ms. */
  readonly clockDriftMs: number;
}

export interface ArrivalOptions {
  readonly shape: MessageShape;
  /** Of the ring that publishes. */
  readonly slots: number;
  readonly times: SendTimes;
  readonly messages: number;
}

export class Arrivals {
  readonly #options: ArrivalOptions;
  readonly #firstSequence: number;
  readonly #seen: Uint8Array;
  /** Last sequence number of each sender. */
  readonly #last: Float64Array;
  readonly #lateness = newHistogram();
  readonly #wallOffsetMs = wallOffsetMs();
  readonly #loopDelay: IntervalHistogram;
  #maxLateMs = 0;
  #isFirst = true;

  constructor(options: ArrivalOptions) {
    this.#options = options;
    this.#firstSequence = options.times.firstSequence ?? 0;
    this.#seen = new Uint8Array(options.messages);
    this.#last = new Float64Array(queuesOf(options.shape)).fill(-1);
    this.#loopDelay = monitorEventLoopDelay({ resolution: LOOP_GRAIN_MS });
    this.#loopDelay.enable();
  }

  /** Time until the first is due, ms. */
  untilFirstMs(): number {
    return Math.max(0, this.#options.times.firstAtMs - Date.now());
  }

  /**
   * @param nowMs when it was read, as `performance.now()` says it
   * @throws Error if it is early, not the next of its sender, here again, or unknown
   */
  arrived(sequence: number, nowMs: number): void {
    if (this.#isFirst) {
      this.#isFirst = false;
      this.#loopDelay.reset();
    }
    const { shape, slots, times } = this.#options;
    const lateMs = nowMs + this.#wallOffsetMs - atMsOf(times, sequence);
    if (lateMs < -CLOCK_DRIFT_MS_MAX) throw new Error(`message ${sequence} is ${-lateMs} ms early`);
    const place = sequence - this.#firstSequence;
    if (this.#seen[place] !== 0) throw new Error(`message ${sequence} is here again or unknown`);
    this.#seen[place] = 1;
    const queue = queueOf(shape, slots, sequence);
    const last = this.#last[queue] as number;
    if (sequence < last) throw new Error(`message ${sequence} comes after ${last} of its sender`);
    this.#last[queue] = sequence;
    this.#maxLateMs = Math.max(this.#maxLateMs, lateMs);
    this.#lateness.recordValue(Math.max(1, Math.round(lateMs * 1000)));
  }

  /** @throws Error if one is missing, or the clocks went apart */
  result(): ArrivalResult {
    this.#loopDelay.disable();
    const missing = this.#seen.indexOf(0);
    if (missing >= 0) throw new Error(`message ${this.#firstSequence + missing} did not arrive`);
    const clockDriftMs = wallOffsetMs() - this.#wallOffsetMs;
    if (Math.abs(clockDriftMs) > CLOCK_DRIFT_MS_MAX) {
      throw new Error(`the wall clock moved by ${clockDriftMs} ms`);
    }
    return {
      lateness: encodeHistogram(this.#lateness),
      maxLateMs: this.#maxLateMs,
      loopDelayP99Ms: Math.max(0, this.#loopDelay.percentile(99) / 1e6 - LOOP_GRAIN_MS),
      loopDelayMaxMs: Math.max(0, this.#loopDelay.max / 1e6 - LOOP_GRAIN_MS),
      clockDriftMs,
    };
  }
}

/** What to add to `performance.now()` for the wall clock, read where its millisecond changes. */
function wallOffsetMs(): number {
  let offsetMs = Number.NEGATIVE_INFINITY;
  for (let left = CLOCK_TRIES; left > 0; left -= 1) {
    const beforeMs = Date.now();
    let nowMs = beforeMs;
    while (nowMs === beforeMs) nowMs = Date.now();
    // Held up between the two readings, one comes out too small.
    offsetMs = Math.max(offsetMs, nowMs - performance.now());
  }
  return offsetMs;
}
