/** What is kept of a message with a callback, and its keys in the environment of outgoing requests. */
import { OUTBOUND_TABLE } from '../store/outbound-tables.ts';
import { decodeRecord, encodeRecord, type RecordKind } from '../store/record.ts';

export interface CallbackRecord {
  readonly url: string;
  readonly tenant: string;
  readonly destination: string;
  readonly sender: string | undefined;
  readonly recipient: string | undefined;
  readonly tag: string | undefined;
  /** Bit n: status n is told. */
  readonly mask: number;
  /** Number of the message's next event, from 1. */
  readonly next: number;
  /** The status of its last event. */
  readonly status: number;
  readonly attempt: number;
  /** Since when only a receipt may still change it, ms; 0: it is not sent yet. */
  readonly waitsMs: number;
  /** What a receipt said after the shard had forgotten the message. */
  readonly late:
    | { readonly status: number; readonly code: number | undefined; readonly atMs: number }
    | undefined;
}

const RECORD: RecordKind = { name: 'callback record', type: 46, version: 1 };
const TAKEN: RecordKind = { name: 'callbacks taken', type: 47, version: 1 };

const ID_BYTES = 16;
const TIME_BYTES = 6;
const PART = { record: 0, time: 1 } as const;

type Fields = [
  url: string,
  tenant: string,
  destination: string,
  sender: string | null,
  recipient: string | null,
  tag: string | null,
  mask: number,
  next: number,
  status: number,
  attempt: number,
  waitsMs: number,
  late: [status: number, code: number | null, atMs: number] | null,
];

export function encodeCallbackRecord(record: CallbackRecord): Uint8Array {
  const { url, tenant, destination, sender, recipient, tag, mask, next, status } = record;
  const { attempt, waitsMs, late } = record;
  const names = [sender ?? null, recipient ?? null, tag ?? null] as const;
  const told: Fields[11] = late === undefined ? null : [late.status, late.code ?? null, late.atMs];
  return encodeRecord(RECORD, [
    url,
    tenant,
    destination,
    ...names,
    mask,
    next,
    status,
    attempt,
    waitsMs,
    told,
  ] satisfies Fields);
}

/** @throws RecordError */
export function decodeCallbackRecord(value: Uint8Array): CallbackRecord {
  const fields = decodeRecord(RECORD, value) as Fields;
  const [url, tenant, destination, sender, recipient, tag, mask, next, ...rest] = fields;
  const [status, attempt, waitsMs, late] = rest;
  return {
    url,
    tenant,
    destination,
    sender: sender ?? undefined,
    recipient: recipient ?? undefined,
    tag: tag ?? undefined,
    mask,
    next,
    status,
    attempt,
    waitsMs,
    late:
      late === null ? undefined : { status: late[0], code: late[1] ?? undefined, atMs: late[2] },
  };
}

/** Key of a message's record. */
export function recordKey(id: Uint8Array): Uint8Array {
  const key = new Uint8Array(2 + ID_BYTES);
  key.set([OUTBOUND_TABLE.callbackRecords, PART.record]);
  key.set(id, 2);
  return key;
}

/** Key that says since when a message waits for a receipt; its value is empty. */
export function timeKey(waitsMs: number, id: Uint8Array): Uint8Array {
  const key = Buffer.alloc(2 + TIME_BYTES + ID_BYTES);
  key.set([OUTBOUND_TABLE.callbackRecords, PART.time]);
  key.writeUIntBE(waitsMs, 2, TIME_BYTES);
  key.set(id, 2 + TIME_BYTES);
  return key;
}

/** Of a `timeKey`. */
export function idOfTimeKey(key: Uint8Array): Uint8Array {
  return key.slice(2 + TIME_BYTES);
}

/** Of a `timeKey`. */
export function waitsMsOf(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.length).readUIntBE(2, TIME_BYTES);
}

/** Keys of all records. */
export function allRecords(): { start: Uint8Array; end: Uint8Array } {
  const table = OUTBOUND_TABLE.callbackRecords;
  return { start: Uint8Array.of(table, PART.record), end: Uint8Array.of(table, PART.time) };
}

/** Keys of messages that have waited since before `beforeMs`, the oldest first. */
export function waitingBefore(beforeMs: number): { start: Uint8Array; end: Uint8Array } {
  const start = Uint8Array.of(OUTBOUND_TABLE.callbackRecords, PART.time);
  return { start, end: timeKey(Math.max(0, beforeMs), new Uint8Array(ID_BYTES)) };
}

/** Key of the last sequence that was taken of a shard's events. */
export function takenKey(shard: number): Uint8Array {
  return Uint8Array.of(OUTBOUND_TABLE.callbacksTaken, shard >> 8, shard & 0xff);
}

export function encodeTaken(sequence: number): Uint8Array {
  return encodeRecord(TAKEN, sequence);
}

/** @throws RecordError */
export function decodeTaken(value: Uint8Array): number {
  return decodeRecord(TAKEN, value) as number;
}
