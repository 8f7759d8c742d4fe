/**
 * Time-outs of very many requests: each says when it is due, and one timer looks at all of them. A
 * request moves its time by writing a number, so a part of a body costs no timer.
 */
import { LIMITS } from '../limits.ts';

export interface Timed {
  /** On the clock given; Infinity: never. */
  readonly dueMs: number;
  /** Its time is over. May take itself out. */
  late(nowMs: number): void;
}

export class Deadlines {
  readonly #nowMs: () => number;
  readonly #all = new Set<Timed>();
  #timer: NodeJS.Timeout | undefined;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  add(timed: Timed): void {
    this.#all.add(timed);
    this.#timer ??= setInterval(() => this.#sweep(), LIMITS.proxySweepMs);
  }

  delete(timed: Timed): void {
    this.#all.delete(timed);
  }

  #sweep(): void {
    if (this.#all.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const nowMs = this.#nowMs();
    for (const timed of this.#all) if (timed.dueMs <= nowMs) timed.late(nowMs);
  }
}
