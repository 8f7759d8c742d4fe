// Encodes the frames that a client sends, kinds 1–7. The daemon decodes them in its native core.
import { KIND, type Outcome, type ReceiptStatus, type ThrottleScope } from './kinds.ts';
import { pack } from './msgpack.ts';

/** Options of one message, under the short keys of the protocol. */
export interface PublishOptions {
  /** Idempotency key, 1 to 255 bytes. */
  readonly k?: string;
  /** Service level, 0 (the highest, and the default) to 7. */
  readonly l?: number;
  /** Cost, 1 (the default) to 65,535. */
  readonly c?: number;
  /** Send not before, ms since the epoch. */
  readonly at?: number;
  /** Validity in ms, up to 30 days. */
  readonly ttl?: number;
  /** URL of the status callback, up to 2,048 bytes. */
  readonly cb?: string;
  /** Statuses that are told to it: bit n is status n, 1 accepted … 10 cancelled. */
  readonly ce?: number;
  /** Order key, a name. */
  readonly o?: string;
  /** Tag for usage, a name. */
  readonly g?: string;
}

export interface PublishMessage {
  /** Left out by a tenant's own token; required of the platform. */
  readonly tenant?: string | undefined;
  readonly sender?: string | undefined;
  readonly recipient?: string | undefined;
  /** At most 64 KiB; a string is sent as UTF-8 and delivered as bytes. */
  readonly payload: Uint8Array | string;
  readonly options?: PublishOptions | undefined;
}

export interface PublishFrame {
  /** 0: no ok is sent. */
  readonly id: number;
  readonly destination: string;
  readonly messages: readonly PublishMessage[];
}

export interface SubscribeFrame {
  readonly id: number;
  /** Chosen by the client, unique on its connection. */
  readonly subscription: number;
  readonly destination: string;
  readonly credit: number;
  /** Takes messages as this gateway. */
  readonly gateway?: string | undefined;
}

export interface CreditFrame {
  readonly id: number;
  readonly subscription: number;
  readonly add: number;
}

export interface SettleOutcome {
  readonly delivery: number;
  readonly outcome: Outcome;
  /** The gateway's own code, for the record. */
  readonly code?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly scope?: ThrottleScope | undefined;
}

export interface SettleFrame {
  readonly id: number;
  readonly subscription: number;
  /** A bare number is a delivery that was sent. */
  readonly outcomes: readonly (number | SettleOutcome)[];
}

/** What became of a message after it was settled as sent. */
export interface MessageReceipt {
  readonly messageId: Uint8Array;
  readonly status: ReceiptStatus;
  /** The gateway's own code, for the record. */
  readonly code?: number | undefined;
}

export interface ReceiptFrame {
  readonly id: number;
  /** At most 4,096, all of one shard. */
  readonly receipts: readonly MessageReceipt[];
}

/** Of cancel and status. */
export interface MessageIdsFrame {
  readonly id: number;
  /** At most 4,096, all of one shard. */
  readonly messageIds: readonly Uint8Array[];
}

export function encodePublish({
  id,
  destination,
  messages,
}: PublishFrame): Uint8Array<ArrayBuffer> {
  return pack([KIND.publish, id, destination, messages.map(messageFields)]);
}

export function encodeSubscribe(frame: SubscribeFrame): Uint8Array<ArrayBuffer> {
  const { id, subscription, destination, credit, gateway } = frame;
  const fields = [KIND.subscribe, id, subscription, destination, credit];
  return pack(gateway === undefined ? fields : [...fields, gateway]);
}

export function encodeCredit({ id, subscription, add }: CreditFrame): Uint8Array<ArrayBuffer> {
  return pack([KIND.credit, id, subscription, add]);
}

export function encodeSettle({ id, subscription, outcomes }: SettleFrame): Uint8Array<ArrayBuffer> {
  return pack([KIND.settle, id, subscription, outcomes.map(outcomeFields)]);
}

export function encodeReceipt({ id, receipts }: ReceiptFrame): Uint8Array<ArrayBuffer> {
  return pack([KIND.receipt, id, receipts.map(receiptFields)]);
}

export function encodeCancel({ id, messageIds }: MessageIdsFrame): Uint8Array<ArrayBuffer> {
  return pack([KIND.cancel, id, messageIds]);
}

/** With no id it asks for a sign of life. */
export function encodeStatus({ id, messageIds }: MessageIdsFrame): Uint8Array<ArrayBuffer> {
  return pack([KIND.status, id, messageIds]);
}

function receiptFields({ messageId, status, code }: MessageReceipt): unknown[] {
  return code === undefined ? [messageId, status] : [messageId, status, code];
}

function messageFields({ tenant, sender, recipient, payload, options }: PublishMessage): unknown[] {
  const fields: unknown[] = [tenant ?? null, sender ?? null, recipient ?? null, payload];
  if (options !== undefined) fields.push(options);
  return fields;
}

function outcomeFields(entry: number | SettleOutcome): number | (number | null)[] {
  if (typeof entry === 'number') return entry;
  const fields: (number | null)[] = [entry.delivery, entry.outcome];
  const { code, retryAfterMs, scope } = entry;
  if ((code ?? retryAfterMs ?? scope) !== undefined) fields.push(code ?? null);
  if ((retryAfterMs ?? scope) !== undefined) fields.push(retryAfterMs ?? null);
  if (scope !== undefined) fields.push(scope);
  return fields;
}
