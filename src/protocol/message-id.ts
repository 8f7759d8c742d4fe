// Message ids: 16 bytes, whose last two are the message's index in its batch. Browsers read this too.

export const MESSAGE_ID_BYTES = 16;

/** Each byte as two digits: ids are made and read for every delivery. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** 32 lower-case hexadecimal digits. */
export function messageIdToText(id: Uint8Array): string {
  if (id.length !== MESSAGE_ID_BYTES) throw new TypeError(`a message id of ${id.length} bytes`);
  let text = '';
  for (let at = 0; at < MESSAGE_ID_BYTES; at += 1) text += HEX[id[at] as number];
  return text;
}

/** The bytes of a text that `messageIdToText` made, or `undefined` for any other text. */
export function messageIdFromText(text: string): Uint8Array | undefined {
  if (!/^[0-9a-fA-F]{32}$/.test(text)) return undefined;
  const id = new Uint8Array(MESSAGE_ID_BYTES);
  for (let at = 0; at < MESSAGE_ID_BYTES; at += 1) {
    id[at] = (digitAt(text, 2 * at) << 4) | digitAt(text, 2 * at + 1);
  }
  return id;
}

/** The value of a hexadecimal digit. */
function digitAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  // Letters have the bit 0x40, and 1 to 6 below it.
  return (code & 0x0f) + (code & 0x40 ? 9 : 0);
}

/** The id of the message at `position` in the frame whose first message has the id `first`. */
export function messageIdAt(first: Uint8Array, position: number): Uint8Array {
  // Not slice(): that of a Buffer is the same memory.
  const id = Uint8Array.from(first);
  const high = MESSAGE_ID_BYTES - 2;
  const index = ((id[high] ?? 0) << 8) + (id[high + 1] ?? 0) + position;
  if (index > 0xffff) throw new RangeError(`index ${index} does not fit a message id`);
  id[high] = index >> 8;
  id[high + 1] = index & 0xff;
  return id;
}
