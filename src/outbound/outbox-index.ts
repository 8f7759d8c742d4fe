/**
 * The outbox in memory: 47 bytes in columns for each item, and where its id and stream are found.
 * Bodies, URLs and ids stay on disk.
 *
 * An item is a slot number above 0. Its states:
 *
 *   storing ─▶ waiting ─▶ sending ─▶ ending ─▶ (freed) | failed ─▶ waiting (replayed) | ending
 *      └─▶ blocked ─▲ │      └─▶ waiting (again)
 *                     └─▶ ending (its time was over, or its endpoint is disabled)
 *
 * `blocked`, and `storingBehind` while it is stored: an earlier item of its stream has not ended. `ending`: how it ended is not yet flushed.
 * Streams are known by a 32-bit hash: two that share one wait for each other, and keep their order.
 */
import { SlotTable } from './slot-table.ts';

export const ITEM_STATE = {
  free: 0,
  storing: 1,
  waiting: 2,
  blocked: 3,
  sending: 4,
  ending: 5,
  failed: 6,
  storingBehind: 7,
} as const;

export type ItemState = (typeof ITEM_STATE)[keyof typeof ITEM_STATE];

const SLOTS_FIRST = 1024;
const COLUMN_BYTES = 47;

export class OutboxIndex {
  number = new Float64Array(SLOTS_FIRST);
  /** Since when its schedule runs. */
  sinceMs = new Float64Array(SLOTS_FIRST);
  /** When it is due; of a failed one: when it failed. */
  dueMs = new Float64Array(SLOTS_FIRST);
  bytes = new Uint32Array(SLOTS_FIRST);
  endpoint = new Uint32Array(SLOTS_FIRST);
  attempts = new Uint8Array(SLOTS_FIRST);
  /** 1: a record of its progress is stored. */
  hasProgress = new Uint8Array(SLOTS_FIRST);
  state = new Uint8Array(SLOTS_FIRST);
  #idHash = new Int32Array(SLOTS_FIRST);
  #streamHash = new Int32Array(SLOTS_FIRST);
  /** The item behind it in its stream; of a free slot: the next free one. */
  #next = new Uint32Array(SLOTS_FIRST);
  #free = 0;
  #used = 1;
  #size = 0;
  readonly #ids = new SlotTable((slot) => this.#idHash[slot] as number);
  /** The last item of each stream. */
  readonly #tails = new SlotTable((slot) => this.#streamHash[slot] as number);

  /** Items of all states. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of the columns and tables, without the heaps of the endpoints. */
  get memoryBytes(): number {
    return this.state.length * COLUMN_BYTES + this.#ids.bytes + this.#tails.bytes;
  }

  /** A slot for an item, in state `storing`; `stream` null: it waits for none. */
  add(item: {
    readonly idHash: number;
    readonly stream: string | null;
    readonly number: number;
    readonly createdMs: number;
    readonly dueMs: number;
    readonly bytes: number;
    readonly endpoint: number;
  }): number {
    const slot = this.#takeSlot();
    this.number[slot] = item.number;
    this.sinceMs[slot] = item.createdMs;
    this.dueMs[slot] = item.dueMs;
    this.bytes[slot] = item.bytes;
    this.endpoint[slot] = item.endpoint;
    this.attempts[slot] = 0;
    this.hasProgress[slot] = 0;
    this.state[slot] = ITEM_STATE.storing;
    this.#idHash[slot] = item.idHash;
    this.#streamHash[slot] = item.stream === null ? 0 : hashOf(item.stream) || 1;
    this.#next[slot] = 0;
    this.#ids.add(slot);
    this.#size += 1;
    return slot;
  }

  /** An item with this hash of its id that `isIt` confirms; 0: none. */
  find(idHash: number, isIt: (slot: number) => boolean): number {
    return this.#ids.find(idHash, isIt);
  }

  /** Puts an item behind the others of its stream. @returns whether it has to wait for one */
  joinStream(slot: number): boolean {
    const hash = this.#streamHash[slot] as number;
    if (hash === 0) return false;
    const tail = this.#tails.find(hash, () => true);
    if (tail === 0) {
      this.#tails.add(slot);
      return false;
    }
    this.#next[tail] = slot;
    this.#tails.replace(tail, slot);
    return true;
  }

  /** Takes the first item of its stream out of it. @returns the next one; 0: there is none */
  leaveStream(slot: number): number {
    if (this.#streamHash[slot] === 0) return 0;
    const next = this.#next[slot] as number;
    if (next === 0) this.#tails.remove(slot);
    this.#next[slot] = 0;
    return next;
  }

  /** Frees a slot whose item has left its stream. */
  remove(slot: number): void {
    this.#ids.remove(slot);
    this.state[slot] = ITEM_STATE.free;
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.#size -= 1;
  }

  #takeSlot(): number {
    if (this.#free !== 0) {
      const slot = this.#free;
      this.#free = this.#next[slot] as number;
      return slot;
    }
    if (this.#used === this.state.length) this.#grow(this.#used * 2);
    this.#used += 1;
    return this.#used - 1;
  }

  #grow(slots: number): void {
    const floats = (old: Float64Array<ArrayBuffer>) => grown(new Float64Array(slots), old);
    const words = (old: Uint32Array<ArrayBuffer>) => grown(new Uint32Array(slots), old);
    const hashes = (old: Int32Array<ArrayBuffer>) => grown(new Int32Array(slots), old);
    const bytes = (old: Uint8Array<ArrayBuffer>) => grown(new Uint8Array(slots), old);
    this.number = floats(this.number);
    this.sinceMs = floats(this.sinceMs);
    this.dueMs = floats(this.dueMs);
    this.bytes = words(this.bytes);
    this.endpoint = words(this.endpoint);
    this.attempts = bytes(this.attempts);
    this.hasProgress = bytes(this.hasProgress);
    this.state = bytes(this.state);
    this.#idHash = hashes(this.#idHash);
    this.#streamHash = hashes(this.#streamHash);
    this.#next = words(this.#next);
  }
}

function grown<A extends { set(from: A): void }>(column: A, old: A): A {
  column.set(old);
  return column;
}

/** 32 bits of a text, other ones in each process. */
export function hashOf(text: string): number {
  let hash = SEED;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x5bd1e995);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

const SEED = Math.trunc(Math.random() * 2 ** 32) | 0;
