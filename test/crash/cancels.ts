/** Which acknowledged messages a publisher cancels, and when. */
import { idAt } from './message-ids.ts';
import { below, type Random } from './traffic.ts';

/** Ids of one shard, as text. */
export interface Cancel {
  readonly ids: readonly string[];
}

const SHARE = 0.02;
/** Scheduled ones wait, so that a cancel finds them. */
const SCHEDULED_SHARE = 0.25;
const AFTER_MS_MAX = 600;
const IDS_MAX = 64;
const SHARD_DIGITS = 4;

export class Cancels {
  readonly #random: Random;
  #due: { readonly id: string; readonly atMs: number }[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** A message was acknowledged; perhaps it is cancelled soon, or after the next restart. */
  accepted(firstId: string, index: number, scheduledMs: number | undefined): void {
    const share = scheduledMs === undefined ? SHARE : SCHEDULED_SHARE;
    if (this.#random() >= share) return;
    const atMs = performance.now() + below(this.#random, AFTER_MS_MAX);
    this.#due.push({ id: idAt(firstId, index), atMs });
  }

  /** What is due now, of one shard; undefined: nothing. */
  next(): Cancel | undefined {
    const nowMs = performance.now();
    const shard = this.#due.find(({ atMs }) => atMs <= nowMs)?.id.slice(0, SHARD_DIGITS);
    if (shard === undefined) return undefined;
    const ids: string[] = [];
    this.#due = this.#due.filter(({ id, atMs }) => {
      const isDue = atMs <= nowMs && id.startsWith(shard) && ids.length < IDS_MAX;
      if (isDue) ids.push(id);
      return !isDue;
    });
    return { ids };
  }
}
