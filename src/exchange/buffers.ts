/**
 * Spare ArrayBuffers of exchanges: those of a shard travel to the worker and back, and are used again.
 *
 * All have about one size, which grows at once to what was needed and halves when nothing needed
 * more than a quarter of it for a while. At most `spareMax` are kept; the rest is dropped.
 */

/** Exchanges after which an unneeded size is halved. */
const PERIOD = 128;

export interface SpareBuffersOptions {
  /** Smallest size, and the first. */
  bytesMin: number;
  spareMax: number;
}

export class SpareBuffers {
  readonly #bytesMin: number;
  readonly #spareMax: number;
  #spares: ArrayBuffer[] = [];
  #bytes: number;
  #usedMax = 0;
  #returns = 0;

  constructor({ bytesMin, spareMax }: SpareBuffersOptions) {
    this.#bytesMin = bytesMin;
    this.#spareMax = spareMax;
    this.#bytes = bytesMin;
  }

  /** Size of the next new buffer. */
  get bytes(): number {
    return this.#bytes;
  }

  get spares(): number {
    return this.#spares.length;
  }

  take(): ArrayBuffer {
    return this.#spares.pop() ?? new ArrayBuffer(this.#bytes);
  }

  /** Takes a buffer back, of which `usedBytes` were needed. */
  give(buffer: ArrayBuffer, usedBytes: number): void {
    this.#usedMax = Math.max(this.#usedMax, usedBytes);
    if (usedBytes > this.#bytes) this.#resize(buffer.byteLength);
    this.#returns += 1;
    if (this.#returns >= PERIOD) this.#endPeriod();
    const fits = buffer.byteLength >= this.#bytes && buffer.byteLength < 2 * this.#bytes;
    if (fits && this.#spares.length < this.#spareMax) this.#spares.push(buffer);
  }

  #endPeriod(): void {
    if (this.#usedMax < this.#bytes / 4 && this.#bytes > this.#bytesMin) {
      this.#resize(Math.max(this.#bytesMin, this.#bytes / 2));
    }
    this.#usedMax = 0;
    this.#returns = 0;
  }

  #resize(bytes: number): void {
    this.#bytes = bytes;
    this.#spares = [];
  }
}
