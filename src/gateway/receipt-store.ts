/**
 * The receipts that are waited for, on disk, with what is not committed yet in memory: a write is
 * seen at once by every read. Main thread.
 *
 * Bounded in bytes: past the bound the oldest go. Bytes are counted as what LMDB takes for an entry,
 * so the file stays about as large as the bound.
 */
import { LIMITS } from '../limits.ts';
import type { Environment, Writes } from '../store/environment.ts';
import { OUTBOUND_TABLE } from '../store/outbound-tables.ts';
import { decodeReceiptRecord, encodeReceiptRecord, type ReceiptRecord } from './receipt-record.ts';

const BY_ID = OUTBOUND_TABLE.receiptsById;
const BY_TIME = OUTBOUND_TABLE.receiptsByTime;
const HASH_BYTES = 16;
const TIME_BYTES = 8;
/** What the file grows by, both tables together: measured 171–181 while it fills, 195 after as much churn. */
const ENTRY_BYTES = 192;
/** Entries that one transaction drops or sweeps. */
const STEP = 500;

export interface ReceiptStoreOptions {
  readonly environment: Environment;
  /** Called when a write failed: the process has to end. */
  readonly onFatal: (error: Error) => void;
  readonly bytesMax?: number;
}

interface Uncommitted {
  /** Undefined: removed. */
  readonly record: ReceiptRecord | undefined;
}

export class ReceiptStore {
  readonly #environment: Environment;
  readonly #onFatal: (error: Error) => void;
  readonly #entriesMax: number;
  readonly #uncommitted = new Map<string, Uncommitted>();
  #entries: number;
  /** Writes of this turn, and their end. */
  #steps: ((writes: Writes) => void)[] = [];
  #turn: Promise<void> | undefined;

  /** Counts what is there. */
  constructor({ environment, onFatal, bytesMax = LIMITS.receiptBytes }: ReceiptStoreOptions) {
    this.#environment = environment;
    this.#onFatal = onFatal;
    this.#entriesMax = Math.max(1, Math.floor(bytesMax / ENTRY_BYTES));
    this.#entries = environment.count(timeKey(0), tableEnd(BY_TIME));
  }

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#entries * ENTRY_BYTES;
  }

  /** @throws RecordError when the stored record is damaged */
  get(hash: Uint8Array): ReceiptRecord | undefined {
    const uncommitted = this.#uncommitted.get(textOf(hash));
    if (uncommitted !== undefined) return uncommitted.record;
    const value = this.#environment.get(idKey(hash));
    return value === undefined ? undefined : decodeReceiptRecord(value);
  }

  /** Writes in one transaction of this turn; resolves when they are flushed. @throws Error after onFatal */
  async write(
    puts: readonly { readonly hash: Uint8Array; readonly record: ReceiptRecord }[],
    removes: readonly Uint8Array[] = [],
  ): Promise<void> {
    const known = puts.map(({ hash }) => this.get(hash));
    const gone = removes.flatMap((hash) => {
      const record = this.get(hash);
      return record === undefined ? [] : [{ hash, record }];
    });
    const changed: [string, Uncommitted][] = [
      ...puts.map(({ hash, record }): [string, Uncommitted] => [textOf(hash), { record }]),
      ...gone.map(({ hash }): [string, Uncommitted] => [textOf(hash), { record: undefined }]),
    ];
    for (const [text, uncommitted] of changed) this.#uncommitted.set(text, uncommitted);
    this.#entries += known.filter((record) => record === undefined).length - gone.length;
    await this.#withOthers((writes) => {
      for (const [index, { hash, record }] of puts.entries()) {
        const before = known[index];
        // An id that is given again begins anew, also in time.
        if (before !== undefined) writes.remove(timeKey(before.atMs, hash));
        put(writes, hash, record);
      }
      for (const { hash, record } of gone) {
        writes.remove(idKey(hash));
        writes.remove(timeKey(record.atMs, hash));
      }
    });
    for (const [text, uncommitted] of changed) {
      if (this.#uncommitted.get(text) === uncommitted) this.#uncommitted.delete(text);
    }
  }

  /** What a turn of the event loop writes is one transaction: each costs the same however much it has. */
  #withOthers(step: (writes: Writes) => void): Promise<void> {
    this.#steps.push(step);
    this.#turn ??= new Promise((resolve) => setImmediate(resolve)).then(() => this.#commit());
    return this.#turn;
  }

  async #commit(): Promise<void> {
    const steps = this.#steps;
    this.#steps = [];
    this.#turn = undefined;
    try {
      await this.#environment.commitQueued((writes) => {
        for (const step of steps) step(writes);
      });
    } catch (error) {
      this.#onFatal(error as Error);
      throw error;
    }
  }

  /** Drops what is past the bound, the oldest first; resolves with how many. */
  async dropExcess(): Promise<number> {
    const excess = this.#entries - this.#entriesMax;
    return excess > 0 ? await this.#dropOldest(Number.MAX_SAFE_INTEGER, excess) : 0;
  }

  /** Drops what was sent before this time, in steps; resolves with how many. */
  async sweep(beforeMs: number): Promise<number> {
    return await this.#dropOldest(beforeMs, Number.MAX_SAFE_INTEGER);
  }

  async #dropOldest(beforeMs: number, countMax: number): Promise<number> {
    let dropped = 0;
    while (dropped < countMax) {
      const hashes = this.#oldest(beforeMs, Math.min(STEP, countMax - dropped));
      if (hashes.length === 0) break;
      await this.write([], hashes);
      dropped += hashes.length;
    }
    return dropped;
  }

  #oldest(beforeMs: number, count: number): Uint8Array[] {
    const hashes: Uint8Array[] = [];
    this.#environment.refresh();
    for (const { key } of this.#environment.range(timeKey(0), timeKey(beforeMs))) {
      const hash = Buffer.from(key.subarray(1 + TIME_BYTES));
      if (this.get(hash) !== undefined) hashes.push(hash);
      if (hashes.length >= count) break;
    }
    return hashes;
  }
}

function put(writes: Writes, hash: Uint8Array, record: ReceiptRecord): void {
  writes.put(idKey(hash), encodeReceiptRecord(record));
  writes.put(timeKey(record.atMs, hash), Buffer.alloc(1));
}

function idKey(hash: Uint8Array): Uint8Array {
  const key = Buffer.alloc(1 + HASH_BYTES);
  key[0] = BY_ID;
  key.set(hash, 1);
  return key;
}

function timeKey(atMs: number, hash?: Uint8Array): Uint8Array {
  const key = Buffer.alloc(1 + TIME_BYTES + (hash?.length ?? 0));
  key[0] = BY_TIME;
  key.writeBigUInt64BE(BigInt(atMs), 1);
  if (hash !== undefined) key.set(hash, 1 + TIME_BYTES);
  return key;
}

function tableEnd(table: number): Uint8Array {
  return Uint8Array.of(table + 1);
}

function textOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('latin1');
}
