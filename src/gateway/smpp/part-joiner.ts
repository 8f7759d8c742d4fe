/**
 * Parts of long messages from phones, until all are there.
 *
 * They are in memory only: the peer of a phone sends the next part after the answer to this one. A
 * message whose parts do not all come in time, or that has to make room, is handed over as it is.
 */
import { LIMITS } from '../../limits.ts';
import type { SmppClock } from './types.ts';

export interface Part {
  /** Parts of one message have the same. */
  readonly key: string;
  readonly count: number;
  /** From 1. */
  readonly number: number;
  readonly payload: Uint8Array;
  readonly dataCoding: number;
  readonly header: Uint8Array | null;
  readonly from: string;
  readonly to: string;
}

export interface Joined {
  /** In order of their numbers, at least one. */
  readonly parts: readonly Part[];
  readonly complete: boolean;
}

interface Waiting {
  readonly parts: Map<number, Part>;
  readonly dueMs: number;
}

export class PartJoiner {
  readonly #clock: SmppClock;
  readonly #handOver: (joined: Joined) => void;
  readonly #waiting = new Map<string, Waiting>();
  #bytes = 0;
  #cancelTimer: (() => void) | undefined;

  /** `handOver` gets what no answer waits for any more. */
  constructor(clock: SmppClock, handOver: (joined: Joined) => void) {
    this.#clock = clock;
    this.#handOver = handOver;
  }

  /** Messages with parts here. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Takes a part; the whole message when it was the last one missing. A part that came before is replaced. */
  add(part: Part): Joined | undefined {
    const waiting = this.#waiting.get(part.key) ?? this.#begin(part.key);
    this.#bytes += part.payload.length - (waiting.parts.get(part.number)?.payload.length ?? 0);
    waiting.parts.set(part.number, part);
    if (waiting.parts.size === part.count) {
      this.#remove(part.key, waiting);
      return joinedOf(waiting, true);
    }
    this.#makeRoom();
    return undefined;
  }

  /**
   * Puts back all but `last`, which its sender repeats: the whole message was not taken. Where the
   * repetition came before, the message is whole again and handed over.
   */
  putBack(joined: Joined, last: Part): void {
    for (const part of joined.parts) {
      const whole = part.number === last.number ? undefined : this.add(part);
      if (whole !== undefined) this.#handOver(whole);
    }
  }

  /** Hands over all that is here. */
  flush(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (const key of [...this.#waiting.keys()]) this.#giveUp(key);
  }

  #begin(key: string): Waiting {
    const dueMs = this.#clock.nowMs() + LIMITS.smppPartsWaitMs;
    const waiting = { parts: new Map<number, Part>(), dueMs };
    this.#waiting.set(key, waiting);
    if (this.#cancelTimer === undefined) this.#arm(LIMITS.smppPartsWaitMs);
    return waiting;
  }

  #makeRoom(): void {
    while (this.#waiting.size > LIMITS.smppPartsMessages || this.#bytes > LIMITS.smppPartsBytes) {
      const [oldest] = this.#waiting.keys();
      if (oldest === undefined) return;
      this.#giveUp(oldest);
    }
  }

  #remove(key: string, waiting: Waiting): void {
    this.#waiting.delete(key);
    for (const { payload } of waiting.parts.values()) this.#bytes -= payload.length;
  }

  #giveUp(key: string): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    this.#remove(key, waiting);
    this.#handOver(joinedOf(waiting, false));
  }

  #arm(ms: number): void {
    this.#cancelTimer = this.#clock.after(ms, () => {
      this.#cancelTimer = undefined;
      this.#expire();
    });
  }

  #expire(): void {
    const nowMs = this.#clock.nowMs();
    // Oldest first: a map keeps the order of insertion.
    for (const [key, { dueMs }] of [...this.#waiting]) {
      if (dueMs > nowMs) {
        this.#arm(dueMs - nowMs);
        return;
      }
      this.#giveUp(key);
    }
  }
}

const joinedOf = ({ parts }: Waiting, complete: boolean): Joined => ({
  parts: [...parts.values()].sort((a, b) => a.number - b.number),
  complete,
});
