/**
 * What the outbox stores. An item is written once, with its body; how far its sending is stands in
 * a small record beside it, which is there only after an attempt that failed.
 */
import { decodeRecord, encodeRecord, type RecordKind } from '../store/record.ts';

/** Whose key signs it. */
export type Signing =
  | { readonly kind: 'standard'; readonly tenant: string }
  | { readonly kind: 'form'; readonly account: string };

export interface NewItem {
  /** `webhook-id`, the same at every attempt. An id that is in the outbox is not taken again. */
  readonly id: string;
  /** Items of one stream are sent one after another, in the order of their putting. */
  readonly stream: string | null;
  readonly url: string;
  readonly method: 'POST' | 'GET';
  readonly contentType: string;
  readonly body: Uint8Array;
  readonly signing: Signing;
  readonly createdMs: number;
}

/** How far the sending of an item is. */
export interface Progress {
  /** Attempts that were made. */
  readonly attempts: number;
  /** When the next one is due; of a failed item: when it failed. */
  readonly dueMs: number;
  /** Since when its schedule runs: its making, or its last replay. */
  readonly sinceMs: number;
  readonly isFailed: boolean;
  /** Why the last attempt failed. */
  readonly error: string;
}

export interface StoredEndpoint {
  readonly url: string;
  readonly disabledMs: number;
}

const ITEM: RecordKind = { name: 'outbox item', type: 40, version: 1 };
const PROGRESS: RecordKind = { name: 'outbox progress', type: 41, version: 1 };
const ENDPOINT: RecordKind = { name: 'outbox endpoint', type: 42, version: 1 };

type ItemFields = [
  id: string,
  stream: string | null,
  url: string,
  method: 'POST' | 'GET',
  contentType: string,
  signing: 0 | 1,
  signer: string,
  createdMs: number,
  body: Uint8Array,
];

export function encodeItem(item: NewItem): Uint8Array {
  const { id, stream, url, method, contentType, signing, createdMs, body } = item;
  const isStandard = signing.kind === 'standard';
  const signer = isStandard ? signing.tenant : signing.account;
  const kind = isStandard ? 0 : 1;
  const fields: ItemFields = [id, stream, url, method, contentType, kind, signer, createdMs, body];
  return encodeRecord(ITEM, fields);
}

/** The body is a view of the record. @throws RecordError */
export function decodeItem(record: Uint8Array): NewItem {
  const [id, stream, url, method, contentType, kind, signer, createdMs, body] = decodeRecord(
    ITEM,
    record,
  ) as ItemFields;
  const signing: Signing =
    kind === 0 ? { kind: 'standard', tenant: signer } : { kind: 'form', account: signer };
  return { id, stream, url, method, contentType, signing, createdMs, body };
}

type ProgressFields = [
  attempts: number,
  dueMs: number,
  sinceMs: number,
  isFailed: boolean,
  error: string,
];

export function encodeProgress({
  attempts,
  dueMs,
  sinceMs,
  isFailed,
  error,
}: Progress): Uint8Array {
  return encodeRecord(PROGRESS, [
    attempts,
    dueMs,
    sinceMs,
    isFailed,
    error,
  ] satisfies ProgressFields);
}

/** @throws RecordError */
export function decodeProgress(record: Uint8Array): Progress {
  const fields = decodeRecord(PROGRESS, record) as ProgressFields;
  const [attempts, dueMs, sinceMs, isFailed, error] = fields;
  return { attempts, dueMs, sinceMs, isFailed, error };
}

export function encodeEndpoint({ url, disabledMs }: StoredEndpoint): Uint8Array {
  return encodeRecord(ENDPOINT, [url, disabledMs]);
}

/** @throws RecordError */
export function decodeEndpoint(record: Uint8Array): StoredEndpoint {
  const [url, disabledMs] = decodeRecord(ENDPOINT, record) as [string, number];
  return { url, disabledMs };
}
