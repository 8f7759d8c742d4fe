// Encodes the frames that a client sends, kinds 1–4. The daemon decodes them in its native core.
import { KIND, type Outcome, type ThrottleScope } from './kinds.ts';
import { pack } from './msgpack.ts';

/** Options of one message: defined by the protocol, refused as notYetSupported by this version. */
export interface PublishOptions {
  /** Idempotency key. */
  readonly k?: string;
  /** Service level. */
  readonly l?: string | number;
  /** Cost. */
  readonly c?: number;
  /** Send not before, ms since the epoch. */
  readonly at?: number;
  /** Validity in ms. */
  readonly ttl?: number;
  /** URL of the status callback. */
  readonly cb?: string;
  /** Order key. */
  readonly o?: string;
  /** Tag for usage. */
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

export function encodePublish({
  id,
  destination,
  messages,
}: PublishFrame): Uint8Array<ArrayBuffer> {
  return pack([KIND.publish, id, destination, messages.map(messageFields)]);
}

export function encodeSubscribe(frame: SubscribeFrame): Uint8Array<ArrayBuffer> {
  const { id, subscription, destination, credit } = frame;
  return pack([KIND.subscribe, id, subscription, destination, credit]);
}

export function encodeCredit({ id, subscription, add }: CreditFrame): Uint8Array<ArrayBuffer> {
  return pack([KIND.credit, id, subscription, add]);
}

export function encodeSettle({ id, subscription, outcomes }: SettleFrame): Uint8Array<ArrayBuffer> {
  return pack([KIND.settle, id, subscription, outcomes.map(outcomeFields)]);
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
