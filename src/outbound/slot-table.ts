/**
 * Numbers of slots by a hash that stands in the slot: 8 bytes an entry when half full, where a Map
 * takes about 40. Open addressing; slots are above 0, and several may have one hash.
 */
export class SlotTable {
  readonly #hashOf: (slot: number) => number;
  #slots = new Int32Array(1024);
  #mask = 1023;
  #size = 0;

  constructor(hashOf: (slot: number) => number) {
    this.#hashOf = hashOf;
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#slots.byteLength;
  }

  /** A slot with this hash that `accept` takes; 0: none. */
  find(hash: number, accept: (slot: number) => boolean): number {
    for (let at = hash & this.#mask; ; at = (at + 1) & this.#mask) {
      const slot = this.#slots[at] as number;
      if (slot === 0) return 0;
      if (this.#hashOf(slot) === hash && accept(slot)) return slot;
    }
  }

  add(slot: number): void {
    if (2 * (this.#size + 1) > this.#slots.length) this.#grow();
    this.#size += 1;
    this.#insert(slot);
  }

  remove(slot: number): void {
    const slots = this.#slots;
    let hole = this.#placeOf(slot);
    this.#size -= 1;
    // Entries after the hole that could stand in it move up, so that none is cut off.
    for (let at = hole; ; ) {
      at = (at + 1) & this.#mask;
      const other = slots[at] as number;
      if (other === 0) break;
      const home = this.#hashOf(other) & this.#mask;
      const distance = (at - home) & this.#mask;
      if (distance >= ((at - hole) & this.#mask)) {
        slots[hole] = other;
        hole = at;
      }
    }
    slots[hole] = 0;
  }

  /** Puts a slot in the place of another with the same hash. */
  replace(old: number, slot: number): void {
    this.#slots[this.#placeOf(old)] = slot;
  }

  #placeOf(slot: number): number {
    for (let at = this.#hashOf(slot) & this.#mask; ; at = (at + 1) & this.#mask) {
      if (this.#slots[at] === slot) return at;
      if (this.#slots[at] === 0) throw new Error(`slot ${slot} is not in the table`);
    }
  }

  #insert(slot: number): void {
    let at = this.#hashOf(slot) & this.#mask;
    while (this.#slots[at] !== 0) at = (at + 1) & this.#mask;
    this.#slots[at] = slot;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2);
    this.#mask = this.#slots.length - 1;
    for (const slot of old) if (slot !== 0) this.#insert(slot);
  }
}
