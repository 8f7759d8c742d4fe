// What users of the SDK hand in and get back.
import type { MESSAGE_STATUS } from '../protocol/kinds.ts';
import type { EventStatusName } from '../protocol/status-events.ts';
import type { UsageNews } from '../protocol/usage-frames.ts';
import type { FairleadClientError } from './error.ts';
import type { WebSocketConstructor } from './socket.ts';

export interface ConnectOptions {
  /** `ws://host:7600`, `wss://…`, or `http(s)://…`; without a path, `/v1/stream`. */
  readonly url: string;
  /** A token, or a function asked for one before every attempt to connect. */
  readonly token?: string | (() => string | Promise<string>);
  /** Send publishes again whose answer was lost with the connection: may make duplicates. Default false. */
  readonly resend?: boolean;
  /** Bytes of publishes that may wait in this client. Past it: clientQueueFull. Default 32 MiB. */
  readonly queueBytesMax?: number;
  /** Longest wait for the connection and the daemon's first frame. Default 10 s. */
  readonly openTimeoutMs?: number;
  /** Silence after which the daemon is asked for a sign of life, and after twice it given up. Default 15 s. */
  readonly heartbeatMs?: number;
  /** Aborting it closes the client at once. */
  readonly signal?: AbortSignal;
  /** Any WebSocket constructor; default the host's own, else that of the package `ws`. */
  readonly WebSocket?: WebSocketConstructor;
}

export interface Message {
  /** Left out with a tenant's own token; a platform token has to name it. */
  readonly tenant?: string;
  /** Messages of one sender to one destination keep their order. */
  readonly sender?: string;
  readonly recipient?: string;
  readonly payload: Uint8Array | string;
  readonly options?: MessageOptions;
}

export interface MessageOptions {
  /** Published again with the same key, a message is not taken twice: the answer is the first one's id. 1 to 255 bytes. */
  readonly idempotencyKey?: string;
  /** Service level, 0 (the highest) to 7. Default 0. */
  readonly level?: number;
  /** What it weighs in its queue and takes of a rate, 1 to 65,535. Default 1. */
  readonly cost?: number;
  /** Not before this moment; a number is ms since the epoch. At most 90 days ahead. */
  readonly sendAt?: Date | number;
  /** How long it may wait, from acceptance or `sendAt`, whichever is later; at most 30 days. Default the destination's. */
  readonly validityMs?: number;
  /** Where status callbacks go: http:// or https://, at most 2,048 bytes. */
  readonly callbackUrl?: string;
  /** The statuses that are told to `callbackUrl`. Default `sent` and every end. */
  readonly callbackEvents?: readonly EventStatusName[];
  /** Messages of one order key keep their order, in place of those of one sender. */
  readonly orderKey?: string;
  /** For usage reports. */
  readonly tag?: string;
}

export interface Published {
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** The idempotency key was known: this is the id of the message that was published first. */
  readonly repeated: boolean;
}

export interface BatchPublished {
  /** By position in the batch; undefined for a refused message. */
  readonly ids: readonly (string | undefined)[];
  /** Positions whose idempotency key was known: their ids are those of earlier messages. */
  readonly repeated: readonly number[];
  readonly refused: readonly { readonly index: number; readonly error: FairleadClientError }[];
}

export type OutcomeName = 'sent' | 'delivered' | 'retry' | 'failed' | 'throttled' | 'notAttempted';

/** How one delivery ended. */
export interface Outcome {
  readonly outcome: OutcomeName;
  /** The gateway's own code, kept with the message. */
  readonly code?: number;
  /** For retry and throttled. */
  readonly retryAfterMs?: number;
  /** For throttled: what rests. Default gateway. */
  readonly scope?: 'gateway' | 'tenant' | 'sender';
}

export type StatusName = keyof typeof MESSAGE_STATUS;

/** Where a message is; times in ms since the epoch. */
export interface MessageStatus {
  /** `unknown` is a status of a newer daemon. */
  readonly status: StatusName | 'unknown';
  readonly attempts: number;
  readonly acceptedMs: number;
  /** When it may be sent, if that is not now. */
  readonly dueMs: number | undefined;
  readonly endedMs: number | undefined;
  /** Why it ended: the gateway's own code or an error number. */
  readonly code: number | undefined;
}

export interface Cancelled {
  readonly cancelled: number;
  /** Those that were not cancelled: messageNotFound, messageEnded or messageInFlight. */
  readonly refused: readonly { readonly id: string; readonly error: FairleadClientError }[];
}

/** What became of a message after it was settled as sent. */
export interface Receipt {
  readonly id: string;
  readonly status: 'delivered' | 'undelivered' | 'failed';
  /** The gateway's own code, kept with the message. */
  readonly code?: number;
}

export interface Receipted {
  readonly applied: number;
  /** Messages that are not known any more, or never were sent. */
  readonly unknown: number;
}

export type { UsageNews };

export interface DaemonLimits {
  readonly publishWindowBytes: number;
  readonly frameBytes: number;
  readonly messagesPerFrame: number;
  readonly creditMax: number;
  readonly payloadBytes: number;
  readonly idsPerFrame: number;
  readonly eventsPerFrame: number;
}

/** Events of a client: `client.on('disconnected', (event) => …)`. */
export interface ClientEvents {
  connected: {
    readonly protocol: number;
    readonly durability: string;
    readonly limits: DaemonLimits;
  };
  /** `retryInMs` is absent when the client will not connect again. */
  disconnected: {
    readonly code: number;
    readonly reason: string;
    readonly retryInMs: number | undefined;
  };
  goAway: { readonly reason: string; readonly retryAfterMs: number };
  /** A trigger of the tenant fired whose action is an event. */
  usage: UsageNews;
  /** A refusal that belongs to no call (a settlement, a credit), or the reason of a final close. */
  error: FairleadClientError;
}
