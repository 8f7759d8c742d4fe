// A binary heap: the least entry first, in O(log n) a change.

export interface HeapOrder<T> {
  /** Whether `one` comes before `other`. */
  before(one: T, other: T): boolean;
  /** Told where an entry stands now, −1 when it left; for heaps whose entries move or leave early. */
  moved?(entry: T, position: number): void;
}

export class MinHeap<T> {
  readonly #order: HeapOrder<T>;
  readonly #entries: T[] = [];

  constructor(order: HeapOrder<T>) {
    this.#order = order;
  }

  get size(): number {
    return this.#entries.length;
  }

  get first(): T | undefined {
    return this.#entries[0];
  }

  push(entry: T): void {
    this.#entries.push(entry);
    this.#rise(this.#entries.length - 1);
  }

  pop(): T | undefined {
    const first = this.#entries[0];
    if (first !== undefined) this.removeAt(0);
    return first;
  }

  /** Puts the entry at a position where it belongs, after its order changed. */
  update(position: number): void {
    this.#rise(position);
    this.#sink(position);
  }

  removeAt(position: number): void {
    const gone = this.#entries[position] as T;
    const last = this.#entries.pop() as T;
    this.#order.moved?.(gone, -1);
    if (position === this.#entries.length) return;
    this.#entries[position] = last;
    this.#order.moved?.(last, position);
    this.update(position);
  }

  #rise(from: number): void {
    const entries = this.#entries;
    const entry = entries[from] as T;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#order.before(entry, entries[parent] as T)) break;
      this.#place(entries[parent] as T, at);
      at = parent;
    }
    this.#place(entry, at);
  }

  #sink(from: number): void {
    const entries = this.#entries;
    const entry = entries[from] as T;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (
        child + 1 < entries.length &&
        this.#order.before(entries[child + 1] as T, entries[child] as T)
      ) {
        child += 1;
      }
      if (!this.#order.before(entries[child] as T, entry)) break;
      this.#place(entries[child] as T, at);
      at = child;
    }
    this.#place(entry, at);
  }

  #place(entry: T, at: number): void {
    this.#entries[at] = entry;
    this.#order.moved?.(entry, at);
  }
}
