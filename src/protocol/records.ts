// Reads what a shard stored: keys and records, by the tables of docs/exchange.md. For tools and
// tests; the daemon itself reads records in its native core.
import { crc32c } from './crc32c.ts';
import { unpackAll } from './msgpack.ts';
import { RecordBytes } from './record-bytes.ts';

export { type JournalEntry, readJournal } from './journal.ts';

export const RECORD_HEADER_BYTES = 8;
export const RECORD_VERSION = 1;
export const RECORD_TYPE = { ceiling: 2, through: 3, batch: 16, log: 17, state: 18 } as const;
export type RecordType = keyof typeof RECORD_TYPE;

export const META_IDENTITY = Uint8Array.of(1, 1);
export const META_CEILING = Uint8Array.of(1, 2);
export const META_THROUGH = Uint8Array.of(1, 3);

/** Why a record cannot be used. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
  readonly reason: 'checksum' | 'newerVersion' | 'damaged';

  constructor(reason: 'checksum' | 'newerVersion' | 'damaged', message: string) {
    super(message);
    this.reason = reason;
  }
}

/** What a key of the store names; a sequence may exceed 2⁵³. */
export type RecordKey =
  | { readonly name: 'identity' | 'ceiling' | 'through' }
  | { readonly name: 'batch'; readonly batch: number; readonly firstIndex: number }
  | { readonly name: 'log'; readonly sequence: bigint }
  | { readonly name: 'state'; readonly batch: number };

/** Reads a key; `undefined` if it is none of ours. */
export function readRecordKey(key: Uint8Array): RecordKey | undefined {
  const view = new DataView(key.buffer, key.byteOffset, key.length);
  const u48 = (at: number): number => view.getUint16(at) * 0x1_0000_0000 + view.getUint32(at + 2);
  const shape = key.length === 0 ? '' : `${key[0]}/${key.length}`;
  switch (shape) {
    case '1/2': {
      const name = (['identity', 'ceiling', 'through'] as const)[view.getUint8(1) - 1];
      return name === undefined ? undefined : { name };
    }
    case '2/9':
      return { name: 'batch', batch: u48(1), firstIndex: view.getUint16(7) };
    case '3/9':
      return { name: 'log', sequence: view.getBigUint64(1) };
    case '4/7':
      return { name: 'state', batch: u48(1) };
    default:
      return undefined;
  }
}

export interface RecordHeader {
  readonly type: RecordType;
  readonly version: number;
}

/**
 * Reads a record's header and checks its checksum.
 *
 * @throws RecordError
 */
export function readRecordHeader(value: Uint8Array): RecordHeader {
  if (value.length < RECORD_HEADER_BYTES || value[0] !== 0x46) {
    throw new RecordError('damaged', `a value of ${value.length} bytes has no record header`);
  }
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  const checksum = crc32c(value.subarray(RECORD_HEADER_BYTES), crc32c(value.subarray(0, 4)));
  if (checksum !== view.getUint32(4, true)) {
    throw new RecordError('checksum', 'the record is not what was written: its checksum differs');
  }
  const [, number = 0, version = 0, zero = 0] = value;
  if (version > RECORD_VERSION) {
    const message = `the record has version ${version}; this daemon knows ${RECORD_VERSION}`;
    throw new RecordError('newerVersion', message);
  }
  const types = Object.keys(RECORD_TYPE) as RecordType[];
  const type = types.find((name) => RECORD_TYPE[name] === number);
  if (type === undefined || version !== RECORD_VERSION || zero !== 0) {
    throw new RecordError('damaged', `a record of type ${number}, version ${version}`);
  }
  return { type, version };
}

/** Reads a ceiling or through record. @throws RecordError */
export function decodeMark(value: Uint8Array): bigint {
  const bytes = content(value, ['ceiling', 'through']);
  const mark = bytes.u64();
  bytes.end();
  return mark;
}

export interface BatchMessage {
  readonly index: number;
  readonly destination: string;
  readonly tenant: string;
  readonly sender: string | null;
  readonly recipient: string | null;
  readonly payload: Uint8Array;
}

export interface BatchRecord {
  readonly batch: number;
  readonly acceptedMs: number;
  readonly messages: readonly BatchMessage[];
}

/** Reads a batch record with all its messages. @throws RecordError */
export function decodeBatchRecord(value: Uint8Array): BatchRecord {
  const bytes = content(value, ['batch']);
  const batch = Number(bytes.u64());
  const acceptedMs = Number(bytes.u64());
  const firstIndex = bytes.u16();
  const count = bytes.u16();
  const destinationCount = bytes.u16();
  bytes.u16();
  const destinations = times(destinationCount, () => bytes.text8());
  const slots = times(count, () => {
    const [index, destination] = [bytes.u16(), bytes.u8()];
    bytes.u8();
    return { index, destination: destinations[destination], offset: bytes.u32() };
  });
  const bodies = bytes.take(bytes.u32());
  bytes.end();
  if (slots[0]?.index !== firstIndex) throw new RecordError('damaged', 'the first index differs');
  const messages = slots.map(({ index, destination, offset }, at) => {
    if (destination === undefined) throw new RecordError('damaged', `destination of ${index}`);
    const body = unpackAll(bodies.subarray(offset, slots[at + 1]?.offset ?? bodies.length));
    if (body.length !== 4) throw new RecordError('damaged', `${body.length} values of ${index}`);
    const [tenant, sender, recipient, payload] = body as [string, string, string, Uint8Array];
    return { index, destination, tenant, sender, recipient, payload };
  });
  return { batch, acceptedMs, messages };
}

/** Where a message lives within its shard. */
export interface MessagePlace {
  readonly batch: number;
  readonly index: number;
}

/** Messages with consecutive indexes. */
export interface Run extends MessagePlace {
  readonly length: number;
}

export interface Return extends MessagePlace {
  readonly reason: number;
  readonly attempts: number;
  readonly dueMs: number;
  readonly flags: number;
}

export interface LogRecord {
  readonly returns: readonly Return[];
  readonly settled: readonly { readonly outcome: number; readonly runs: readonly Run[] }[];
  readonly handedOut: readonly Run[];
}

/** Reads a log record. @throws RecordError */
export function decodeLogRecord(value: Uint8Array): LogRecord {
  const bytes = content(value, ['log']);
  let returns: Return[] = [];
  let settled: LogRecord['settled'] = [];
  let handedOut: Run[] = [];
  for (let before = 0; bytes.left > 0; ) {
    const tag = bytes.u8();
    const section = new RecordBytes(bytes.take(bytes.varint()), damaged);
    if (tag <= before || tag > 3)
      throw new RecordError('damaged', `section ${tag} of a log record`);
    before = tag;
    if (tag === 1) returns = readReturns(section);
    else if (tag === 3) handedOut = readRuns(section);
    else {
      settled = times(section.varint(), () => ({
        outcome: section.u8(),
        runs: readRuns(section),
      }));
    }
    section.end();
  }
  return { returns, settled, handedOut };
}

function readReturns(section: RecordBytes): Return[] {
  let expected = 0n;
  return times(section.varint(), () => {
    const key = section.key(expected);
    expected = key + 1n;
    const [reason, attempts] = [section.u8(), section.varint()];
    return { ...place(key), reason, attempts, dueMs: section.varint(), flags: section.u8() };
  });
}

function readRuns(section: RecordBytes): Run[] {
  let expected = 0n;
  return times(section.varint(), () => {
    const key = section.key(expected);
    const length = section.varint();
    expected = key + BigInt(length);
    return { ...place(key), length };
  });
}

function place(key: bigint): MessagePlace {
  return { batch: Number(key >> 16n), index: Number(key & 0xffffn) };
}

export const STATE = { gone: 0, waiting: 1, inFlight: 2, timed: 3 } as const;

export interface StateRecord {
  /** Sequence of the last log record contained. */
  readonly asOf: bigint;
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
  const bytes = content(value, ['state']);
  const asOf = bytes.u64();
  const length = bytes.u16();
  const states: number[] = [];
  for (let runs = bytes.varint(); runs > 0; runs -= 1) {
    const state = bytes.u8();
    const run = bytes.varint();
    const isSound = state <= STATE.timed && run > 0 && run <= length - states.length;
    if (!isSound) throw new RecordError('damaged', `a run of ${run} in state ${state}`);
    for (let at = 0; at < run; at += 1) states.push(state);
  }
  if (states.length !== length) throw new RecordError('damaged', `${states.length} states`);
  const extras = times(bytes.varint(), () => {
    const [index, attempts, dueMs] = [bytes.u16(), bytes.varint(), bytes.varint()];
    return { index, attempts, dueMs, flags: bytes.u8() };
  });
  bytes.end();
  return { asOf, states, extras };
}

function content(value: Uint8Array, types: readonly RecordType[]): RecordBytes {
  const { type } = readRecordHeader(value);
  if (!types.includes(type)) throw new RecordError('damaged', `the record is a ${type}`);
  return new RecordBytes(value.subarray(RECORD_HEADER_BYTES), damaged);
}

function damaged(at: number): RecordError {
  return new RecordError('damaged', `the record is damaged at byte ${at} of its content`);
}

/** Reads a number of elements; the reader throws when the bytes run out, so the count is bounded. */
function times<T>(count: number, read: () => T): T[] {
  const list: T[] = [];
  while (list.length < count) list.push(read());
  return list;
}
