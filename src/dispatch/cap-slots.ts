/**
 * Places of caps in the native library's table, which all threads of the process share.
 *
 * A place is not given again before all others were: what another daemon of this process, or one that
 * has ended, left there does not count for a new cap.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Cap } from './price-schemas.ts';

/** What a cap counts: all of it but the value. */
type CountedByCap = Pick<Cap, 'category' | 'by' | 'period'>;

const taken = new Set<number>();
let last = -1;

interface Place {
  readonly slot: number;
  readonly shape: string;
}

export class CapSlots {
  readonly #places = new Map<string, Place>();

  /**
   * The place of a cap, its own from the first call on. One that counts another category, another sum
   * or in other periods has another place: what was reserved before is none of its.
   *
   * @throws FairleadError tooManyEntities
   */
  of(cap: string, { category, by, period }: CountedByCap): number {
    const shape = [category, by, period].join();
    const known = this.#places.get(cap);
    if (known?.shape === shape) return known.slot;
    if (taken.size >= LIMITS.capSlots) {
      const message = `There are ${LIMITS.capSlots} caps, as many as there may be.`;
      throw new FairleadError('tooManyEntities', message);
    }
    do last = (last + 1) % LIMITS.capSlots;
    while (taken.has(last));
    taken.add(last);
    if (known !== undefined) taken.delete(known.slot);
    this.#places.set(cap, { slot: last, shape });
    return last;
  }

  /** The cap is gone, and nobody looks at its place any more. */
  free(cap: string): void {
    const place = this.#places.get(cap);
    if (place !== undefined) taken.delete(place.slot);
    this.#places.delete(cap);
  }

  /** All of them are gone. */
  close(): void {
    for (const cap of [...this.#places.keys()]) this.free(cap);
  }
}
