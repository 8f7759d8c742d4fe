/**
 * WebSocket framing for the load generator (RFC 6455, 5.2). A client has to mask; the key is any
 * 32-bit value (5.3), and with the key 0 the masked bytes are the bytes themselves.
 */
const MASK_BYTES = 4;
const BINARY_FINAL = 0x82;
const PONG_FINAL = 0x8a;

/** Bytes of the header before `length` bytes of content. */
export function clientHeaderBytes(length: number): number {
  if (length < 126) return 2 + MASK_BYTES;
  return length < 0x1_0000 ? 4 + MASK_BYTES : 10 + MASK_BYTES;
}

/** Writes the header of a binary frame, masked with the key 0; returns the place behind it. */
export function writeClientHeader(bytes: Buffer, at: number, length: number): number {
  bytes[at] = BINARY_FINAL;
  let next = at + 2;
  if (length < 126) {
    bytes[at + 1] = 0x80 | length;
  } else if (length < 0x1_0000) {
    bytes[at + 1] = 0x80 | 126;
    next = bytes.writeUInt16BE(length, next);
  } else {
    bytes[at + 1] = 0x80 | 127;
    next = bytes.writeUInt32BE(0, next);
    next = bytes.writeUInt32BE(length, next);
  }
  return bytes.writeUInt32BE(0, next);
}

/** One binary frame. */
export function binaryFrame(content: Uint8Array): Buffer {
  const bytes = Buffer.alloc(clientHeaderBytes(content.length) + content.length);
  bytes.set(content, writeClientHeader(bytes, 0, content.length));
  return bytes;
}

export function pongFrame(content: Uint8Array): Buffer {
  const bytes = binaryFrame(content);
  bytes[0] = PONG_FINAL;
  return bytes;
}

export const OPCODE = { binary: 2, close: 8, ping: 9, pong: 10 } as const;

/**
 * Splits the server's bytes into frames. `next` goes to the next complete frame, whose content lies
 * from `start` to `end`; false when the rest is no complete frame, which then begins at `at`.
 */
export class ServerFrames {
  opcode = 0;
  start = 0;
  end = 0;
  at = 0;

  /** @throws Error at a fragment or a masked frame: the daemon sends neither. */
  next(bytes: Uint8Array, filled: number): boolean {
    const at = this.at;
    if (filled - at < 2) return false;
    const first = bytes[at] as number;
    const second = bytes[at + 1] as number;
    let length = second;
    let start = at + 2;
    if (second === 126) {
      start = at + 4;
      if (start > filled) return false;
      length = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    } else if (second === 127) {
      start = at + 10;
      if (start > filled) return false;
      length = 0;
      for (let place = at + 2; place < start; place += 1) {
        length = length * 256 + (bytes[place] as number);
      }
    } else if (second > 127) {
      throw new Error('the server masked a frame');
    }
    if (start + length > filled) return false;
    if ((first & 0xf0) !== 0x80) throw new Error(`the server sent a frame that begins ${first}`);
    this.opcode = first & 0x0f;
    this.start = start;
    this.end = start + length;
    this.at = this.end;
    return true;
  }
}
