/**
 * The outside observer: counts holders by what the guarded service saw, and knows the limits by what
 * it asked the daemon for. It does not ask the daemon who holds what.
 *
 * Who comes was let in between its ask and its coming, at a moment when all who are here held already
 * or were let in before: so with it there are at most as many as the largest limit of that time says.
 */
import type { Sighting } from './sightings.ts';

/** One value of a limit: it may hold from when it was asked for until its successor was answered. */
interface Held {
  readonly fromNs: number;
  untilNs: number;
  readonly limit: number;
}

const FAULTS_SHOWN = 10;

/** What a limit was, over time. */
export class LimitHistory {
  readonly #held: Held[] = [];

  /** `sentNs`, `answeredNs`: of the request that set it. */
  set(limit: number, sentNs: number, answeredNs: number): void {
    const last = this.#held.at(-1);
    if (last !== undefined) last.untilNs = answeredNs;
    this.#held.push({ fromNs: sentNs, untilNs: Number.POSITIVE_INFINITY, limit });
  }

  get changes(): number {
    return this.#held.length;
  }

  /** The largest that may have held at some moment of a time. */
  largest(fromNs: number, untilNs: number): number {
    let largest = 0;
    for (let at = this.#held.length - 1; at >= 0; at -= 1) {
      const held = this.#held[at] as Held;
      if (held.untilNs < fromNs) break;
      if (held.fromNs <= untilNs) largest = Math.max(largest, held.limit);
    }
    return largest;
  }
}

export interface Watched {
  /** Those who came, over the whole run. */
  readonly came: number;
  /** Who came where as many were as may be at most: each is an over-admission. */
  readonly over: number;
  /** How often a cap was full to its last seat: only then could it be passed. */
  readonly full: number;
  /** Most seats at one time, of all caps together. */
  readonly peak: number;
  /** Seats that nobody gave back at the end. */
  readonly left: number;
  readonly faults: readonly string[];
}

export interface Caps {
  /** Names of the caps that count a key. */
  readonly of: (key: number) => readonly string[];
  readonly histories: ReadonlyMap<string, LimitHistory>;
}

/** Counts all sightings. */
export function watch(all: Iterable<Sighting>, { of, histories }: Caps): Watched {
  const used = new Map<string, number>();
  const faults: string[] = [];
  const sums = { came: 0, over: 0, full: 0, peak: 0 };
  let total = 0;
  for (const { timeNs, askedNs, seats, key } of all) {
    total += seats;
    sums.peak = Math.max(sums.peak, total);
    if (seats > 0) sums.came += 1;
    for (const cap of of(key)) {
      const now = (used.get(cap) ?? 0) + seats;
      used.set(cap, now);
      if (seats < 0) continue;
      const limit = histories.get(cap)?.largest(askedNs, timeNs) ?? Number.POSITIVE_INFINITY;
      if (now === limit) sums.full += 1;
      if (now <= limit) continue;
      sums.over += 1;
      if (faults.length < FAULTS_SHOWN) {
        faults.push(`${cap}: ${now} seats of at most ${limit} at ${(timeNs / 1e6).toFixed(1)} ms`);
      }
    }
  }
  return { ...sums, left: total, faults };
}
