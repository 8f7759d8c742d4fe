/**
 * What a server of the bench got in one round: each number once, and how long the middle 80 % of
 * them took. Start and end of a round are left out: they measure how it was started and drained.
 */

const FIRST_SHARE = 0.1;
const LAST_SHARE = 0.9;

/** Read when the middle begins and when it ends. */
export interface Mark<T> {
  readonly atMs: number;
  readonly value: T;
}

export interface Middle<T> {
  readonly messages: number;
  readonly seconds: number;
  readonly first: T;
  readonly last: T;
}

export class ArrivalLog<T> {
  readonly expected: number;
  readonly #seen: Uint8Array;
  readonly #read: () => T;
  readonly #nowMs: () => number;
  readonly #firstAt: number;
  readonly #lastAt: number;
  #first: Mark<T> | undefined;
  #last: Mark<T> | undefined;
  #arrived = 0;
  #fault: string | undefined;

  /** @param read what is wanted of the begin and the end of the middle, such as processor times */
  constructor(expected: number, read: () => T, nowMs: () => number = () => performance.now()) {
    this.expected = expected;
    this.#seen = new Uint8Array(expected);
    this.#read = read;
    this.#nowMs = nowMs;
    this.#firstAt = Math.max(1, Math.floor(expected * FIRST_SHARE));
    this.#lastAt = Math.max(this.#firstAt + 1, Math.ceil(expected * LAST_SHARE));
  }

  get arrived(): number {
    return this.#arrived;
  }

  get isComplete(): boolean {
    return this.#arrived >= this.expected || this.#fault !== undefined;
  }

  take(sequence: number): void {
    if (this.#seen[sequence] !== 0) {
      const what = sequence < this.expected ? 'came twice' : 'was never sent';
      this.#fault ??= `message ${sequence} ${what}, after ${this.#arrived} of ${this.expected}`;
      return;
    }
    this.#seen[sequence] = 1;
    this.#arrived += 1;
    if (this.#arrived === this.#firstAt) this.#first = this.#mark();
    if (this.#arrived === this.#lastAt) this.#last = this.#mark();
  }

  fail(fault: string): void {
    this.#fault ??= fault;
  }

  /** @throws Error unless every number came, and once */
  middle(): Middle<T> {
    if (this.#fault !== undefined) throw new Error(this.#fault);
    if (this.#arrived < this.expected) {
      throw new Error(`${this.#arrived} of ${this.expected} messages came`);
    }
    const [first, last] = [this.#first as Mark<T>, this.#last as Mark<T>];
    return {
      messages: this.#lastAt - this.#firstAt,
      seconds: (last.atMs - first.atMs) / 1000,
      first: first.value,
      last: last.value,
    };
  }

  #mark(): Mark<T> {
    return { atMs: this.#nowMs(), value: this.#read() };
  }
}
