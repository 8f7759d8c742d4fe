// The first fields of a client frame, read by hand: all that ingress needs to route it to a shard.
// The native core checks the rest. Runs once a frame on the main thread and allocates nothing but
// the text of a destination that differs from the last one.
import { isClientKind, KIND } from './kinds.ts';

/** Why a frame goes no further: names of errors. */
export type HeaderFault =
  | 'malformedFrame'
  | 'wrongType'
  | 'invalidId'
  | 'unknownKind'
  | 'notYetSupported'
  | 'fieldTooLong'
  | 'invalidName';

const NAME_BYTES_MAX = 128;

const nameBytes = new Uint8Array(256);
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+@-') {
  nameBytes[char.charCodeAt(0)] = 1;
}

/** Results of the number reader that are no numbers. */
const TRUNCATED = -1;
const NO_UINT = -2;

/** Reads one frame after another; the fields hold what the last `read` found. */
export class FrameHeader {
  kind = 0;
  /** 0 if the frame is damaged before it. */
  id = 0;
  /** Of publish and subscribe; else empty. */
  destination = '';
  /** Of subscribe, credit and settle; else 0. */
  subscription = 0;

  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  readonly #lastName = new Uint8Array(NAME_BYTES_MAX);
  #lastNameBytes = 0;
  #lastText = '';

  /** Reads the header of a frame; returns the error's name, `undefined` if it may be passed on. */
  read(bytes: Uint8Array): HeaderFault | undefined {
    this.kind = 0;
    this.id = 0;
    this.destination = '';
    this.subscription = 0;
    this.#bytes = bytes;
    this.#at = 0;
    const fields = this.#arrayLength();
    if (fields < 0) return numberFault(fields);
    if (fields < 2) return 'wrongType';
    const kind = this.#uint32();
    if (kind < 0) return numberFault(kind);
    this.kind = kind;
    const id = this.#uint32();
    if (id < 0) return id === NO_UINT ? 'invalidId' : 'malformedFrame';
    this.id = id;
    return this.#fieldsOf(kind, fields);
  }

  #fieldsOf(kind: number, fields: number): HeaderFault | undefined {
    switch (kind) {
      case KIND.publish:
        return fields < 4 ? 'wrongType' : this.#readDestination();
      case KIND.subscribe:
        return fields < 5 ? 'wrongType' : (this.#readSubscription() ?? this.#readDestination());
      case KIND.credit:
      case KIND.settle:
        return fields < 4 ? 'wrongType' : this.#readSubscription();
      default:
        return isClientKind(kind) ? 'notYetSupported' : 'unknownKind';
    }
  }

  #readSubscription(): HeaderFault | undefined {
    const subscription = this.#uint32();
    if (subscription < 0) return numberFault(subscription);
    this.subscription = subscription;
    return undefined;
  }

  #readDestination(): HeaderFault | undefined {
    const bytes = this.#bytes;
    const length = this.#stringLength();
    if (length < 0) return numberFault(length);
    const start = this.#at;
    if (start + length > bytes.length) return 'malformedFrame';
    if (length > NAME_BYTES_MAX) return 'fieldTooLong';
    if (length === 0) return 'invalidName';
    const last = this.#lastName;
    let same = length === this.#lastNameBytes;
    for (let at = 0; same && at < length; at += 1) same = bytes[start + at] === last[at];
    if (!same) {
      for (let at = start; at < start + length; at += 1) {
        if (nameBytes[bytes[at] as number] !== 1) return 'invalidName';
      }
      last.set(bytes.subarray(start, start + length));
      this.#lastNameBytes = length;
      this.#lastText = String.fromCharCode(...last.subarray(0, length));
    }
    this.destination = this.#lastText;
    return undefined;
  }

  #arrayLength(): number {
    const head = this.#byte();
    if (head >= 0x90 && head <= 0x9f) return head & 0x0f;
    if (head === 0xdc) return this.#bigEndian(2);
    if (head === 0xdd) return this.#bigEndian(4);
    return noNumber(head);
  }

  #stringLength(): number {
    const head = this.#byte();
    if (head >= 0xa0 && head <= 0xbf) return head & 0x1f;
    if (head === 0xd9) return this.#bigEndian(1);
    if (head === 0xda) return this.#bigEndian(2);
    if (head === 0xdb) return this.#bigEndian(4);
    return noNumber(head);
  }

  /** A whole number from 0 to 2³² − 1 in any of its forms. */
  #uint32(): number {
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
    const at = this.#at;
    if (at + width > this.#bytes.length) return TRUNCATED;
    this.#at += width;
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, width);
    let value = 0;
    if (head === 0xcb) value = view.getFloat64(0);
    else if (head === 0xcf) value = Number(view.getBigUint64(0));
    else if (head === 0xd0) value = view.getInt8(0);
    else if (head === 0xd1) value = view.getInt16(0);
    else if (head === 0xd2) value = view.getInt32(0);
    else value = Number(view.getBigInt64(0));
    return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff ? value : NO_UINT;
  }

  #byte(): number {
    return this.#at < this.#bytes.length ? (this.#bytes[this.#at++] as number) : TRUNCATED;
  }

  #bigEndian(width: number): number {
    const end = this.#at + width;
    if (end > this.#bytes.length) return TRUNCATED;
    let value = 0;
    for (; this.#at < end; this.#at += 1) value = value * 256 + (this.#bytes[this.#at] as number);
    return value;
  }
}

/** 0xc1 is no msgpack at all. */
function noNumber(head: number): number {
  return head === TRUNCATED || head === 0xc1 ? TRUNCATED : NO_UINT;
}

function numberFault(result: number): HeaderFault {
  return result === NO_UINT ? 'wrongType' : 'malformedFrame';
}
