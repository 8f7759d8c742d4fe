/**
 * Frames of permits for the load generator: encoded once, with ids of a fixed width, so that an answer names its
 * slot; permits are copied from the answer into the frame that gives them back.
 */
import {
  encodeAcquire,
  encodeRelease,
  PERMIT_ID_BYTES,
} from '../../../src/protocol/gate-frames.ts';
import { KIND } from '../../../src/protocol/kinds.ts';
import { binaryFrame } from '../../load/web-socket-frame.ts';
import { type PairShape, tenantAt } from './pair-loop.ts';

/** Ids from here on take five bytes. */
const FIRST_ID = 0x1_0000;
/** Marker and length before each permit. */
const PERMIT_HEADER_BYTES = 2;
const PERMIT_STEP_BYTES = PERMIT_HEADER_BYTES + PERMIT_ID_BYTES;
const NIL = 0xc0;

/** One for all connections of a loop. Ids of slots: first those that acquire, then those that give back. */
export class PermitFrames {
  readonly acquires: readonly Buffer[];
  readonly releases: readonly Buffer[];
  /** Permits that each key has now, from the grant's arrival until they are sent back. */
  readonly held: Int32Array;
  readonly #shape: PairShape;

  constructor(shape: PairShape) {
    this.#shape = shape;
    this.held = new Int32Array(shape.tenants.length);
    const { slots, list, resource, tenants, leaseMs } = shape;
    const each = <T>(count: number, make: (at: number) => T): T[] =>
      Array.from({ length: count }, (_, at) => make(at));
    this.acquires = each(slots, (slot) => {
      const entries = each(list, (entry) => ({
        resource,
        tenant: tenants[tenantAt(shape, slot, entry)],
        options: { leaseMs },
      }));
      return binaryFrame(encodeAcquire({ id: FIRST_ID + slot, entries }));
    });
    const permits = each(list, () => new Uint8Array(PERMIT_ID_BYTES));
    this.releases = each(slots, (slot) =>
      binaryFrame(encodeRelease({ id: FIRST_ID + slots + slot, permits })),
    );
  }

  get slots(): number {
    return this.#shape.slots;
  }

  /**
   * Reads an answer to one of these frames and keeps its permits for the frame that gives them back.
   *
   * @returns the slot of a grant, or slots + the slot of a release; −1: it is another frame
   * @throws Error when a permit is missing or a key has more than its limit
   */
  take(bytes: Buffer, view: DataView, start: number): number {
    const head = bytes[start];
    if ((head !== 0x93 && head !== 0x94) || bytes[start + 1] !== KIND.ok) return -1;
    if (bytes[start + 2] !== 0xce) return -1;
    const number = view.getUint32(start + 3) - FIRST_ID;
    if (number < 0 || number >= 2 * this.#shape.slots) return -1;
    if (number < this.#shape.slots) this.#takePermits(bytes, start + 7, number);
    else this.#takeReleased(bytes, start + 7);
    return number;
  }

  #takePermits(bytes: Buffer, at: number, slot: number): void {
    const { list, limit } = this.#shape;
    const release = this.releases[slot] as Buffer;
    let to = release.length - list * PERMIT_STEP_BYTES + PERMIT_HEADER_BYTES;
    cursor = at;
    const entries = readArray(bytes);
    if (entries !== list) throw new Error(`${entries} entries for ${list}`);
    for (let entry = 0; entry < list; entry += 1) {
      if (bytes[cursor] !== 0x94 || bytes[cursor + 1] !== 0xc4) {
        throw new Error(`a permit was not granted: ${bytes.toString('hex', cursor, cursor + 24)}`);
      }
      const permit = cursor + 3;
      bytes.copy(release, to, permit, permit + PERMIT_ID_BYTES);
      to += PERMIT_STEP_BYTES;
      cursor = permit + PERMIT_ID_BYTES;
      readUint(bytes);
      const used = readUint(bytes);
      const told = bytes[cursor] === NIL ? undefined : readUint(bytes);
      const tenant = tenantAt(this.#shape, slot, entry);
      const held = (this.held[tenant] as number) + 1;
      this.held[tenant] = held;
      if (told !== limit || used > limit || held > limit) {
        throw new Error(`${held} permits of ${limit} are held; the daemon said ${used} of ${told}`);
      }
    }
  }

  /** To be called when the slot's permits are sent back. */
  gaveBack(slot: number): void {
    for (let entry = 0; entry < this.#shape.list; entry += 1) {
      const tenant = tenantAt(this.#shape, slot, entry);
      this.held[tenant] = (this.held[tenant] as number) - 1;
    }
  }

  #takeReleased(bytes: Buffer, at: number): void {
    cursor = at;
    const released = readUint(bytes);
    const gone = readUint(bytes);
    if (released === this.#shape.list && gone === 0) return;
    throw new Error(`${released} permits of ${this.#shape.list} were released, ${gone} were gone`);
  }
}

/** Where the next value begins; one frame is read at a time. */
let cursor = 0;

function readArray(bytes: Buffer): number {
  const head = bytes[cursor] as number;
  cursor += 1;
  if (head >= 0x90 && head <= 0x9f) return head & 0x0f;
  if (head !== 0xdc) throw new Error(`no array but ${head}`);
  cursor += 2;
  return bytes.readUInt16BE(cursor - 2);
}

function readUint(bytes: Buffer): number {
  const head = bytes[cursor] as number;
  cursor += 1;
  if (head < 0x80) return head;
  const width = head === 0xcc ? 1 : head === 0xcd ? 2 : head === 0xce ? 4 : 0;
  if (width === 0) throw new Error(`no small number but ${head}`);
  cursor += width;
  return bytes.readUIntBE(cursor - width, width);
}
