// Stored records on their way back into the native core: journals of puts, of bounded size.
import type { Entry } from '../store/environment.ts';

/** Where recovered records go. */
export type TakeChunk = (chunk: Uint8Array) => void;

const CHUNK_BYTES = 4 * 1024 * 1024;
const COUNT_BYTES = 4;
const ENTRY_HEADER_BYTES = 8;
const PUT = 1;

/** Collects puts in the form of a journal and hands them on when 4 MiB are full. */
export class JournalChunk {
  readonly #take: TakeChunk;
  #bytes = new Uint8Array(CHUNK_BYTES);
  #used = COUNT_BYTES;
  #entries = 0;

  constructor(take: TakeChunk) {
    this.#take = take;
  }

  put({ key, value }: Entry): void {
    const needed = ENTRY_HEADER_BYTES + key.length + value.length;
    if (this.#used + needed > this.#bytes.length) this.flush();
    if (this.#used + needed > this.#bytes.length)
      this.#bytes = new Uint8Array(COUNT_BYTES + needed);
    const at = this.#used;
    this.#bytes.set([PUT, key.length & 0xff, key.length >> 8, 0], at);
    new DataView(this.#bytes.buffer).setUint32(at + 4, value.length, true);
    this.#bytes.set(key, at + ENTRY_HEADER_BYTES);
    this.#bytes.set(value, at + ENTRY_HEADER_BYTES + key.length);
    this.#used = at + needed;
    this.#entries += 1;
  }

  flush(): void {
    if (this.#entries === 0) return;
    new DataView(this.#bytes.buffer).setUint32(0, this.#entries, true);
    this.#take(this.#bytes.subarray(0, this.#used));
    this.#used = COUNT_BYTES;
    this.#entries = 0;
  }
}
