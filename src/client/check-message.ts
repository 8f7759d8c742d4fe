// Finds what the daemon would refuse, before a message shares a frame with messages of other callers.
import type { PublishMessage } from '../protocol/frames.ts';
import { FairleadClientError } from './error.ts';
import type { Message } from './types.ts';
import { wireOptions } from './wire.ts';

const NAME = /^[A-Za-z0-9._:+@-]{1,128}$/;
/** Upper bound of a message's bytes beside its texts and payload: array, five headers, numbers. */
const MESSAGE_BYTES = 32;
const OPTIONS_BYTES = 96;

/** A message in the form of the wire, with an upper bound of its bytes there. */
export interface Checked {
  readonly wire: PublishMessage;
  readonly bytes: number;
}

/** @throws FairleadClientError invalidName, wrongType, payloadTooLarge */
export function checkMessage(message: Message, payloadBytesMax: number): Checked {
  const { tenant, sender, recipient, payload, options } = message;
  const payloadBytes = bytesOf(payload);
  if (payloadBytes > payloadBytesMax) {
    throw new FairleadClientError(
      'payloadTooLarge',
      `A payload may have ${payloadBytesMax} bytes; this one has ${payloadBytes}.`,
    );
  }
  checkOptionalName('tenant', tenant);
  checkOptionalName('sender', sender);
  checkOptionalName('recipient', recipient);
  // A copy, since callers may use their object again before the frame is made.
  const wire: PublishMessage = { tenant, sender, recipient, payload };
  const names = (tenant?.length ?? 0) + (sender?.length ?? 0) + (recipient?.length ?? 0);
  const bytes = MESSAGE_BYTES + names + payloadBytes;
  if (options === undefined) return { wire, bytes };
  return {
    wire: { ...wire, options: wireOptions(options) },
    bytes: bytes + optionsBytes(options),
  };
}

/** @throws FairleadClientError invalidName */
export function checkName(field: string, name: unknown): string {
  if (typeof name === 'string' && NAME.test(name)) return name;
  throw new FairleadClientError(
    'invalidName',
    `${field} has to be 1 to 128 characters of [A-Za-z0-9._:+@-]; it is ${JSON.stringify(name)}.`,
  );
}

function checkOptionalName(field: string, name: string | undefined): void {
  if (name !== undefined) checkName(field, name);
}

function bytesOf(payload: unknown): number {
  if (payload instanceof Uint8Array) return payload.byteLength;
  if (typeof payload === 'string') return utf8Bytes(payload);
  throw new FairleadClientError('wrongType', 'A payload is a string or a Uint8Array.');
}

function optionsBytes(options: object): number {
  let bytes = OPTIONS_BYTES;
  for (const value of Object.values(options)) {
    if (typeof value === 'string') bytes += utf8Bytes(value);
  }
  return bytes;
}

/** Bytes of a string in UTF-8; a lone surrogate counts 3, as it is encoded. */
function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    // A surrogate pair is 2 units and 4 bytes: 2 a unit. A lone one is 3 bytes: bounded by +2 each.
    bytes += unit < 0x800 ? 1 : 2;
  }
  return bytes;
}
