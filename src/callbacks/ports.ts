/** What callbacks need of the others; joined in the daemon. */
import type { Logger } from '../base/logger.ts';
import type { RefusedItem } from '../outbound/outbox.ts';
import type { NewItem } from '../outbound/outbox-records.ts';
import type { Environment, Writes } from '../store/environment.ts';

/** Where requests go; an item that was taken is sent until it is received, or its schedule is over. */
export interface CallbackOutbox {
  /**
   * Items and writes in one transaction; resolves when it is flushed, with what was left out.
   *
   * @throws FairleadError outboxFull with retryAfterMs, goingAway: nothing was taken
   */
  put(
    items: readonly NewItem[],
    alsoWrite?: (writes: Writes) => void,
  ): Promise<readonly RefusedItem[]>;
}

/** A tenant's account, if it has one: then its callbacks have the form of accounts. */
export interface CallbackAccount {
  /** `AC` and 32 hexadecimal digits. */
  readonly sid: string;
  /** Statuses that are told where a message does not say; null: the default. */
  readonly callbackStatuses: readonly string[] | null;
}

export interface CallbacksOptions {
  /** DIR/outbound, which the outbox writes too. */
  readonly environment: Environment;
  readonly outbox: CallbackOutbox;
  /** Tells a shard that its events up to this sequence are kept here. */
  readonly eventsTaken: (shard: number, sequence: number) => void;
  readonly accountOf: (tenant: string) => CallbackAccount | undefined;
  /** How long receipts may come after a message was sent, ms. */
  readonly receiptWaitMs: number;
  readonly logger: Logger;
  /** Called when a record is damaged or a write failed: the process has to end. */
  readonly onFatal: (error: Error) => void;
  /** Ms since the epoch. */
  readonly nowMs?: () => number;
  readonly recordsMax?: number;
}

/** What became of a message that its shard has forgotten. */
export interface LateStatus {
  readonly status: 'delivered' | 'undelivered' | 'failed';
  readonly code: number | undefined;
  readonly atMs: number;
}

/** A message that its shard has forgotten, as far as it is known here: nothing of what it said or to whom. */
export interface LateMessage {
  readonly destination: string;
  readonly tenant: string;
  readonly tag: string | null;
  readonly status: LateStatus['status'];
  /** Of the receipt. */
  readonly code: number | null;
  readonly attempts: number;
  /** Ms since the epoch: when it was last sent, and when the receipt came. */
  readonly sentMs: number | null;
  readonly endedMs: number;
}

/** Counts since the start, but for `records`. */
export interface CallbackNumbers {
  readonly records: number;
  readonly events: number;
  /** Put into the outbox. */
  readonly items: number;
  /** Left out by the outbox: their endpoint is disabled, or has too many waiting. */
  readonly refused: number;
  /** Of messages that no record is kept of any more. */
  readonly unknown: number;
  readonly late: number;
  /** Records given up because there were too many. */
  readonly dropped: number;
  /** Bytes of events that wait for the outbox. */
  readonly waitingBytes: number;
}
