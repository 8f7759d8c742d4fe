// What an ok says after its id: which reader fits, only the one who asked knows.
import type { OkFrame } from './daemon-frames.ts';
import { array, messageId, optional, uint } from './read-fields.ts';

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

/** An id of a cancel whose message was not cancelled. */
export interface RefusedCancel {
  /** Position in the cancel frame. */
  readonly index: number;
  /** 3019 unknown or another tenant's, 3020 ended, 3021 being sent. */
  readonly code: number;
}

export interface CancelResult {
  readonly cancelled: number;
  readonly refused: readonly RefusedCancel[];
}

/** Where a message is; times in ms since the epoch. */
export interface StatusEntry {
  /** One of `MESSAGE_STATUS`, or a status of a newer daemon. */
  readonly status: number;
  readonly attempts: number;
  readonly acceptedMs: number;
  /** When it may be sent, if that is not now. */
  readonly dueMs: number | undefined;
  readonly endedMs: number | undefined;
  /** Why it ended: the gateway's own code or an error number. */
  readonly code: number | undefined;
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

/** Reads the result of a settle or a receipt. @throws BadFrameError */
export function readSettleOk({ result }: OkFrame): SettleResult {
  return { applied: uint(result[0], 'applied'), unknown: uint(result[1], 'unknown') };
}

/** Reads the result of a cancel. @throws BadFrameError */
export function readCancelOk({ result }: OkFrame): CancelResult {
  return {
    cancelled: uint(result[0], 'cancelled'),
    refused: (optional(result[1], 'refused', array) ?? []).map((entry) => {
      const [index, code] = array(entry, 'refused id');
      return { index: uint(index, 'index'), code: uint(code, 'code') };
    }),
  };
}

/** Reads the result of a status: an entry for each id, none for an unknown one. @throws BadFrameError */
export function readStatusOk({ result }: OkFrame): (StatusEntry | undefined)[] {
  return array(result[0], 'entries').map((entry) => optional(entry, 'entry', readStatusEntry));
}

function readStatusEntry(value: unknown): StatusEntry {
  const [status, attempts, acceptedMs, dueMs, endedMs, code] = array(value, 'entry');
  return {
    status: uint(status, 'status'),
    attempts: uint(attempts, 'attempts'),
    acceptedMs: uint(acceptedMs, 'accepted at'),
    dueMs: optional(dueMs, 'due at', uint),
    endedMs: optional(endedMs, 'ended at', uint),
    code: optional(code, 'code', uint),
  };
}
