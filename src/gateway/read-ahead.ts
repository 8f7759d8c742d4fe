/**
 * How many messages a gateway is handed beyond its window. A place that became free has to be told to
 * the shard, flushed, and come back as the next delivery; meanwhile it would be empty. So as many
 * messages wait here as the gateway ends in that time, and no more: at a slow gateway nothing waits
 * that another could send, or that something more urgent should go before.
 */
import { LIMITS } from '../limits.ts';

/** How long that way takes, on a disk that is not the fastest. */
const COVER_MS = 25;
/** How long outcomes are counted before they say how fast the gateway is. */
const PERIOD_MS = 50;

export class ReadAhead {
  #ended = 0;
  #sinceMs: number;
  #messages = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** An attempt has an outcome. */
  ended(): void {
    this.#ended += 1;
  }

  /** Messages beyond the window, 0 to LIMITS.gatewayAhead. */
  messages(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs >= PERIOD_MS) {
      const covered = Math.floor((this.#ended * COVER_MS) / elapsedMs);
      this.#messages = Math.min(covered, LIMITS.gatewayAhead);
      this.#ended = 0;
      this.#sinceMs = nowMs;
    }
    return this.#messages;
  }
}
