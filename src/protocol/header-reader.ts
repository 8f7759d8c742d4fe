// Reads single msgpack values by hand: the few forms that routing needs, without allocating.
import { MESSAGE_ID_BYTES } from './message-id.ts';

/** Results of the number reader that are no numbers. */
export const TRUNCATED = -1;
export const NO_UINT = -2;

/** By a value's first byte: bytes of a fixed number that follow it (beside a length and what that counts). */
const fixedBytes = new Uint8Array(256);
for (let head = 0xa0; head <= 0xbf; head += 1) fixedBytes[head] = head & 0x1f;
/** By a value's first byte: bytes of the length that follows it. */
const lengthWidths = new Uint8Array(256);
for (const [first, width] of [
  [0xc4, 1],
  [0xc7, 1],
  [0xd9, 1],
  [0xdc, 2],
  [0xde, 2],
] as const) {
  const forms = first >= 0xdc ? 2 : 3;
  for (let form = 0; form < forms; form += 1) lengthWidths[first + form] = width << form;
}
for (let form = 0; form < 3; form += 1) fixedBytes[0xc7 + form] = 1;
fixedBytes[0xca] = 4;
fixedBytes[0xcb] = 8;
for (let form = 0; form < 4; form += 1) {
  fixedBytes[0xcc + form] = 1 << form;
  fixedBytes[0xd0 + form] = 1 << form;
}
for (let form = 0; form < 5; form += 1) fixedBytes[0xd4 + form] = 1 + (1 << form);

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** A place in the bytes of one frame after another. Lengths are not checked against what is left. */
export class HeaderReader {
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;

  begin(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.at = 0;
  }

  arrayLength(): number {
    const head = this.#byte();
    if (head >= 0x90 && head <= 0x9f) return head & 0x0f;
    if (head === 0xdc) return this.#bigEndian(2);
    if (head === 0xdd) return this.#bigEndian(4);
    return noNumber(head);
  }

  /** Passes over a message id: the shard in its first two bytes, or what is no id. */
  messageIdShard(): number {
    const length = this.#binLength();
    if (length < 0) return length;
    const { bytes, at } = this;
    if (at + length > bytes.length) return TRUNCATED;
    if (length !== MESSAGE_ID_BYTES) return NO_UINT;
    this.at += length;
    return (bytes[at] as number) * 256 + (bytes[at + 1] as number);
  }

  /** Passes over one value with all it contains. False if the bytes end before it, or are none. */
  skip(): boolean {
    for (let pending = 1; pending > 0; pending -= 1) {
      const head = this.#byte();
      if (head === TRUNCATED || head === 0xc1) return false;
      const lengthWidth = lengthWidths[head] as number;
      const length = lengthWidth === 0 ? 0 : this.#bigEndian(lengthWidth);
      if (length < 0) return false;
      // What the length counts: bytes, or values, of a map two each.
      if (head >= 0xdc) pending += head >= 0xe0 ? 0 : length * (head >= 0xde ? 2 : 1);
      else if (head >= 0x80 && head <= 0x9f) pending += (head & 0x0f) * (head < 0x90 ? 2 : 1);
      else this.at += length;
      this.at += fixedBytes[head] as number;
      // Each value still to come has at least one byte.
      if (this.at + pending - 1 > this.bytes.length) return false;
    }
    return true;
  }

  stringLength(): number {
    const head = this.#byte();
    if (head >= 0xa0 && head <= 0xbf) return head & 0x1f;
    if (head === 0xd9) return this.#bigEndian(1);
    if (head === 0xda) return this.#bigEndian(2);
    if (head === 0xdb) return this.#bigEndian(4);
    return noNumber(head);
  }

  /** A string, or undefined for what is none or longer than `bytesMax`. */
  text(bytesMax: number): string | undefined {
    const length = this.stringLength();
    if (length < 0 || length > bytesMax || this.at + length > this.bytes.length) return undefined;
    const start = this.at;
    this.at += length;
    return utf8.decode(this.bytes.subarray(start, this.at));
  }

  /** A binary value or a string as bytes, a copy; undefined for what is none or longer than `bytesMax`. */
  binary(bytesMax: number): Uint8Array | undefined {
    const start = this.at;
    let length = this.#binLength();
    if (length === NO_UINT) {
      this.at = start;
      length = this.stringLength();
    }
    if (length < 0 || length > bytesMax || this.at + length > this.bytes.length) return undefined;
    this.at += length;
    return this.bytes.slice(this.at - length, this.at);
  }

  /** A whole number from 0 to 2⁵³ − 1 in any of its forms; undefined for what is none. */
  integer(): number | undefined {
    const start = this.at;
    const small = this.uint32();
    if (small !== NO_UINT) return small < 0 ? undefined : small;
    const head = this.bytes[start];
    const isWide = head === 0xcf || head === 0xd3 || head === 0xcb;
    if (!isWide || start + 9 > this.bytes.length) return undefined;
    const view = new DataView(this.bytes.buffer, this.bytes.byteOffset + start + 1, 8);
    let value = view.getFloat64(0);
    if (head === 0xcf) value = Number(view.getBigUint64(0));
    else if (head === 0xd3) value = Number(view.getBigInt64(0));
    this.at = start + 9;
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  }

  /** Passes over a nil; false, and nothing is passed over, where there is none. */
  nil(): boolean {
    if (this.bytes[this.at] !== 0xc0) return false;
    this.at += 1;
    return true;
  }

  /** A whole number from 0 to 2³² − 1 in any of its forms. */
  uint32(): number {
    const head = this.#byte();
    if (head >= 0 && head < 0x80) return head;
    if (head === 0xcc) return this.#bigEndian(1);
    if (head === 0xcd) return this.#bigEndian(2);
    if (head === 0xce) return this.#bigEndian(4);
    if ((head >= 0xcf && head <= 0xd3) || head === 0xcb) return this.#rareUint32(head);
    return noNumber(head);
  }

  /** The forms that no common encoder chooses for such a number. */
  #rareUint32(head: number): number {
    const width = head === 0xcf || head === 0xcb ? 8 : 1 << (head - 0xd0);
    const at = this.at;
    if (at + width > this.bytes.length) return TRUNCATED;
    this.at += width;
    const view = new DataView(this.bytes.buffer, this.bytes.byteOffset + at, width);
    let value = 0;
    if (head === 0xcb) value = view.getFloat64(0);
    else if (head === 0xcf) value = Number(view.getBigUint64(0));
    else if (head === 0xd0) value = view.getInt8(0);
    else if (head === 0xd1) value = view.getInt16(0);
    else if (head === 0xd2) value = view.getInt32(0);
    else value = Number(view.getBigInt64(0));
    return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff ? value : NO_UINT;
  }

  #binLength(): number {
    const head = this.#byte();
    if (head === 0xc4) return this.#bigEndian(1);
    if (head === 0xc5) return this.#bigEndian(2);
    if (head === 0xc6) return this.#bigEndian(4);
    return noNumber(head);
  }

  #byte(): number {
    return this.at < this.bytes.length ? (this.bytes[this.at++] as number) : TRUNCATED;
  }

  #bigEndian(width: number): number {
    const end = this.at + width;
    if (end > this.bytes.length) return TRUNCATED;
    let value = 0;
    for (; this.at < end; this.at += 1) value = value * 256 + (this.bytes[this.at] as number);
    return value;
  }
}

/** 0xc1 is no msgpack at all. */
function noNumber(head: number): number {
  return head === TRUNCATED || head === 0xc1 ? TRUNCATED : NO_UINT;
}
