/**
 * Publish frames of one row, encoded once and lying side by side: slot after slot, each a complete
 * WebSocket frame. A slot is used again when its ok is here, so its bytes are surely written; slots
 * that follow each other leave with one write.
 */
import { KIND } from '../../src/protocol/kinds.ts';
import {
  bodyLayout,
  type MessageShape,
  patternByte,
  queuesOf,
  recipientName,
  senderName,
  tenantName,
} from './message-shape.ts';
import { type OptionField, optionField, type SendTimes } from './option-field.ts';
import { clientHeaderBytes, writeClientHeader } from './web-socket-frame.ts';

/** `[kind, id, destination, messages]` up to the destination's text; the id takes five bytes. */
const HEAD_BYTES = 1 + 1 + 5;
const MESSAGES_HEADER_BYTES = 3;

export class PublishRing {
  readonly slots: number;
  /** One WebSocket frame, its header included. */
  readonly frameBytes: number;
  /** Bytes of the publish frame alone, as the publish window counts them. */
  readonly contentBytes: number;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #messagesPerFrame: number;
  readonly #messageBytes: number;
  /** Place of the first message's sequence number in a slot. */
  readonly #sequenceAt: number;
  readonly #option: OptionField | undefined;
  /** Place of the first message's option in a slot. */
  readonly #optionAt: number;

  constructor(shape: MessageShape, slots: number) {
    const { bodyBytes, sequenceAt } = bodyLayout(shape);
    this.slots = slots;
    this.#messagesPerFrame = shape.messagesPerFrame;
    this.#option = optionField(shape.option);
    this.#messageBytes = 1 + bodyBytes + (this.#option?.bytes ?? 0);
    const before = HEAD_BYTES + 1 + shape.destination.length + MESSAGES_HEADER_BYTES;
    this.contentBytes = before + shape.messagesPerFrame * this.#messageBytes;
    const headerBytes = clientHeaderBytes(this.contentBytes);
    this.frameBytes = headerBytes + this.contentBytes;
    this.#sequenceAt = headerBytes + before + 1 + sequenceAt;
    this.#optionAt = headerBytes + before + 1 + bodyBytes;
    this.#bytes = Buffer.alloc(slots * this.frameBytes);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    for (let slot = 0; slot < slots; slot += 1) this.#encode(shape, slot);
  }

  /** Gives the messages of a slot the sequence numbers from `first` on. */
  fill(slot: number, first: number): void {
    const view = this.#view;
    const stride = this.#messageBytes;
    let at = slot * this.frameBytes + this.#sequenceAt;
    const end = first + this.#messagesPerFrame;
    for (let sequence = first; sequence < end; sequence += 1) {
      view.setUint32(at, sequence);
      at += stride;
    }
    if (this.#option !== undefined) this.#fillOption(this.#option, slot, first);
  }

  /** Messages with the option `at` are sent at these times. */
  sendAt(times: SendTimes): void {
    this.#option?.sendAt(times);
  }

  #fillOption(option: OptionField, slot: number, first: number): void {
    let at = slot * this.frameBytes + this.#optionAt;
    const end = first + this.#messagesPerFrame;
    for (let sequence = first; sequence < end; sequence += 1) {
      option.patch(this.#view, at, sequence);
      at += this.#messageBytes;
    }
  }

  /** The bytes of `count` slots from `slot` on; none of them lies behind the last. */
  frames(slot: number, count: number): Buffer {
    return this.#bytes.subarray(slot * this.frameBytes, (slot + count) * this.frameBytes);
  }

  /** A slot's request id: its place, counted from 1. */
  static idOf(slot: number): number {
    return slot + 1;
  }

  #encode(shape: MessageShape, slot: number): void {
    const bytes = this.frames(slot, 1);
    let at = writeClientHeader(bytes, 0, this.contentBytes);
    at = bytes.writeUInt8(0x94, at);
    at = bytes.writeUInt8(KIND.publish, at);
    at = bytes.writeUInt8(0xce, at);
    at = bytes.writeUInt32BE(PublishRing.idOf(slot), at);
    at = writeText(bytes, at, shape.destination);
    at = bytes.writeUInt8(0xdc, at);
    at = bytes.writeUInt16BE(shape.messagesPerFrame, at);
    for (let message = 0; message < shape.messagesPerFrame; message += 1) {
      const queue = (slot * shape.messagesPerFrame + message) % queuesOf(shape);
      at = bytes.writeUInt8(this.#option === undefined ? 0x94 : 0x95, at);
      at = writeText(bytes, at, tenantName(queue % shape.tenants));
      at = writeText(bytes, at, senderName(queue));
      at = writeText(bytes, at, recipientName(queue));
      at = writePayload(bytes, at, shape.payloadBytes);
      at = this.#option?.encode(bytes, at) ?? at;
    }
  }
}

/** A text of at most 31 bytes. */
function writeText(bytes: Buffer, at: number, text: string): number {
  bytes[at] = 0xa0 | text.length;
  return at + 1 + bytes.write(text, at + 1, 'latin1');
}

function writePayload(bytes: Buffer, at: number, length: number): number {
  let next = at;
  if (length < 0x100) {
    next = bytes.writeUInt8(0xc4, next);
    next = bytes.writeUInt8(length, next);
  } else {
    next = bytes.writeUInt8(0xc5, next);
    next = bytes.writeUInt16BE(length, next);
  }
  for (let position = 0; position < length; position += 1) {
    bytes[next + position] = patternByte(position);
  }
  return next + length;
}
