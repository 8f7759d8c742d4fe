// Reads state records, versions 1 and 2, and keys records, by the tables of docs/exchange.md.
import { RecordError, readContent, times } from './record-header.ts';

/** States of a message; from `sent` on it has ended. */
export const STATE = {
  gone: 0,
  waiting: 1,
  inFlight: 2,
  timed: 3,
  scheduled: 4,
  sent: 8,
  delivered: 9,
  undelivered: 10,
  failed: 11,
  expired: 12,
  cancelled: 13,
  dead: 14,
  givenUp: 15,
} as const;

export interface StateRecord {
  /** Sequence of the last log record contained. */
  readonly asOf: bigint;
  /** Latest end of a message of the batch, ms since the epoch; 0: none known. */
  readonly endedMs: number;
  /** One state an index, from 0. */
  readonly states: readonly number[];
  readonly extras: readonly {
    readonly index: number;
    readonly attempts: number;
    readonly dueMs: number;
    readonly flags: number;
  }[];
}

/** Reads a state record. @throws RecordError */
export function decodeStateRecord(value: Uint8Array): StateRecord {
  const { version, bytes } = readContent(value, ['state']);
  const asOf = bytes.u64();
  const endedMs = version === 1 ? 0 : Number(bytes.u64());
  const stateMax = version === 1 ? STATE.timed : STATE.givenUp;
  const length = bytes.u16();
  const states: number[] = [];
  for (let runs = bytes.varint(); runs > 0; runs -= 1) {
    const state = bytes.u8();
    const run = bytes.varint();
    const isSound = state <= stateMax && run > 0 && run <= length - states.length;
    if (!isSound) throw new RecordError('damaged', `a run of ${run} in state ${state}`);
    for (let at = 0; at < run; at += 1) states.push(state);
  }
  if (states.length !== length) throw new RecordError('damaged', `${states.length} states`);
  const extras = times(bytes.varint(), () => {
    const [index, attempts, dueMs] = [bytes.u16(), bytes.varint(), bytes.varint()];
    return { index, attempts, dueMs, flags: bytes.u8() };
  });
  bytes.end();
  return { asOf, endedMs, states, extras };
}

/** The idempotency keys of one batch. */
export interface KeysRecord {
  readonly keys: readonly {
    /** 16 bytes. */
    readonly hash: Uint8Array;
    /** Index of the key's message. */
    readonly index: number;
  }[];
}

const HASH_BYTES = 16;
/** Indexes of a batch are below it. */
const INDEXES_MAX = 65_535;

/** Reads a keys record. @throws RecordError */
export function decodeKeysRecord(value: Uint8Array): KeysRecord {
  const { bytes } = readContent(value, ['keys']);
  const keys = times(bytes.u32(), () => {
    const hash = bytes.take(HASH_BYTES);
    const index = bytes.u16();
    if (index >= INDEXES_MAX) throw new RecordError('damaged', `a key of message ${index}`);
    return { hash, index };
  });
  bytes.end();
  return { keys };
}
