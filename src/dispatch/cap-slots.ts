/**
 * Places of caps in the native library's table, which all threads of the process share.
 *
 * A place is not given again before all others were: what another daemon of this process, or one that
 * has ended, left there does not count for a new cap.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';

const taken = new Set<number>();
let last = -1;

export class CapSlots {
  readonly #slots = new Map<string, number>();

  /** The place of a cap, its own from the first call on. @throws FairleadError tooManyEntities */
  of(cap: string): number {
    const known = this.#slots.get(cap);
    if (known !== undefined) return known;
    if (taken.size >= LIMITS.capSlots) {
      const message = `There are ${LIMITS.capSlots} caps, as many as there may be.`;
      throw new FairleadError('tooManyEntities', message);
    }
    do last = (last + 1) % LIMITS.capSlots;
    while (taken.has(last));
    taken.add(last);
    this.#slots.set(cap, last);
    return last;
  }

  /** The cap is gone, and nobody looks at its place any more. */
  free(cap: string): void {
    const slot = this.#slots.get(cap);
    if (slot !== undefined) taken.delete(slot);
    this.#slots.delete(cap);
  }

  /** All of them are gone. */
  close(): void {
    for (const cap of [...this.#slots.keys()]) this.free(cap);
  }
}
