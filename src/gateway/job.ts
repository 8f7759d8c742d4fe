// One delivery on its way through a gateway of the daemon, and how it may end.
import type { SettleOutcome } from '../protocol/frames.ts';

/** What a delivery is settled by; copies of a job share it. */
export interface Ticket {
  readonly settler: Settler;
  readonly subscription: number;
  readonly delivery: number;
  /** Of the payload that was handed out. */
  readonly bytes: number;
  settled: boolean;
}

export interface Settler {
  /** `then` is called when the settlement is on its way to the shard. */
  settle(ticket: Ticket, outcome: WireOutcome, then?: () => void): void;
}

/** An outcome as a settle frame has it, without its delivery. */
export type WireOutcome = Omit<SettleOutcome, 'delivery'>;

/** A message handed out to a gateway, until its outcome is settled. */
export interface Job {
  /** 32 hexadecimal digits. */
  readonly messageId: string;
  readonly destination: string;
  readonly tenant: string;
  readonly sender: string | undefined;
  readonly recipient: string | undefined;
  /** A copy of its own. */
  readonly payload: Uint8Array;
  /** From 1. */
  readonly attempt: number;
  readonly acceptedMs: number;
  readonly expiresMs: number | undefined;
  readonly maybeDuplicate: boolean;
  /** When the shard takes it back, with a margin, by `performance.now()`. */
  readonly leaseEndMs: number;
  readonly ticket: Ticket;
}

/** What became of an attempt. */
export type Result =
  /** The gateway has it; with the ids that it gave to its parts, for receipts. */
  | { readonly kind: 'sent'; readonly ids?: readonly string[] }
  | {
      readonly kind: 'retry';
      readonly code?: number | undefined;
      readonly retryAfterMs?: number | undefined;
    }
  | { readonly kind: 'failed'; readonly code?: number | undefined }
  /** The gateway takes nothing for a while. */
  | {
      readonly kind: 'throttled';
      readonly retryAfterMs: number;
      readonly code?: number | undefined;
    }
  | { readonly kind: 'notAttempted' }
  /** It may have left, and nobody knows whether it arrived. */
  | { readonly kind: 'doubt' };

export type ResultKind = Result['kind'];

export const NOT_ATTEMPTED: Result = { kind: 'notAttempted' };
