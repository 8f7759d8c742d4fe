// A checked reader over the content of a record: little-endian numbers, varints, short texts.

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads from front to back; what does not fit throws the error that `damaged` makes of the place. */
export class RecordBytes {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #damaged: (at: number) => Error;
  #at = 0;

  constructor(bytes: Uint8Array, damaged: (at: number) => Error) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#damaged = damaged;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Checks that nothing is left. */
  end(): void {
    if (this.left > 0) throw this.#damaged(this.#at);
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }

  take(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  text(length: number): string {
    const bytes = this.take(length);
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.#damaged(this.#at);
    }
  }

  /** A LEB128 number that fits 2⁵³. */
  varint(): number {
    const value = this.#leb128();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#damaged(this.#at);
    return Number(value);
  }

  /** A key given by its zigzag distance from `expected`. */
  key(expected: bigint): bigint {
    return BigInt.asUintN(64, expected + this.zigzag());
  }

  /** A signed LEB128 number of 64 bits. */
  zigzag(): bigint {
    const zigzag = this.#leb128();
    return (zigzag >> 1n) ^ -(zigzag & 1n);
  }

  #leb128(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 64n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (value >> 64n !== 0n) break;
        return value;
      }
    }
    throw this.#damaged(this.#at);
  }

  #advance(length: number): number {
    const start = this.#at;
    if (length > this.left) throw this.#damaged(start);
    this.#at = start + length;
    return start;
  }
}
