// First in, first out, with both ends in O(1).
export class Fifo<T> {
  #in: T[] = [];
  #out: T[] = [];

  get size(): number {
    return this.#in.length + this.#out.length;
  }

  push(entry: T): void {
    this.#in.push(entry);
  }

  shift(): T | undefined {
    if (this.#out.length === 0) {
      this.#out = this.#in.reverse();
      this.#in = [];
    }
    return this.#out.pop();
  }
}
