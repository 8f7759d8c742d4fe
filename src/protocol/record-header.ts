// The header that every stored record begins with, by the table of docs/exchange.md.
import { crc32c } from './crc32c.ts';
import { RecordBytes } from './record-bytes.ts';

export const RECORD_HEADER_BYTES = 8;
export const RECORD_TYPE = {
  ceiling: 2,
  through: 3,
  eventsCeiling: 4,
  usageCeiling: 5,
  batch: 16,
  log: 17,
  state: 18,
  keys: 19,
  events: 20,
  usage: 21,
} as const;
export type RecordType = keyof typeof RECORD_TYPE;

/** The version that is written of each type; it and all before it are read. */
export const RECORD_VERSION: Readonly<Record<RecordType, number>> = {
  ceiling: 1,
  through: 1,
  eventsCeiling: 1,
  usageCeiling: 1,
  batch: 2,
  log: 2,
  state: 2,
  keys: 1,
  events: 1,
  usage: 1,
};

/** Why a record cannot be used. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
  readonly reason: 'checksum' | 'newerVersion' | 'damaged';

  constructor(reason: 'checksum' | 'newerVersion' | 'damaged', message: string) {
    super(message);
    this.reason = reason;
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
  const types = Object.keys(RECORD_TYPE) as RecordType[];
  const type = types.find((name) => RECORD_TYPE[name] === number);
  if (type === undefined || version === 0 || zero !== 0) {
    throw new RecordError('damaged', `a record of type ${number}, version ${version}`);
  }
  const known = RECORD_VERSION[type];
  if (version > known) {
    const message = `the record has version ${version}; this daemon knows ${known}`;
    throw new RecordError('newerVersion', message);
  }
  return { type, version };
}

/** What follows the header of a record that is one of `types`. @throws RecordError */
export function readContent(
  value: Uint8Array,
  types: readonly RecordType[],
): { version: number; bytes: RecordBytes } {
  const { type, version } = readRecordHeader(value);
  if (!types.includes(type)) throw new RecordError('damaged', `the record is a ${type}`);
  return { version, bytes: new RecordBytes(value.subarray(RECORD_HEADER_BYTES), damaged) };
}

export function damaged(at: number): RecordError {
  return new RecordError('damaged', `the record is damaged at byte ${at} of its content`);
}

/** Reads a number of elements; the reader throws when the bytes run out, so the count is bounded. */
export function times<T>(count: number, read: () => T): T[] {
  const list: T[] = [];
  while (list.length < count) list.push(read());
  return list;
}
