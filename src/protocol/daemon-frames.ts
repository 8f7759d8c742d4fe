// Decodes the frames that a client receives, kinds 64–69, and encodes those of them that the
// daemon's main thread sends itself; answers and deliveries are encoded by the native core.
import { KIND, PROTOCOL_VERSION } from './kinds.ts';
import { pack, unpack } from './msgpack.ts';
import {
  array,
  BadFrameError,
  binary,
  map,
  messageId,
  optional,
  text,
  uint,
} from './read-fields.ts';

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
  /** Fields after the id: the readers of ok-results.ts know them. */
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
