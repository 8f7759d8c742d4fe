/** Permits that a client of the mass run holds and gives back together. */
import { PERMITS_BYTES } from './mass-frames.ts';
import { LIST_MAX, resourceCap, tenantCap } from './mass-plan.ts';
import type { OnOver, SharedCounts } from './shared-counts.ts';

/** What has happened to them. */
export type HeldStage =
  | 'free'
  /** Counted by the observer, with the daemon's word that they are held. */
  | 'held'
  /** Not counted any more; the daemon has not said yet that they are back. */
  | 'givenBack'
  /** Counted or not, while the daemon is asked whether they may be kept after a cut. */
  | 'claimed';

export class HeldPermits {
  /** Place among those of its client: ids of requests have it. */
  readonly index: number;
  readonly permits = new Uint8Array(PERMITS_BYTES);
  stage: HeldStage = 'free';
  count = 0;
  isCounted = false;
  /** Shared clock, ms: when their lease ends, whatever happens. */
  endMs = 0;
  /** When they stop to hold. */
  leaveMs = 0;
  /** The lease ends by itself. */
  isForgotten = false;
  claimSentMs = 0;
  /** The acquire that they came from, which begins anew when they are gone; −1: none. */
  list = -1;
  readonly #keys = new Uint16Array(LIST_MAX);
  readonly #seats = new Uint8Array(LIST_MAX);
  readonly #askedMs = new Float64Array(LIST_MAX);

  constructor(index: number) {
    this.index = index;
  }

  get isFull(): boolean {
    return this.count === LIST_MAX;
  }

  /** One more, whose permit is in its place already. */
  add(key: number, seats: number, askedMs: number): void {
    this.#keys[this.count] = key;
    this.#seats[this.count] = seats;
    this.#askedMs[this.count] = askedMs;
    this.count += 1;
  }

  /** All are counted. */
  come(counts: SharedCounts, onOver: OnOver): void {
    for (let at = 0; at < this.count; at += 1) {
      const key = this.#keys[at] as number;
      const seats = this.#seats[at] as number;
      const askedMs = this.#askedMs[at] as number;
      counts.come(key, seats, askedMs, onOver);
      counts.come(tenantCap(key), seats, askedMs, onOver);
      counts.come(resourceCap(key), seats, askedMs, onOver);
    }
    this.isCounted = true;
  }

  go(counts: SharedCounts): void {
    if (!this.isCounted) return;
    this.isCounted = false;
    for (let at = 0; at < this.count; at += 1) {
      const key = this.#keys[at] as number;
      const seats = this.#seats[at] as number;
      counts.go(key, seats);
      counts.go(tenantCap(key), seats);
      counts.go(resourceCap(key), seats);
    }
  }
}
