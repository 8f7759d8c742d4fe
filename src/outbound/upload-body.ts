/**
 * The streamed body of a request: parts wait here until there is a connection, then leave as they come, in
 * chunks or against the length that was said. States: waiting → open → complete.
 */
import type { Link } from './http1-link.ts';

/** Bytes that wait, here or at the socket, before there is no room. */
const WAITING_BYTES = 64 * 1024;
const LAST_CHUNK = '0\r\n\r\n';

export class UploadBody {
  /** All of it was given. */
  isComplete = false;
  #link: Link | undefined;
  readonly #isChunked: boolean;
  #left: number;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  /** `length` in bytes; undefined: it goes in chunks. */
  constructor(length: number | undefined) {
    this.#isChunked = length === undefined;
    this.#left = length ?? Number.POSITIVE_INFINITY;
  }

  get hasRoom(): boolean {
    return (this.#link?.waitingBytes ?? this.#bytes) < WAITING_BYTES;
  }

  /** The head has left: what waits follows it. True where it had no room before and has now. */
  open(link: Link): boolean {
    const hadRoom = this.hasRoom;
    this.#link = link;
    const parts = this.#parts;
    this.#parts = [];
    this.#bytes = 0;
    link.cork();
    for (const part of parts) this.#send(link, part);
    if (this.isComplete) this.#sendLast(link);
    link.uncork();
    return !hadRoom && this.hasRoom;
  }

  /** False: it is more than was said. */
  add(part: Uint8Array): boolean {
    this.#left -= part.byteLength;
    if (this.#left < 0 || this.isComplete) return false;
    if (part.byteLength === 0) return true;
    if (this.#link === undefined) {
      this.#parts.push(part);
      this.#bytes += part.byteLength;
    } else this.#send(this.#link, part);
    return true;
  }

  /** False: it is less than was said. */
  finish(): boolean {
    if (this.isComplete) return true;
    if (!this.#isChunked && this.#left > 0) return false;
    this.isComplete = true;
    if (this.#link !== undefined) this.#sendLast(this.#link);
    return true;
  }

  #send(link: Link, part: Uint8Array): void {
    if (!this.#isChunked) {
      link.writeBytes(part);
      return;
    }
    link.cork();
    link.write(`${part.byteLength.toString(16)}\r\n`);
    link.writeBytes(part);
    link.write('\r\n');
    link.uncork();
  }

  #sendLast(link: Link): void {
    if (this.#isChunked) link.write(LAST_CHUNK);
  }
}
