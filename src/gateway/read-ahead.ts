/**
 * How many messages a gateway is handed beyond its window. A place that became free has to be told to
 * the shard, flushed, and come back as the next delivery; meanwhile it would be empty. So as many
 * messages wait here as the gateway ends in that time, and no more: at a slow gateway nothing waits
 * that another could send, or that something more urgent should go before.
 *
 * How long that way takes is the disk's to say: a gateway that had nothing to send in a period is handed
 * more, one at which some always waited is handed less.
 */
import { LIMITS } from '../limits.ts';

/** How long that way takes at first, on a disk that is not the fastest. */
const COVER_MS = 25;
/** How long it is taken to be at most: what waits leaves within this time. */
const COVER_MS_MAX = 100;
/** How long outcomes are counted before they say how fast the gateway is. */
const PERIOD_MS = 50;
const GROWTH = 1.5;
/** What waited in vain goes away by this part a period. */
const SHRINK = 0.25;

export class ReadAhead {
  #ended = 0;
  #sinceMs: number;
  /** The fewest messages that waited at one moment of the period. */
  #least = 0;
  #messages = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** An attempt has an outcome. */
  ended(): void {
    this.#ended += 1;
  }

  /** So many messages wait for a place; 0: and there may be places. */
  waits(count: number): void {
    if (count < this.#least) this.#least = count;
  }

  /** Messages beyond the window, 0 to LIMITS.gatewayAhead. */
  messages(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs >= PERIOD_MS) {
      const perMs = this.#ended / elapsedMs;
      const wanted =
        this.#least === 0
          ? Math.max(perMs * COVER_MS, this.#messages * GROWTH)
          : this.#messages - this.#least * SHRINK;
      const most = Math.min(perMs * COVER_MS_MAX, LIMITS.gatewayAhead);
      this.#messages = Math.max(0, Math.floor(Math.min(wanted, most)));
      this.#ended = 0;
      this.#least = Number.POSITIVE_INFINITY;
      this.#sinceMs = nowMs;
    }
    return this.#messages;
  }
}
