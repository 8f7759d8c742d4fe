/**
 * One LMDB environment: one database, binary keys and values, one thread that opens, uses and closes it.
 *
 * Two ways to write, never mixed in one environment while writes are under way:
 * - `commitNow`: the thread itself writes, commits and flushes one transaction. Measured on a 16 KiB
 *   and a 500 B put with two removes, alone in its transaction: 88–109 µs of CPU. The thread waits
 *   for the disk meanwhile, so its input gathers and the next transaction covers more.
 * - `commitQueued`: LMDB's own thread does it and a promise tells: 127–157 µs of CPU for the same
 *   (a batch() or a transaction with a call-back costs more), but the thread is free.
 *
 * Values handed to `commitNow` are copied before it returns; those of `commitQueued` are read until
 * its promise settles and must stay as they are.
 */
import { open, type RootDatabase } from 'lmdb';
import { LIMITS } from '../limits.ts';

/** What an answer waits for: `flushed` the disk, `committed` the page cache, `memory` nothing kept. */
export type Durability = 'flushed' | 'committed' | 'memory';

export interface EnvironmentOptions {
  /** Folder of the environment; made when absent. */
  path: string;
  durability: Durability;
  /** Size of the memory map at the start; LMDB grows it when it must, which stalls readers. */
  mapBytes?: number;
  /** Trust flushed transactions only, even when the machine did not restart: for power-cut tests. */
  safeRestore?: boolean;
  /** A queued flush that takes longer rejects. */
  flushTimeoutMs?: number;
}

/** Writes of one transaction. */
export interface Writes {
  put(key: Uint8Array, value: Uint8Array): void;
  remove(key: Uint8Array): void;
}

export interface Entry {
  key: Uint8Array;
  value: Uint8Array;
}

export class Environment {
  readonly #db: RootDatabase<Uint8Array, Uint8Array>;
  readonly #durability: Durability;
  readonly #flushTimeoutMs: number;

  private constructor(db: RootDatabase<Uint8Array, Uint8Array>, options: EnvironmentOptions) {
    this.#db = db;
    this.#durability = options.durability;
    this.#flushTimeoutMs = options.flushTimeoutMs ?? LIMITS.flushTimeoutMs;
  }

  /** @throws Error when LMDB cannot open or make the files. */
  static open(options: EnvironmentOptions): Environment {
    const db = open<Uint8Array, Uint8Array>({
      path: options.path,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      compression: false,
      mapSize: options.mapBytes ?? LIMITS.mapBytes,
      maxDbs: 1,
      maxReaders: 16,
      ...(options.durability === 'memory' ? { noSync: true, overlappingSync: false } : {}),
      ...(options.safeRestore === true ? { safeRestore: true } : {}),
    });
    return new Environment(db, options);
  }

  /** A copy of the committed value, or undefined. */
  get(key: Uint8Array): Uint8Array | undefined {
    return this.#db.getBinary(key);
  }

  /** Lets the next read see the newest commit. */
  refresh(): void {
    this.#db.resetReadTxn();
  }

  /** Committed entries with `start` ≤ key < `end`, in order of key. */
  *range(start: Uint8Array, end: Uint8Array): Generator<Entry, void> {
    yield* this.#db.getRange({ start, end }) as Iterable<Entry>;
  }

  /** How many committed entries have `start` ≤ key < `end`. */
  count(start: Uint8Array, end: Uint8Array): number {
    return this.#db.getKeysCount({ start, end });
  }

  /** Committed entries with `start` ≥ key > `end`, from the highest key down. */
  *rangeDown(start: Uint8Array, end: Uint8Array): Generator<Entry, void> {
    yield* this.#db.getRange({ start, end, reverse: true }) as Iterable<Entry>;
  }

  /**
   * Writes one transaction; when it returns, it is as durable as `flushed` and `memory` say.
   *
   * @throws Error when the transaction failed; the process must then end.
   */
  commitNow(write: (writes: Writes) => void): void {
    const db = this.#db as unknown as Writes;
    this.#db.transactionSync(() => write(db));
  }

  /**
   * Writes one transaction together with all others of this turn of the event loop.
   *
   * @returns settles when it is as durable as the environment's mode says; a rejection, also for a
   * flush that took too long, must end the process.
   */
  async commitQueued(write: (writes: Writes) => void): Promise<void> {
    const db = this.#db;
    let written: Promise<boolean> | undefined;
    write({
      put: (key, value) => {
        written = db.put(key, value);
      },
      remove: (key) => {
        written = db.remove(key);
      },
    });
    if (written === undefined) return;
    // Both are getters of the newest write: they have to be taken in the turn of the write.
    const durable = this.#durability === 'flushed' ? db.flushed.then(() => true) : written;
    written.catch(quietCommitError);
    await withTimeout(Promise.all([written, durable]), this.#flushTimeoutMs);
  }

  /** Waits for what is under way and closes the files. */
  async close(): Promise<void> {
    await this.#db.flushed;
    await this.#db.close();
  }
}

/** A failed commit rejects a second promise that hangs on the error; unheard it would end the thread. */
function quietCommitError(error: unknown): void {
  const second = (error as { commitError?: Promise<never> }).commitError;
  second?.catch(() => {});
}

async function withTimeout(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`a flush took longer than ${timeoutMs} ms`));
    }, timeoutMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
