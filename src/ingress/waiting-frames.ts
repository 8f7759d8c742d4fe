/**
 * Frames of one connection that wait behind a destination being made, so that order holds: later
 * frames to that destination, and credit or settlements of a subscription to it, stand behind them.
 * Bounded in frames and bytes. Owned by the connection; gone with it.
 */
import { BOUNDS } from './bounds.ts';

interface Line {
  readonly frames: Uint8Array[];
  readonly subscriptions: Set<number>;
}

export class WaitingFrames {
  readonly #lines = new Map<string, Line>();
  #frames = 0;
  #bytes = 0;

  get empty(): boolean {
    return this.#lines.size === 0;
  }

  has(destination: string): boolean {
    return this.#lines.has(destination);
  }

  /** The destination whose subscribe frame with this number waits. */
  destinationOf(subscription: number): string | undefined {
    for (const [destination, { subscriptions }] of this.#lines) {
      if (subscriptions.has(subscription)) return destination;
    }
    return undefined;
  }

  /** Copies the frame. False: the bound is reached, nothing was taken. */
  add(destination: string, frame: Uint8Array, subscription?: number): boolean {
    if (this.#frames >= BOUNDS.waitingFrames) return false;
    if (this.#bytes + frame.byteLength > BOUNDS.waitingBytes) return false;
    let line = this.#lines.get(destination);
    if (line === undefined) {
      line = { frames: [], subscriptions: new Set() };
      this.#lines.set(destination, line);
    }
    line.frames.push(frame.slice());
    if (subscription !== undefined) line.subscriptions.add(subscription);
    this.#frames += 1;
    this.#bytes += frame.byteLength;
    return true;
  }

  /** Hands over a destination's frames in their order; nothing waits for it any more. */
  take(destination: string): readonly Uint8Array[] {
    const frames = this.#lines.get(destination)?.frames ?? [];
    this.#lines.delete(destination);
    this.#frames -= frames.length;
    for (const frame of frames) this.#bytes -= frame.byteLength;
    return frames;
  }
}
