/**
 * What one transaction changes: records of messages as events go by, the items that tell them, and
 * the sequences taken. It reads what is stored, and keeps what it changed until that is stored too.
 */
import type { NewItem } from '../outbound/outbox-records.ts';
import { EVENT_STATUS, type StatusEvent } from '../protocol/status-events.ts';
import type { Environment, Writes } from '../store/environment.ts';
import { type Change, callbackItem } from './callback-item.ts';
import {
  type CallbackRecord,
  decodeCallbackRecord,
  encodeCallbackRecord,
  encodeTaken,
  recordKey,
  takenKey,
  timeKey,
} from './callback-record.ts';
import type { CallbackAccount } from './ports.ts';

const NO_VALUE = new Uint8Array(0);

/** A message of this batch. */
interface Entry {
  readonly id: Uint8Array;
  readonly before: CallbackRecord | undefined;
  now: CallbackRecord | undefined;
}

export interface BatchParts {
  readonly environment: Environment;
  readonly accountOf: (tenant: string) => CallbackAccount | undefined;
  /** The mask of a message that has none. */
  readonly maskOf: (account: CallbackAccount | undefined) => number;
}

/** Statuses after which nothing comes. */
const LAST: readonly number[] = [
  EVENT_STATUS.delivered,
  EVENT_STATUS.expired,
  EVENT_STATUS.cancelled,
];
/** Statuses that a receipt, or a replay, may change. */
const WAITING: readonly number[] = [
  EVENT_STATUS.sent,
  EVENT_STATUS.undelivered,
  EVENT_STATUS.failed,
];

export class CallbackBatch {
  readonly items: NewItem[] = [];
  readonly #parts: BatchParts;
  readonly #entries = new Map<string, Entry>();
  readonly #taken = new Map<number, number>();
  events = 0;
  unknown = 0;

  constructor(parts: BatchParts) {
    this.#parts = parts;
  }

  /** The sequences taken, by shard. */
  get taken(): ReadonlyMap<number, number> {
    return this.#taken;
  }

  /** How many records there are more after it. */
  get added(): number {
    let added = 0;
    for (const { before, now } of this.#entries.values()) {
      added += Number(now !== undefined) - Number(before !== undefined);
    }
    return added;
  }

  get isEmpty(): boolean {
    return this.#taken.size === 0 && this.#entries.size === 0;
  }

  /** The events of one record of a shard. */
  add(shard: number, sequence: number, events: readonly StatusEvent[]): void {
    for (const event of events) this.#event(event);
    this.#taken.set(shard, sequence);
  }

  /**
   * A receipt of a message that its shard has forgotten.
   *
   * @returns whether the message is known here
   */
  late(id: Uint8Array, status: number, code: number | undefined, atMs: number): boolean {
    const entry = this.#entry(id);
    const { now } = entry;
    if (now === undefined) return false;
    const delivered = EVENT_STATUS.delivered;
    // What was delivered stays so, and what failed only a delivery changes.
    const isNews =
      now.status !== delivered && (now.status === EVENT_STATUS.sent || status === delivered);
    if (!isNews) return true;
    const change = { id: hexOf(id), status, code, atMs, attempt: now.attempt, number: now.next };
    entry.now = { ...now, status, next: now.next + 1, late: { status, code, atMs } };
    this.#tell(now, change);
    return true;
  }

  /** A message that was deleted. @returns whether it is known here */
  forget(id: Uint8Array): boolean {
    const entry = this.#entry(id);
    const isKnown = entry.now !== undefined;
    entry.now = undefined;
    return isKnown;
  }

  /**
   * A record that has waited long enough, or is too many.
   *
   * @returns false when an event of this batch says that it waits no more, or anew
   */
  drop(id: Uint8Array): boolean {
    const entry = this.#entry(id);
    const { before, now } = entry;
    if (now === undefined || now.waitsMs === 0 || now.waitsMs !== before?.waitsMs) return false;
    entry.now = undefined;
    return true;
  }

  write(writes: Writes): void {
    for (const { id, before, now } of this.#entries.values()) {
      if (before === now) continue;
      if (before !== undefined && before.waitsMs > 0 && before.waitsMs !== now?.waitsMs) {
        writes.remove(timeKey(before.waitsMs, id));
      }
      if (now === undefined) {
        if (before !== undefined) writes.remove(recordKey(id));
        continue;
      }
      if (now.waitsMs > 0 && now.waitsMs !== before?.waitsMs) {
        writes.put(timeKey(now.waitsMs, id), NO_VALUE);
      }
      writes.put(recordKey(id), encodeCallbackRecord(now));
    }
    for (const [shard, sequence] of this.#taken) writes.put(takenKey(shard), encodeTaken(sequence));
  }

  #event(event: StatusEvent): void {
    this.events += 1;
    const { id, status, code, atMs, attempt } = event;
    const entry = this.#entry(id);
    const record = event.info === undefined ? entry.now : this.#begin(event.info);
    if (record === undefined) {
      this.unknown += 1;
      return;
    }
    const change = { id: hexOf(id), status, code, atMs, attempt, number: record.next };
    this.#tell(record, change);
    const waitsMs = WAITING.includes(status) ? atMs : 0;
    const next = { ...record, status, attempt, next: record.next + 1, waitsMs };
    entry.now = LAST.includes(status) ? undefined : next;
  }

  #begin(info: NonNullable<StatusEvent['info']>): CallbackRecord {
    const { tenant, destination, sender, recipient, callback: url, tag } = info;
    const mask = info.mask ?? this.#parts.maskOf(this.#parts.accountOf(tenant));
    const names = { tenant, destination, sender, recipient, tag };
    return { url, ...names, mask, next: 1, status: 0, attempt: 0, waitsMs: 0, late: undefined };
  }

  #tell(record: CallbackRecord, change: Change): void {
    if (((record.mask >> change.status) & 1) === 0) return;
    const account = this.#parts.accountOf(record.tenant)?.sid;
    this.items.push(callbackItem(record, change, account));
  }

  /** @throws RecordError */
  #entry(id: Uint8Array): Entry {
    const text = hexOf(id);
    const known = this.#entries.get(text);
    if (known !== undefined) return known;
    const value = this.#parts.environment.get(recordKey(id));
    const before = value === undefined ? undefined : decodeCallbackRecord(value);
    const entry = { id, before, now: before };
    this.#entries.set(text, entry);
    return entry;
  }
}

function hexOf(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.length).toString('hex');
}
