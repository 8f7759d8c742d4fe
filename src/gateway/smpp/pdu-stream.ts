/** Cuts what a socket reads into PDUs. A length that no PDU has ends the stream: nothing after it can be found. */
import { LIMITS } from '../../limits.ts';
import { HEADER_BYTES } from './library.ts';

/** The stream is lost: its next PDU cannot be found. */
export class MalformedLengthError extends Error {
  constructor(length: number) {
    super(`malformed length ${length}: a PDU has ${HEADER_BYTES} to ${LIMITS.smppPduBytes} octets`);
  }
}

export class PduStream {
  #rest: Buffer | undefined;

  /** Calls `take` with each PDU that is whole now. Throws MalformedLengthError after those before it. */
  push(chunk: Buffer, take: (frame: Buffer) => void): void {
    const octets = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    let at = 0;
    while (at + 4 <= octets.length) {
      const length = octets.readUInt32BE(at);
      if (length < HEADER_BYTES || length > LIMITS.smppPduBytes) {
        throw new MalformedLengthError(length);
      }
      if (at + length > octets.length) break;
      take(octets.subarray(at, at + length));
      at += length;
    }
    if (at < octets.length) this.#rest = octets.subarray(at);
  }
}
