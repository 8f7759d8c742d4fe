// Finds what the daemon would refuse, before a message shares a frame with messages of other callers.
import type { PublishMessage } from '../protocol/frames.ts';
import { checkOptions } from './check-options.ts';
import { checkName, utf8Bytes } from './check-text.ts';
import { FairleadClientError } from './error.ts';
import type { Message } from './types.ts';

/** Upper bound of a message's bytes beside its texts and payload: array, five headers, numbers. */
const MESSAGE_BYTES = 32;

/** A message in the form of the wire, with an upper bound of its bytes there. */
export interface Checked {
  readonly wire: PublishMessage;
  readonly bytes: number;
}

/** @throws FairleadClientError invalidName, wrongType, payloadTooLarge, or as checkOptions */
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
  const checked = checkOptions(options);
  return { wire: { ...wire, options: checked.wire }, bytes: bytes + checked.bytes };
}

function checkOptionalName(field: string, name: string | undefined): void {
  if (name !== undefined) checkName(field, name);
}

function bytesOf(payload: unknown): number {
  if (payload instanceof Uint8Array) return payload.byteLength;
  if (typeof payload === 'string') return utf8Bytes(payload);
  throw new FairleadClientError('wrongType', 'A payload is a string or a Uint8Array.');
}

export function isList(messages: Message | readonly Message[]): messages is readonly Message[] {
  return Array.isArray(messages);
}
