// The part of a body that was read and waits: for its rest, for the gate, for a backend.
import type { ProxyCounts } from './proxy-counts.ts';

export class HeldBody {
  readonly #counts: ProxyCounts;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(counts: ProxyCounts) {
    this.#counts = counts;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** All of it in one piece; undefined where there is nothing. */
  get whole(): Uint8Array | undefined {
    if (this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0];
  }

  /** Keeps a copy: the listener's bytes are gone when it has handed them over. */
  add(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return;
    this.#parts.push(Buffer.from(chunk));
    this.#bytes += chunk.byteLength;
    this.#counts.heldBytes += chunk.byteLength;
  }

  /** Hands over the parts and holds nothing any more. */
  take(): readonly Uint8Array[] {
    const parts = this.#parts;
    this.#parts = [];
    this.#counts.heldBytes -= this.#bytes;
    this.#bytes = 0;
    return parts;
  }
}
