// Message ids: 16 bytes, whose last two are the message's index in its batch. Browsers read this too.

export const MESSAGE_ID_BYTES = 16;

/** 32 lower-case hexadecimal digits. */
export function messageIdToText(id: Uint8Array): string {
  if (id.length !== MESSAGE_ID_BYTES) throw new TypeError(`a message id of ${id.length} bytes`);
  let text = '';
  for (const byte of id) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** The bytes of a text that `messageIdToText` made, or `undefined` for any other text. */
export function messageIdFromText(text: string): Uint8Array | undefined {
  if (!/^[0-9a-fA-F]{32}$/.test(text)) return undefined;
  return Uint8Array.from({ length: MESSAGE_ID_BYTES }, (_, at) =>
    Number.parseInt(text.slice(2 * at, 2 * at + 2), 16),
  );
}

/** The id of the message at `position` in the frame whose first message has the id `first`. */
export function messageIdAt(first: Uint8Array, position: number): Uint8Array {
  const id = first.slice();
  const high = MESSAGE_ID_BYTES - 2;
  const index = ((id[high] ?? 0) << 8) + (id[high + 1] ?? 0) + position;
  if (index > 0xffff) throw new RangeError(`index ${index} does not fit a message id`);
  id[high] = index >> 8;
  id[high + 1] = index & 0xff;
  return id;
}
