/**
 * One endpoint (a URL without its query): what waits for it, how many deliveries it may have at
 * once, and how it did.
 *
 * Its pace: `limit` deliveries at once. An answer that wants less halves it, a success adds one over
 * a round of successes, a time-out leaves one. After five failures in a row one delivery at a time
 * probes it, with a growing wait before each. None of this counts as an attempt of those that wait.
 */
import { LIMITS } from '../limits.ts';
import { MinHeap } from './min-heap.ts';
import type { OutboxIndex } from './outbox-index.ts';
import { breakerMs } from './retry-rules.ts';

const TIMES_KEPT = 64;

export type EndpointState = 'open' | 'slow' | 'failing' | 'disabled';

export class OutboxEndpoint {
  readonly url: string;
  /** Its place in the list of endpoints. */
  readonly place: number;
  /** Items that wait and are not behind another of their stream, the one due first on top. */
  readonly heap: MinHeap<number>;
  /** Items that have neither ended nor failed. */
  waiting = 0;
  failed = 0;
  inFlight = 0;
  /** When it answered 410; 0: it did not. */
  disabledMs = 0;
  /** Nothing is sent before this. */
  notBeforeMs = 0;
  /** Whether the last attempt had an answer. */
  isProven = false;
  lastError = '';
  /** Places in what the outbox plans by; −1 and false: nowhere. */
  wakePosition = -1;
  isReady = false;
  readonly #limitMax: number;
  #limit: number;
  #failures = 0;
  #slowedMs = 0;
  #times: Float32Array | undefined;
  #timesSeen = 0;

  constructor(options: {
    readonly url: string;
    readonly place: number;
    readonly index: OutboxIndex;
    readonly concurrency: number;
  }) {
    const { url, place, index, concurrency } = options;
    this.url = url;
    this.place = place;
    this.#limitMax = concurrency;
    this.#limit = concurrency;
    this.heap = new MinHeap({
      before: (one, other) => {
        const [a, b] = [index.dueMs[one] as number, index.dueMs[other] as number];
        return a === b ? (index.number[one] as number) < (index.number[other] as number) : a < b;
      },
    });
  }

  get isBroken(): boolean {
    return this.#failures >= LIMITS.outboxBreakerFailures;
  }

  /** Deliveries that it may have at once now. */
  get concurrency(): number {
    if (this.disabledMs !== 0) return 0;
    return this.isBroken ? 1 : Math.floor(this.#limit);
  }

  get state(): EndpointState {
    if (this.disabledMs !== 0) return 'disabled';
    if (this.isBroken) return 'failing';
    return this.concurrency < this.#limitMax ? 'slow' : 'open';
  }

  /** It took one. */
  succeeded(ms: number): void {
    this.#answered(ms);
    this.#failures = 0;
    this.notBeforeMs = 0;
    this.lastError = '';
    this.#limit = Math.min(this.#limitMax, this.#limit + 1 / this.#limit);
  }

  /** It answered, and did not take it. `retryAfterMs` 0: it asks for no wait. */
  refused(options: {
    readonly ms: number;
    readonly isSlower: boolean;
    readonly startMs: number;
    readonly nowMs: number;
    readonly retryAfterMs: number;
    readonly random: number;
    readonly error: string;
  }): void {
    const { ms, isSlower, startMs, nowMs, retryAfterMs, random, error } = options;
    this.#answered(ms);
    // Those under way at the time belong to the pace that was just halved.
    if (isSlower && startMs >= this.#slowedMs) {
      this.#limit = Math.max(1, this.#limit / 2);
      this.#slowedMs = nowMs;
    }
    this.#failedOnce(nowMs, random, error);
    this.notBeforeMs = Math.max(this.notBeforeMs, nowMs + retryAfterMs);
  }

  /** There was no answer. */
  unreachable(options: {
    readonly isTimeout: boolean;
    readonly nowMs: number;
    readonly random: number;
    readonly error: string;
  }): void {
    const { isTimeout, nowMs, random, error } = options;
    this.isProven = false;
    if (isTimeout) this.#limit = 1;
    this.#failedOnce(nowMs, random, error);
  }

  /** Takes back that it is disabled; it starts anew. */
  enable(): void {
    this.disabledMs = 0;
    this.notBeforeMs = 0;
    this.#failures = 0;
    this.#limit = this.#limitMax;
  }

  /** Times of the last answers in ms, at a part of them from 0 to 1; null: there was none. */
  timeAt(part: number): number | null {
    if (this.#times === undefined) return null;
    const times = this.#times.slice(0, Math.min(this.#timesSeen, TIMES_KEPT)).sort();
    return times[Math.min(times.length - 1, Math.floor(part * times.length))] ?? null;
  }

  #answered(ms: number): void {
    this.isProven = true;
    this.#times ??= new Float32Array(TIMES_KEPT);
    this.#times[this.#timesSeen % TIMES_KEPT] = ms;
    this.#timesSeen += 1;
  }

  #failedOnce(nowMs: number, random: number, error: string): void {
    this.#failures += 1;
    this.lastError = error;
    const waitMs = breakerMs(this.#failures, random);
    if (waitMs > 0) this.notBeforeMs = Math.max(this.notBeforeMs, nowMs + waitMs);
  }
}
