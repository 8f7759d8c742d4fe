/**
 * Time-outs of very many requests: each says when it is due, and one timer looks at all of them. A
 * request moves its time by writing a number, so a part of a body costs no timer; it knows its place in the list,
 * so coming and going costs no look-up.
 */
import { LIMITS } from '../limits.ts';

export interface Timed {
  /** On the clock given; Infinity: never. */
  readonly dueMs: number;
  /** Of the list, which alone writes it; −1: in none. */
  place: number;
  /** Its time is over. May take itself out. */
  late(nowMs: number): void;
}

export class Deadlines<T extends Timed> {
  readonly #nowMs: () => number;
  readonly #all: T[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#all.length;
  }

  /** As they are now: a copy. */
  all(): readonly T[] {
    return this.#all.slice();
  }

  add(timed: T): void {
    timed.place = this.#all.length;
    this.#all.push(timed);
    this.#timer ??= setInterval(() => this.#sweep(), LIMITS.proxySweepMs);
  }

  delete(timed: T): void {
    const { place } = timed;
    const last = this.#all[this.#all.length - 1];
    if (place < 0 || last === undefined) return;
    this.#all[place] = last;
    last.place = place;
    this.#all.pop();
    timed.place = -1;
  }

  #sweep(): void {
    if (this.#all.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const nowMs = this.#nowMs();
    // From the end: what takes a place that has become free was looked at, or is this one.
    for (let place = this.#all.length - 1; place >= 0; place -= 1) {
      const timed = this.#all[place];
      if (timed !== undefined && timed.dueMs <= nowMs) timed.late(nowMs);
    }
  }
}
