/**
 * Makes the journals of exchanges durable, in order, each journal in one transaction as a whole.
 *
 * `flushed` and `memory`: the thread commits all journals of one turn of its event loop as one
 * transaction and waits for the disk itself. While it waits, input gathers on the main thread, so
 * exchanges grow with the load; a second thread for the flush cost 35–45 µs of CPU an exchange
 * more and could only overlap the step. `committed`: LMDB's thread, because the flush then goes on
 * behind the answer; and wherever the thread may not wait for the disk, as the main one.
 */
import { LIMITS } from '../limits.ts';
import { readJournal } from '../protocol/journal.ts';
import type { Environment, Writes } from '../store/environment.ts';

/** A journal without entries is its count alone. */
const EMPTY_JOURNAL_BYTES = 4;

/** Room for a journal is made in steps, kept for the next, but not when it was unusually large. */
const ROOM_STEP_BYTES = 256 * 1024;
const SPARE_STEPS_MAX = 16;

export interface JournalOptions {
  /** The thread that writes goes on meanwhile. */
  readonly queued: boolean;
  readonly roomStepBytes?: number;
  /** Rooms that are kept; one for each exchange that can be under way. */
  readonly spareMax?: number;
}

interface Staged {
  exchange: number;
  journal: Uint8Array;
}

export class Journal {
  readonly #environment: Environment;
  readonly #queued: boolean;
  readonly #roomStepBytes: number;
  readonly #spareMax: number;
  readonly #spare: ArrayBuffer[] = [];
  /** Journals of this turn. */
  #staged: Staged[] = [];
  /** Settles when all that was staged so far is durable. */
  #durable: Promise<void> = Promise.resolve();
  /** The transaction of this turn is under way to be written. */
  #scheduled = false;
  #lastStaged = 0;
  #committed = 0;

  constructor(environment: Environment, options: JournalOptions) {
    this.#environment = environment;
    this.#queued = options.queued;
    this.#roomStepBytes = options.roomStepBytes ?? ROOM_STEP_BYTES;
    this.#spareMax = options.spareMax ?? LIMITS.exchangesInFlight;
  }

  /** Newest exchange whose transaction can be read. */
  get committed(): number {
    return this.#committed;
  }

  /**
   * Takes the journal of an exchange, which `take` writes into the room it is given.
   *
   * @returns settles when this exchange and all before it are as durable as the mode says
   */
  stage(exchange: number, bytes: number, take: (room: Uint8Array) => void): Promise<void> {
    const isEmpty = bytes <= EMPTY_JOURNAL_BYTES;
    if (isEmpty && this.#committed === this.#lastStaged) this.#committed = exchange;
    this.#lastStaged = exchange;
    if (isEmpty) return this.#durable;
    const journal = this.#room(bytes);
    take(journal);
    if (this.#queued) return this.#writeQueued(exchange, journal);
    this.#staged.push({ exchange, journal });
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#durable = new Promise((resolve, reject) => {
        setImmediate(() => {
          try {
            this.#writeStaged();
            resolve();
          } catch (error) {
            reject(error);
          }
        });
      });
    }
    return this.#durable;
  }

  #writeStaged(): void {
    const staged = this.#staged;
    this.#staged = [];
    this.#scheduled = false;
    this.#environment.commitNow((writes) => {
      for (const { journal } of staged) apply(journal, writes);
    });
    for (const { journal } of staged) this.#giveBack(journal);
    // Empty exchanges of the same turn stood behind it.
    this.#committed = this.#lastStaged;
  }

  #writeQueued(exchange: number, journal: Uint8Array): Promise<void> {
    const written = this.#environment.commitQueued((writes) => apply(journal, writes));
    const before = this.#durable;
    this.#durable = Promise.all([before, written]).then(() => {
      this.#committed = Math.max(this.#committed, exchange);
      this.#giveBack(journal);
    });
    return this.#durable;
  }

  /** A view of a spare buffer, or of a new one: whole steps, so that it fits the next as well. */
  #room(bytes: number): Uint8Array {
    const spare = this.#spare.pop();
    if (spare !== undefined && spare.byteLength >= bytes) return new Uint8Array(spare, 0, bytes);
    const roomBytes = Math.ceil(bytes / this.#roomStepBytes) * this.#roomStepBytes;
    return new Uint8Array(new ArrayBuffer(roomBytes), 0, bytes);
  }

  #giveBack(journal: Uint8Array): void {
    const room = journal.buffer as ArrayBuffer;
    const isLarge = room.byteLength > SPARE_STEPS_MAX * this.#roomStepBytes;
    const isKept = this.#spare.length < this.#spareMax && !isLarge;
    if (isKept) this.#spare.push(room);
  }
}

function apply(journal: Uint8Array, writes: Writes): void {
  for (const { put, key, value } of readJournal(journal)) {
    if (put) writes.put(key, value);
    else writes.remove(key);
  }
}
