/**
 * What is stored of a message whose receipt is waited for. Keys are in tables of the outbound
 * environment: `05` + hash of gateway and id → this record; `06` + time + hash → nothing, in order of
 * time.
 *
 * Record, big-endian: u8 0x46 · u8 48 · u8 version (1) · u8 0 · u32 crc32c over the rest and the four bytes
 * before · message id (16) · at ms (u48) · part (u8, from 1) · parts (u8) · u64 parts delivered
 * (a bit each; of the first part's record only, as the next) · first part's hash (16).
 *
 * To change it: another version number, keep reading the old one, write the new one only.
 */
import { hash } from 'node:crypto';
import { crc32c } from '../protocol/crc32c.ts';
import { MESSAGE_ID_BYTES } from '../protocol/message-id.ts';
import { RecordError } from '../protocol/records.ts';

export const HASH_BYTES = 16;
const HEADER_BYTES = 8;
const MARK = 0x46;
const TYPE = 48;
const VERSION = 1;
const AT = HEADER_BYTES + MESSAGE_ID_BYTES;
const PART = AT + 6;
const DELIVERED = PART + 2;
const FIRST = DELIVERED + 8;
const RECORD_BYTES = FIRST + HASH_BYTES;

export interface ReceiptRecord {
  readonly messageId: Uint8Array;
  /** When it was sent, ms since the epoch. */
  readonly atMs: number;
  /** From 1 to `parts`. */
  readonly part: number;
  readonly parts: number;
  /** Bit n: part n + 1 is delivered. Of the first part's record only. */
  readonly delivered: bigint;
  /** Hash of the first part's id. */
  readonly first: Uint8Array;
}

export function encodeReceiptRecord(record: ReceiptRecord): Uint8Array {
  const bytes = Buffer.alloc(RECORD_BYTES);
  bytes.set([MARK, TYPE, VERSION, 0]);
  bytes.set(record.messageId, HEADER_BYTES);
  bytes.writeUIntBE(record.atMs, AT, 6);
  bytes[PART] = record.part;
  bytes[PART + 1] = record.parts;
  bytes.writeBigUInt64BE(record.delivered, DELIVERED);
  bytes.set(record.first, FIRST);
  bytes.writeUInt32BE(checksumOf(bytes), 4);
  return bytes;
}

/** @throws RecordError when it is damaged or newer than this daemon */
export function decodeReceiptRecord(value: Uint8Array): ReceiptRecord {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < HEADER_BYTES || bytes[0] !== MARK || bytes[1] !== TYPE) {
    throw new RecordError('damaged', 'a receipt record has no header of its type');
  }
  if (checksumOf(bytes) !== bytes.readUInt32BE(4)) {
    throw new RecordError('checksum', 'a receipt record is damaged: checksum differs');
  }
  const version = bytes[2] as number;
  if (version > VERSION) {
    throw new RecordError('newerVersion', `a receipt record has version ${version}`);
  }
  if (bytes.length !== RECORD_BYTES) {
    throw new RecordError('damaged', `a receipt record has ${bytes.length} bytes`);
  }
  return {
    messageId: bytes.subarray(HEADER_BYTES, AT),
    atMs: bytes.readUIntBE(AT, 6),
    part: bytes[PART] as number,
    parts: bytes[PART + 1] as number,
    delivered: bytes.readBigUInt64BE(DELIVERED),
    first: bytes.subarray(FIRST),
  };
}

/** Keyed, since gateways choose their ids. */
export function receiptHash(key: Uint8Array, gateway: string, id: string): Buffer {
  // The key in front is enough, as half of the digest is kept; an HMAC costs three times as much.
  const text = `${keyText(key)}\0receipt\0${gateway}\0${id}`;
  return hash('sha256', text, 'buffer').subarray(0, HASH_BYTES);
}

const keyTexts = new WeakMap<Uint8Array, string>();

function keyText(key: Uint8Array): string {
  let text = keyTexts.get(key);
  if (text === undefined) {
    text = Buffer.from(key).toString('hex');
    keyTexts.set(key, text);
  }
  return text;
}

function checksumOf(bytes: Uint8Array): number {
  return crc32c(bytes.subarray(HEADER_BYTES), crc32c(bytes.subarray(0, 4)));
}
