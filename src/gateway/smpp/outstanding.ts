/**
 * Requests of one session that wait for their answer, by sequence number.
 *
 * Every request here gets exactly one answer: what the peer said, or `doubt` when its time is over or
 * the session ended. All wait equally long, so one timer for the oldest serves them.
 */
import type { SmppPdu } from './library.ts';
import type { SmppClock } from './types.ts';

/** What became of a request. `unwritten`: the session could not write it. */
export type Answer =
  | { readonly kind: 'answered'; readonly status: number; readonly pdu: SmppPdu }
  | { readonly kind: 'unwritten' }
  | { readonly kind: 'doubt' };

export const UNWRITTEN: Answer = { kind: 'unwritten' };
const DOUBT: Answer = { kind: 'doubt' };

interface Waiting {
  readonly command: string;
  readonly dueMs: number;
  readonly settle: (answer: Answer) => void;
}

/** Sequence numbers are 1 to this, then 1 again. */
const SEQUENCE_MAX = 0x7fff_ffff;

export class Outstanding {
  readonly #clock: SmppClock;
  readonly #timeoutMs: number;
  readonly #onTimeout: (command: string) => void;
  readonly #waiting = new Map<number, Waiting>();
  #sequence = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(clock: SmppClock, timeoutMs: number, onTimeout: (command: string) => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onTimeout = onTimeout;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** The number for the next request; one that is still waited for is passed over. */
  nextSequence(): number {
    do {
      this.#sequence = this.#sequence === SEQUENCE_MAX ? 1 : this.#sequence + 1;
    } while (this.#waiting.has(this.#sequence));
    return this.#sequence;
  }

  add(sequence: number, command: string, settle: (answer: Answer) => void): void {
    const dueMs = this.#clock.nowMs() + this.#timeoutMs;
    this.#waiting.set(sequence, { command, dueMs, settle });
    if (this.#cancelTimer === undefined) this.#arm(this.#timeoutMs);
  }

  /** Gives an answer to its request; false where nothing of this command and number waits. */
  answer(pdu: SmppPdu): boolean {
    const waiting = this.#waiting.get(pdu.sequence);
    if (waiting === undefined) return false;
    if (pdu.command !== `${waiting.command}_resp` && pdu.command !== 'generic_nack') return false;
    this.#waiting.delete(pdu.sequence);
    waiting.settle({ kind: 'answered', status: pdu.status, pdu });
    return true;
  }

  /** The answer came and could not be read: nobody knows what it said. */
  unreadable(sequence: number): boolean {
    const waiting = this.#waiting.get(sequence);
    this.#waiting.delete(sequence);
    waiting?.settle(DOUBT);
    return waiting !== undefined;
  }

  /** Ends all in doubt. */
  end(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { settle } of all) settle(DOUBT);
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
    for (const [sequence, { dueMs, command, settle }] of this.#waiting) {
      if (dueMs > nowMs) {
        if (this.#cancelTimer === undefined) this.#arm(dueMs - nowMs);
        return;
      }
      this.#waiting.delete(sequence);
      settle(DOUBT);
      this.#onTimeout(command);
    }
  }
}
