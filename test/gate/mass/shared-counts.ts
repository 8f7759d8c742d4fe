/**
 * The outside observer of the mass run: one count a cap in memory that all threads share, and what each
 * limit was when. Whoever holds a permit counts itself in after it has it and out before it gives it back, so
 * that those who are counted do hold at once.
 *
 * The bound that one who comes is held against: of all who are counted then, one was let in last, after this
 * one had asked and before it came. At that moment all the others held already, so they are at most as many
 * as the limit was then; hence as the largest limit that may have been in force between ask and coming. It is
 * written before a limit is asked for and closed after that was answered, by the one thread that sets limits.
 */

/** Milliseconds of the clock that all threads share. */
export function nowMs(): number {
  const [seconds, ns] = process.hrtime();
  return seconds * 1000 + ns / 1e6;
}

/** Values kept of each limit; they are set more slowly than this many in the time of one wait. */
const HISTORY = 512;
/** From, until, limit. */
const FIELDS = 3;

export interface SharedState {
  readonly caps: number;
  readonly whole: SharedArrayBuffer;
  readonly times: SharedArrayBuffer;
}

/** Words of a cap in `whole`. */
const COUNT = 0;
const PEAK = 1;
const NOW = 2;
const SET = 3;
const FULL = 4;
const OVER = 5;
const WORDS = 6;

/** Cap, seats and bound of who came where no seat was left. */
export type OnOver = (cap: number, seats: number, bound: number) => void;

export class SharedCounts {
  readonly state: SharedState;
  readonly #whole: Int32Array;
  readonly #times: Float64Array;

  static of(caps: number): SharedCounts {
    const whole = new SharedArrayBuffer(caps * WORDS * Int32Array.BYTES_PER_ELEMENT);
    const bytes = caps * HISTORY * FIELDS * Float64Array.BYTES_PER_ELEMENT;
    return new SharedCounts({ caps, whole, times: new SharedArrayBuffer(bytes) });
  }

  constructor(state: SharedState) {
    this.state = state;
    this.#whole = new Int32Array(state.whole);
    this.#times = new Float64Array(state.times);
  }

  /** One comes who asked at `askedMs`. */
  come(cap: number, seats: number, askedMs: number, onOver: OnOver): void {
    const whole = this.#whole;
    const at = cap * WORDS;
    const used = Atomics.add(whole, at + COUNT, seats) + seats;
    if (used > Atomics.load(whole, at + PEAK)) this.#raisePeak(at, used);
    const limit = Atomics.load(whole, at + NOW);
    if (used < limit) return;
    // The clock after the count: whoever else was counted was let in by then.
    const bound = used === limit ? limit : this.#largest(cap, askedMs, nowMs());
    if (used >= bound) Atomics.add(whole, at + (used === bound ? FULL : OVER), 1);
    if (used > bound) onOver(cap, used, bound);
  }

  go(cap: number, seats: number): void {
    Atomics.sub(this.#whole, cap * WORDS + COUNT, seats);
  }

  /** To be called before a limit is asked for. @returns what is to be called after it was answered */
  set(cap: number, limit: number): () => void {
    const at = cap * WORDS;
    const count = Atomics.load(this.#whole, at + SET);
    const place = this.#place(cap, count);
    this.#times[place + 1] = Number.POSITIVE_INFINITY;
    this.#times[place + 2] = limit;
    this.#times[place] = nowMs();
    const before = count === 0 ? 0 : Atomics.load(this.#whole, at + NOW);
    // What is compared first may not be more than what may be in force.
    if (limit < before) Atomics.store(this.#whole, at + NOW, limit);
    Atomics.store(this.#whole, at + SET, count + 1);
    return () => {
      if (count > 0) this.#times[this.#place(cap, count - 1) + 1] = nowMs();
      Atomics.store(this.#whole, at + NOW, limit);
    };
  }

  /** Seats that are counted. */
  used(cap: number): number {
    return Atomics.load(this.#whole, cap * WORDS + COUNT);
  }

  peak(cap: number): number {
    return Atomics.load(this.#whole, cap * WORDS + PEAK);
  }

  /** How often it was full to its last seat. */
  full(cap: number): number {
    return Atomics.load(this.#whole, cap * WORDS + FULL);
  }

  over(cap: number): number {
    return Atomics.load(this.#whole, cap * WORDS + OVER);
  }

  #raisePeak(at: number, used: number): void {
    for (;;) {
      const peak = Atomics.load(this.#whole, at + PEAK);
      if (used <= peak) return;
      if (Atomics.compareExchange(this.#whole, at + PEAK, peak, used) === peak) return;
    }
  }

  /** The largest limit that may have been in force at some moment of a time. */
  #largest(cap: number, fromMs: number, untilMs: number): number {
    const count = Atomics.load(this.#whole, cap * WORDS + SET);
    let largest = 0;
    for (let index = count - 1; index >= 0 && index > count - HISTORY; index -= 1) {
      const place = this.#place(cap, index);
      if ((this.#times[place + 1] as number) < fromMs) break;
      if ((this.#times[place] as number) <= untilMs) {
        largest = Math.max(largest, this.#times[place + 2] as number);
      }
    }
    return largest;
  }

  #place(cap: number, index: number): number {
    return (cap * HISTORY + (index % HISTORY)) * FIELDS;
  }
}
