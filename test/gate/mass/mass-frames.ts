/**
 * Frames of permits for clients that ask for many: entries are encoded once for all choices there are and
 * copied together, answers are read in place.
 */
import { writeClientHeader } from '../../../bench/load/web-socket-frame.ts';
import { KIND } from '../../../src/protocol/kinds.ts';
import { pack } from '../../../src/protocol/msgpack.ts';
import { LEASE_MS, LIST_MAX, MASS_KEYS, massKey, SEATS_MAX, SHORT_LEASE_MS } from './mass-plan.ts';

export const PERMIT_BYTES = 16;

/** First id of each sort of request; ids of all have five bytes. */
export const ID = {
  acquire: 0x1000_0000,
  release: 0x2000_0000,
  giveUp: 0x3000_0000,
  claim: 0x4000_0000,
} as const;
export const ID_MASK = 0xf000_0000;

const UINT32 = 0xce;
const BIN8 = 0xc4;
const NIL = 0xc0;
const CLAIM = 2;
const WAITS_MS = [0, 50, 200, 500];

/** Choices of an entry: seats, lease, wait. */
const ENTRIES: readonly Uint8Array[] = Array.from({ length: MASS_KEYS }, (_, key) => {
  const { resource, tenant } = massKey(key);
  return Array.from({ length: SEATS_MAX }, (_, more) =>
    [LEASE_MS, SHORT_LEASE_MS].map((leaseMs) =>
      WAITS_MS.map((waitMs) => pack([resource, tenant, { weight: more + 1, leaseMs, waitMs }])),
    ),
  );
}).flat(3);

/** `wait`: below 1 does not wait; from 1 to 3 longer and longer. */
export function entryOf(key: number, seats: number, isShort: boolean, wait: number): Uint8Array {
  const choice = ((key * SEATS_MAX + seats - 1) * 2 + Number(isShort)) * WAITS_MS.length + wait;
  return ENTRIES[choice] as Uint8Array;
}

/** Gathers frames until they are taken. */
export class FrameWriter {
  readonly #bytes = Buffer.allocUnsafe(2 * 1024 * 1024);
  #at = 0;

  get isEmpty(): boolean {
    return this.#at === 0;
  }

  /** A copy of what was written: the socket keeps it until it has left. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#at));
    this.#at = 0;
    return taken;
  }

  clear(): void {
    this.#at = 0;
  }

  acquire(id: number, entries: readonly Uint8Array[]): void {
    let length = 0;
    for (const entry of entries) length += entry.length;
    this.#begin(KIND.acquire, id, 3, entries.length, length);
    for (const entry of entries) {
      this.#bytes.set(entry, this.#at);
      this.#at += entry.length;
    }
  }

  release(id: number, permits: Uint8Array, count: number): void {
    this.#begin(KIND.release, id, 3, count, count * (PERMIT_BYTES + 2));
    this.#permits(permits, count);
  }

  giveUp(id: number, ticket: number): void {
    this.#begin(KIND.release, id, 3, 1, 5);
    this.#uint32(ticket);
  }

  claim(id: number, permits: Uint8Array, count: number): void {
    this.#begin(KIND.renew, id, 5, count, count * (PERMIT_BYTES + 2) + 6);
    this.#permits(permits, count);
    this.#uint32(LEASE_MS);
    this.#bytes[this.#at] = CLAIM;
    this.#at += 1;
  }

  #begin(kind: number, id: number, fields: number, items: number, itemBytes: number): void {
    const length = 2 + 5 + (items < 16 ? 1 : 3) + itemBytes;
    this.#at = writeClientHeader(this.#bytes, this.#at, length);
    this.#bytes[this.#at] = 0x90 | fields;
    this.#bytes[this.#at + 1] = kind;
    this.#at += 2;
    this.#uint32(id);
    if (items < 16) {
      this.#bytes[this.#at] = 0x90 | items;
      this.#at += 1;
    } else {
      this.#bytes[this.#at] = 0xdc;
      this.#at = this.#bytes.writeUInt16BE(items, this.#at + 1);
    }
  }

  #permits(permits: Uint8Array, count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#bytes[this.#at] = BIN8;
      this.#bytes[this.#at + 1] = PERMIT_BYTES;
      const from = index * PERMIT_BYTES;
      for (let byte = 0; byte < PERMIT_BYTES; byte += 1) {
        this.#bytes[this.#at + 2 + byte] = permits[from + byte] as number;
      }
      this.#at += 2 + PERMIT_BYTES;
    }
  }

  #uint32(value: number): void {
    this.#bytes[this.#at] = UINT32;
    this.#at = this.#bytes.writeUInt32BE(value, this.#at + 1);
  }
}

/** Reads one frame of the daemon, field after field. */
export class FrameReader {
  at = 0;
  bytes: Buffer = Buffer.alloc(0);

  /** @returns the kind */
  begin(bytes: Buffer, start: number): number {
    this.bytes = bytes;
    this.at = start;
    this.array();
    return this.uint();
  }

  array(): number {
    const head = this.bytes[this.at] as number;
    this.at += 1;
    if ((head & 0xf0) === 0x90) return head & 0x0f;
    if (head !== 0xdc) throw new Error(`no array but ${head}`);
    this.at += 2;
    return this.bytes.readUInt16BE(this.at - 2);
  }

  uint(): number {
    const head = this.bytes[this.at] as number;
    this.at += 1;
    if (head < 0x80) return head;
    if (head < 0xcc || head > 0xcf) throw new Error(`no number but ${head}`);
    const width = 1 << (head - 0xcc);
    this.at += width;
    if (width === 8) return Number(this.bytes.readBigUInt64BE(this.at - 8));
    return this.bytes.readUIntBE(this.at - width, width);
  }

  /** Of nil −1. */
  optional(): number {
    return this.nil() ? -1 : this.uint();
  }

  nil(): boolean {
    if (this.bytes[this.at] !== NIL) return false;
    this.at += 1;
    return true;
  }

  /** Copies a permit to its place among others. */
  permit(into: Uint8Array, index: number): void {
    if (this.bytes[this.at] !== BIN8 || this.bytes[this.at + 1] !== PERMIT_BYTES) {
      throw new Error('no permit');
    }
    this.at += 2;
    const to = index * PERMIT_BYTES;
    for (let byte = 0; byte < PERMIT_BYTES; byte += 1) {
      into[to + byte] = this.bytes[this.at + byte] as number;
    }
    this.at += PERMIT_BYTES;
  }

  text(): string {
    const length = (this.bytes[this.at] as number) & 0x1f;
    this.at += 1 + length;
    return this.bytes.toString('latin1', this.at - length, this.at);
  }
}

export const PERMITS_BYTES = LIST_MAX * PERMIT_BYTES;
