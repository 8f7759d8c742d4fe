// What users of the SDK hand in and get back.
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
  readonly idempotencyKey?: string;
  readonly level?: string;
  /** What it counts against the quota. Default 1. */
  readonly cost?: number;
  /** Not before this moment, ms since the epoch. */
  readonly sendAtMs?: number;
  readonly validityMs?: number;
  readonly callbackUrl?: string;
  readonly orderKey?: string;
  readonly tag?: string;
}

export interface Published {
  /** 32 hexadecimal digits. */
  readonly id: string;
}

export interface BatchPublished {
  /** By position in the batch; undefined for a refused message. */
  readonly ids: readonly (string | undefined)[];
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

export interface DaemonLimits {
  readonly publishWindowBytes: number;
  readonly frameBytes: number;
  readonly messagesPerFrame: number;
  readonly creditMax: number;
  readonly payloadBytes: number;
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
  /** A refusal that belongs to no call (a settlement, a credit), or the reason of a final close. */
  error: FairleadClientError;
}
