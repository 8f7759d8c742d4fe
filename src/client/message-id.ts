// Message ids: 16 bytes on the wire, 32 hexadecimal digits for users.
import { messageIdFromText } from '../protocol/message-id.ts';
import { FairleadClientError } from './error.ts';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The 32 digits of an id. */
export function idText(id: Uint8Array): string {
  let text = '';
  for (const byte of id) text += HEX[byte];
  return text;
}

/** The bytes of an id. @throws FairleadClientError invalidValue */
export function idBytes(id: unknown): Uint8Array {
  const bytes = typeof id === 'string' ? messageIdFromText(id) : undefined;
  if (bytes !== undefined) return bytes;
  const message = `A message id is 32 hexadecimal digits; it is ${JSON.stringify(id)}.`;
  throw new FairleadClientError('invalidValue', message);
}

/** Ids of a frame's messages: message i has the first id + i in its last two bytes. */
export function idsFrom(first: Uint8Array): (index: number) => string {
  const prefix = idText(first.subarray(0, 14));
  const base = ((first[14] ?? 0) << 8) | (first[15] ?? 0);
  return (index) => {
    const number = base + index;
    return `${prefix}${HEX[(number >> 8) & 0xff]}${HEX[number & 0xff]}`;
  };
}
