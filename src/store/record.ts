/**
 * Records that the main thread writes: a record header (docs/exchange.md), then msgpack.
 *
 * msgpack is read only where this daemon wrote it itself.
 */
import { crc32c } from '../protocol/crc32c.ts';
import { pack, unpack } from '../protocol/msgpack.ts';
import { RECORD_HEADER_BYTES, RecordError } from '../protocol/records.ts';

const MARK = 0x46;

/** Record types of the main thread; those of the shards are in protocol/records.ts. */
export const MAIN_RECORD_TYPE = { entity: 32, version: 33, change: 34 } as const;

export interface RecordKind {
  name: string;
  type: number;
  /** The version this daemon writes; it reads no newer one. */
  version: number;
}

export function encodeRecord(kind: RecordKind, value: unknown): Uint8Array {
  const content = pack(value);
  const record = new Uint8Array(RECORD_HEADER_BYTES + content.length);
  record.set([MARK, kind.type, kind.version, 0]);
  record.set(content, RECORD_HEADER_BYTES);
  new DataView(record.buffer).setUint32(4, checksumOf(record), true);
  return record;
}

/** @throws RecordError when the record is damaged or newer than this daemon. */
export function decodeRecord(kind: RecordKind, record: Uint8Array): unknown {
  if (record.length < RECORD_HEADER_BYTES || record[0] !== MARK || record[1] !== kind.type) {
    throw new RecordError('damaged', `a record of type ${kind.name} has no header of its type`);
  }
  checkRecordVersion(kind, record[2] as number);
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  if (checksumOf(record) !== view.getUint32(4, true)) {
    throw new RecordError('checksum', `a record of type ${kind.name} is damaged: checksum differs`);
  }
  return unpack(record.subarray(RECORD_HEADER_BYTES));
}

/** @throws RecordError when `version` is newer than this daemon knows. */
export function checkRecordVersion(kind: { name: string; version: number }, version: number): void {
  if (version > kind.version) {
    throw new RecordError(
      'newerVersion',
      `a record of type ${kind.name} has version ${version}, this daemon knows up to ` +
        `${kind.version}: a newer daemon wrote it; start that one`,
    );
  }
  if (version === 0) {
    throw new RecordError('damaged', `a record of type ${kind.name} is damaged: version 0`);
  }
}

function checksumOf(record: Uint8Array): number {
  return crc32c(record.subarray(RECORD_HEADER_BYTES), crc32c(record.subarray(0, 4)));
}
