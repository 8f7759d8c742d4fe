/**
 * Whether a gateway works, told from how its requests end.
 *
 * closed → open → (after the back-off) halfOpen → closed, or open again with twice the back-off. In
 * halfOpen one request at a time is a probe. Pure but for the clock and the timer that it is given.
 *
 * It opens at 5 failures in a row, which finds a dead gateway also at a message a minute, and when
 * half of the last 20 requests of 10 s failed, which finds one whose every other server is dead:
 * there 5 in a row come only once in about 60 requests.
 */
export type BreakerState = 'closed' | 'open' | 'halfOpen';

export const BREAKER = {
  failuresInRow: 5,
  /** Requests that are looked at, how many of them failed, and how long ago they may have ended. */
  window: 20,
  windowFailures: 10,
  windowMs: 10_000,
  backOffMsMin: 1_000,
  backOffMsMax: 30_000,
} as const;

export interface BreakerOptions {
  readonly nowMs: () => number;
  /** Runs `task` after so long; returns what cancels it. */
  readonly later: (task: () => void, delayMs: number) => () => void;
  /** Called with each new state. */
  readonly changed: (state: BreakerState) => void;
}

export class Breaker {
  readonly #options: BreakerOptions;
  #state: BreakerState = 'closed';
  #epoch = 0;
  #failuresInRow = 0;
  /** Ends of the last requests, oldest first. */
  #last: { readonly atMs: number; readonly failed: boolean }[] = [];
  #backOffMs: number = BREAKER.backOffMsMin;
  #cancel: (() => void) | undefined;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /**
   * Counts states. A request remembers it from its begin to its end, so that one that began before
   * the last change says nothing about the time after it.
   */
  get epoch(): number {
    return this.#epoch;
  }

  /** The gateway answered, whatever it said of the message. */
  succeeded(epoch: number): void {
    if (this.#state === 'open' || epoch !== this.#epoch) return;
    this.#failuresInRow = 0;
    if (this.#state === 'halfOpen') {
      this.#backOffMs = BREAKER.backOffMsMin;
      this.#last = [];
      this.#enter('closed');
    } else {
      this.#note(false);
    }
  }

  /** It did not answer, or answered that it does not work. */
  failed(epoch: number): void {
    if (this.#state === 'open' || epoch !== this.#epoch) return;
    if (this.#state === 'halfOpen') {
      this.#backOffMs = Math.min(2 * this.#backOffMs, BREAKER.backOffMsMax);
      this.#open();
      return;
    }
    this.#failuresInRow += 1;
    this.#note(true);
    const isFull = this.#last.length === BREAKER.window;
    const failures = this.#last.filter(({ failed }) => failed).length;
    const isHalf = isFull && failures >= BREAKER.windowFailures;
    if (this.#failuresInRow >= BREAKER.failuresInRow || isHalf) this.#open();
  }

  /** Nothing happens by itself any more. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #note(failed: boolean): void {
    const atMs = this.#options.nowMs();
    this.#last.push({ atMs, failed });
    if (this.#last.length > BREAKER.window) this.#last.shift();
    while (this.#last[0] !== undefined && this.#last[0].atMs < atMs - BREAKER.windowMs) {
      this.#last.shift();
    }
  }

  #open(): void {
    this.#failuresInRow = 0;
    this.#last = [];
    this.#enter('open');
    this.#cancel = this.#options.later(() => {
      this.#cancel = undefined;
      this.#enter('halfOpen');
    }, this.#backOffMs);
  }

  #enter(state: BreakerState): void {
    this.#state = state;
    this.#epoch += 1;
    this.#options.changed(state);
  }
}
