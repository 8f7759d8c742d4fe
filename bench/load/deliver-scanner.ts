/**
 * Reads deliver frames of one row's messages. As every field but the delivery number has a fixed
 * width, it steps from delivery to delivery and reads two things of each: the marker at its begin
 * (so that a delivery of another form is noticed) and the sequence number.
 */
import { KIND } from '../../src/protocol/kinds.ts';
import { bodyLayout, type MessageShape } from './message-shape.ts';

const DELIVERY_MARKER = 0x9a;
const MESSAGE_ID_BYTES = 18;
/** attempt, accepted at, flags, expires at: times take nine bytes. */
const AFTER_BODY_BYTES = 1 + 9 + 1 + 9;

export class DeliverScanner {
  /** Deliveries seen so far, and the sum of their sequence numbers. */
  delivered = 0;
  sequenceSum = 0;
  /** Number of the first delivery of the frame scanned last, and how many it held. */
  firstDelivery = 0;
  count = 0;
  readonly #bodyBytes: number;
  readonly #sequenceAt: number;
  readonly #sampleEvery: number;
  readonly #onSample: (sequence: number) => void;
  #untilSample: number;

  /** @param onSample gets the sequence number of every `sampleEvery`th delivery */
  constructor(shape: MessageShape, sampleEvery: number, onSample: (sequence: number) => void) {
    const { bodyBytes, sequenceAt } = bodyLayout(shape);
    this.#bodyBytes = bodyBytes;
    this.#sequenceAt = sequenceAt;
    this.#sampleEvery = sampleEvery;
    this.#untilSample = sampleEvery;
    this.#onSample = onSample;
  }

  /** Whether the content is a deliver frame. */
  static isDeliver(bytes: Uint8Array, start: number): boolean {
    return bytes[start] === 0x94 && bytes[start + 1] === KIND.deliver;
  }

  /** @throws Error when a delivery is not where the fixed widths put it */
  scan(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    let at = start + 4;
    const head = bytes[at] as number;
    let count = head & 0x0f;
    if (head === 0xdc) count = view.getUint16(at + 1);
    else if (head === 0xdd) count = view.getUint32(at + 1);
    at += head === 0xdc ? 3 : head === 0xdd ? 5 : 1;
    this.count = count;
    this.firstDelivery = readUint(view, at + 1);
    let number = this.firstDelivery;
    let sum = 0;
    let untilSample = this.#untilSample;
    for (let left = count; left > 0; left -= 1) {
      if (bytes[at] !== DELIVERY_MARKER) throw wrongPlace(bytes, at, start);
      const body = at + 1 + uintBytes(number) + MESSAGE_ID_BYTES;
      const sequence = view.getUint32(body + this.#sequenceAt);
      sum += sequence;
      untilSample -= 1;
      if (untilSample === 0) {
        untilSample = this.#sampleEvery;
        this.#onSample(sequence);
      }
      number += 1;
      at = body + this.#bodyBytes + AFTER_BODY_BYTES;
    }
    if (at !== end) throw wrongPlace(bytes, at, start);
    this.#untilSample = untilSample;
    this.delivered += count;
    this.sequenceSum += sum;
  }
}

/** Bytes of the shortest msgpack form of an unsigned number below 2³². */
function uintBytes(value: number): number {
  if (value >= 0x1_0000) return 5;
  if (value >= 0x100) return 3;
  return value >= 0x80 ? 2 : 1;
}

function readUint(view: DataView, at: number): number {
  const head = view.getUint8(at);
  if (head === 0xce) return view.getUint32(at + 1);
  if (head === 0xcd) return view.getUint16(at + 1);
  return head === 0xcc ? view.getUint8(at + 1) : head;
}

function wrongPlace(bytes: Uint8Array, at: number, start: number): Error {
  const found = bytes[at]?.toString(16) ?? 'the end';
  return new Error(`no delivery at byte ${at - start} of a deliver frame, but ${found}`);
}
