/**
 * Messages that may have been sent by an attempt without an end: their next attempt is told to be a
 * possible duplicate, by whichever gateway it goes.
 *
 * Bounded by LIMITS.gatewayDoubts; past it the oldest is forgotten, and its next attempt goes without
 * the flag. A restart forgets all of them.
 */
import { LIMITS } from '../limits.ts';
import type { Job } from './job.ts';

export class Doubts {
  readonly #ids = new Set<string>();

  add(messageId: string): void {
    this.#ids.delete(messageId);
    this.#ids.add(messageId);
    if (this.#ids.size <= LIMITS.gatewayDoubts) return;
    const oldest = this.#ids.values().next();
    if (!oldest.done) this.#ids.delete(oldest.value);
  }

  /** The job, flagged where its message is known here. */
  mark(job: Job): Job {
    if (this.#ids.size === 0 || !this.#ids.has(job.messageId)) return job;
    return { ...job, maybeDuplicate: true };
  }

  /** The message ended: it does not come again. */
  forget(messageId: string): void {
    if (this.#ids.size > 0) this.#ids.delete(messageId);
  }
}
