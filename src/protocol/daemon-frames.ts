// Decodes the frames that a client receives, kinds 64–69, and encodes those of them that the
// daemon's main thread sends itself; answers and deliveries are encoded by the native core.
import { KIND, PROTOCOL_VERSION } from './kinds.ts';
import { MESSAGE_ID_BYTES } from './message-id.ts';
import { pack, unpack } from './msgpack.ts';

export interface Delivery {
  /** Counts from 1 on each connection, in each shard: once in a subscription. */
  readonly delivery: number;
  readonly messageId: Uint8Array;
  readonly tenant: string;
  readonly sender: string | undefined;
  readonly recipient: string | undefined;
  /** A view of the frame. */
  readonly payload: Uint8Array;
  /** From 1. */
  readonly attempt: number;
  readonly acceptedMs: number;
  /** `DELIVERY_FLAG` bits. */
  readonly flags: number;
  readonly expiresMs: number | undefined;
}

export interface OkFrame {
  readonly kind: 'ok';
  readonly id: number;
  /** Fields after the id: `readPublishOk` and `readSettleOk` know them. */
  readonly result: readonly unknown[];
}

export interface ErrorFrame {
  readonly kind: 'error';
  /** 0 if the request's id is not known. */
  readonly id: number;
  readonly code: number;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>> | undefined;
}

export interface DeliverFrame {
  readonly kind: 'deliver';
  readonly subscription: number;
  readonly deliveries: readonly Delivery[];
}

export interface EventFrame {
  readonly kind: 'event';
  readonly topic: string;
  readonly fields: readonly unknown[];
}

export interface GoAwayFrame {
  readonly kind: 'goAway';
  readonly reason: string;
  readonly retryAfterMs: number;
}

export interface HelloFrame {
  readonly kind: 'hello';
  readonly protocol: number;
  readonly limits: Readonly<Record<string, number>>;
  readonly durability: string;
}

/** A kind of a newer daemon: to be ignored. */
export interface UnknownFrame {
  readonly kind: 'unknown';
  readonly number: number;
  readonly id: number;
}

export type DaemonFrame =
  | OkFrame
  | ErrorFrame
  | DeliverFrame
  | EventFrame
  | GoAwayFrame
  | HelloFrame
  | UnknownFrame;

export interface RefusedMessage {
  /** Position in the publish frame. */
  readonly index: number;
  readonly code: number;
  readonly retryAfterMs: number | undefined;
}

export interface RepeatedMessage {
  readonly index: number;
  readonly messageId: Uint8Array;
}

export interface PublishResult {
  /** None if every message was refused before a batch was opened. */
  readonly firstId: Uint8Array | undefined;
  readonly count: number;
  readonly refused: readonly RefusedMessage[];
  readonly repeated: readonly RepeatedMessage[];
}

export interface SettleResult {
  readonly applied: number;
  readonly unknown: number;
}

/** The bytes are no frame of a daemon that speaks version 1. */
export class BadFrameError extends Error {
  override readonly name = 'BadFrameError';
}

/**
 * Decodes one frame of the daemon. Fields that this version does not know are ignored.
 *
 * @throws BadFrameError
 */
export function decodeDaemonFrame(bytes: Uint8Array): DaemonFrame {
  const fields = unpackFrame(bytes);
  const kind = uint(fields[0], 'kind');
  const id = uint(fields[1], 'id');
  switch (kind) {
    case KIND.ok:
      return { kind: 'ok', id, result: fields.slice(2) };
    case KIND.error:
      return {
        kind: 'error',
        id,
        code: uint(fields[2], 'code'),
        message: text(fields[3], 'message'),
        details: optional(fields[4], 'details', map),
      };
    case KIND.deliver: {
      const deliveries = array(fields[3], 'deliveries').map(readDelivery);
      return { kind: 'deliver', subscription: uint(fields[2], 'subscription'), deliveries };
    }
    case KIND.event:
      return { kind: 'event', topic: text(fields[2], 'topic'), fields: fields.slice(3) };
    case KIND.goAway: {
      const retryAfterMs = uint(fields[3], 'retryAfterMs');
      return { kind: 'goAway', reason: text(fields[2], 'reason'), retryAfterMs };
    }
    case KIND.hello:
      return {
        kind: 'hello',
        protocol: uint(fields[2], 'protocol'),
        limits: readLimits(fields[3]),
        durability: text(fields[4], 'durability'),
      };
    default:
      return { kind: 'unknown', number: kind, id };
  }
}

/** Reads the result of a publish. @throws BadFrameError */
export function readPublishOk({ result }: OkFrame): PublishResult {
  return {
    firstId: optional(result[0], 'first message id', messageId),
    count: uint(result[1], 'count'),
    refused: (optional(result[2], 'refused', array) ?? []).map((entry) => {
      const [index, code, retryAfterMs] = array(entry, 'refused message');
      return {
        index: uint(index, 'index'),
        code: uint(code, 'code'),
        retryAfterMs: optional(retryAfterMs, 'retryAfterMs', uint),
      };
    }),
    repeated: (optional(result[3], 'repeated', array) ?? []).map((entry) => {
      const [index, id] = array(entry, 'repeated message');
      return { index: uint(index, 'index'), messageId: messageId(id, 'message id') };
    }),
  };
}

/** Reads the result of a settle. @throws BadFrameError */
export function readSettleOk({ result }: OkFrame): SettleResult {
  return { applied: uint(result[0], 'applied'), unknown: uint(result[1], 'unknown') };
}

export function encodeHello({
  limits,
  durability,
}: Omit<HelloFrame, 'kind' | 'protocol'>): Uint8Array<ArrayBuffer> {
  return pack([KIND.hello, 0, PROTOCOL_VERSION, limits, durability]);
}

export function encodeError({
  id,
  code,
  message,
  details,
}: Omit<ErrorFrame, 'kind' | 'details'> & {
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}): Uint8Array<ArrayBuffer> {
  return pack([KIND.error, id, code, message, details ?? null]);
}

export function encodeGoAway({
  reason,
  retryAfterMs,
}: Omit<GoAwayFrame, 'kind'>): Uint8Array<ArrayBuffer> {
  return pack([KIND.goAway, 0, reason, retryAfterMs]);
}

function unpackFrame(bytes: Uint8Array): unknown[] {
  let value: unknown;
  try {
    value = unpack(bytes);
  } catch (error) {
    throw new BadFrameError(`the frame of ${bytes.length} bytes is no msgpack`, { cause: error });
  }
  return array(value, 'frame');
}

function readDelivery(value: unknown): Delivery {
  const fields = array(value, 'delivery');
  return {
    delivery: uint(fields[0], 'delivery'),
    messageId: messageId(fields[1], 'message id'),
    tenant: text(fields[2], 'tenant'),
    sender: optional(fields[3], 'sender', text),
    recipient: optional(fields[4], 'recipient', text),
    payload: binary(fields[5], 'payload'),
    attempt: uint(fields[6], 'attempt'),
    acceptedMs: uint(fields[7], 'accepted at'),
    flags: uint(fields[8], 'flags'),
    expiresMs: optional(fields[9], 'expires at', uint),
  };
}

/** Keeps the limits that are numbers: those of a newer daemon may be anything. */
function readLimits(value: unknown): Record<string, number> {
  const limits: Record<string, number> = {};
  for (const [name, limit] of Object.entries(map(value, 'limits'))) {
    if (typeof limit === 'number') limits[name] = limit;
  }
  return limits;
}

function uint(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong(value, field, 'an unsigned integer');
}

function text(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  throw wrong(value, field, 'a string');
}

function binary(value: unknown, field: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw wrong(value, field, 'bytes');
}

function messageId(value: unknown, field: string): Uint8Array {
  const id = binary(value, field);
  if (id.length === MESSAGE_ID_BYTES) return id;
  throw wrong(value, field, `${MESSAGE_ID_BYTES} bytes`);
}

function array(value: unknown, field: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw wrong(value, field, 'an array');
}

function map(value: unknown, field: string): Record<string, unknown> {
  const isMap =
    typeof value === 'object' &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
  if (isMap) return value as Record<string, unknown>;
  throw wrong(value, field, 'a map');
}

function optional<T>(
  value: unknown,
  field: string,
  read: (value: unknown, field: string) => T,
): T | undefined {
  return value === null || value === undefined ? undefined : read(value, field);
}

function wrong(value: unknown, field: string, expected: string): BadFrameError {
  const received = value === null ? 'nil' : Array.isArray(value) ? 'an array' : typeof value;
  return new BadFrameError(`${field} is not ${expected}; received ${received}`);
}
