// Reads batch records, versions 1 and 2, by the tables of docs/exchange.md.
import { unpackAll } from './msgpack.ts';
import { RecordBytes } from './record-bytes.ts';
import { damaged, RecordError, readContent, times } from './record-header.ts';

/** What its publisher asked for beside the message itself. */
export interface MessageOptions {
  readonly cost: number;
  /** 0 (highest) … 7. */
  readonly level: number;
  /** Not before, ms since the epoch; 0: at once. */
  readonly atMs: number;
  /** ms since the epoch; 0: by the destination's validity. */
  readonly expiresMs: number;
  readonly callback: string | null;
  readonly orderKey: string | null;
  readonly tag: string | null;
  /** 16 bytes. */
  readonly keyHash: Uint8Array | null;
}

export interface BatchMessage {
  readonly index: number;
  readonly destination: string;
  readonly tenant: string;
  readonly sender: string | null;
  readonly recipient: string | null;
  readonly payload: Uint8Array;
  readonly options: MessageOptions;
  /** What it said was removed. */
  readonly redacted: boolean;
}

export interface BatchRecord {
  readonly batch: number;
  readonly acceptedMs: number;
  /** Sequence of the first log record that can speak of these messages; 0 (any) in version 1. */
  readonly log: bigint;
  readonly messages: readonly BatchMessage[];
}

const FLAG = { options: 1, redacted: 2 } as const;
const OPTION = {
  cost: 1,
  level: 2,
  at: 4,
  expires: 8,
  callback: 16,
  orderKey: 32,
  tag: 64,
  keyHash: 128,
} as const;
const KEY_HASH_BYTES = 16;
const noOptions: MessageOptions = {
  cost: 1,
  level: 0,
  atMs: 0,
  expiresMs: 0,
  callback: null,
  orderKey: null,
  tag: null,
  keyHash: null,
};

interface Slot {
  readonly index: number;
  readonly destination: string | undefined;
  readonly flags: number;
  readonly offset: number;
}

/** Reads a batch record with all its messages. @throws RecordError */
export function decodeBatchRecord(value: Uint8Array): BatchRecord {
  const { version, bytes } = readContent(value, ['batch']);
  const batch = Number(bytes.u64());
  const acceptedMs = Number(bytes.u64());
  const firstIndex = bytes.u16();
  const count = bytes.u16();
  const destinationCount = bytes.u16();
  bytes.u16();
  const log = version === 1 ? 0n : bytes.u64();
  const destinations = times(destinationCount, () => bytes.text(bytes.u8()));
  const slots = times(count, () => readSlot(bytes, destinations));
  const bodies = bytes.take(bytes.u32());
  bytes.end();
  if (slots[0]?.index !== firstIndex) throw new RecordError('damaged', 'the first index differs');
  const flagsMax = version === 1 ? 0 : FLAG.options | FLAG.redacted;
  const messages = slots.map((slot, at) => {
    if (slot.flags > flagsMax) throw new RecordError('damaged', `flags of ${slot.index}`);
    return readMessage(slot, bodies.subarray(slot.offset, slots[at + 1]?.offset ?? bodies.length));
  });
  return { batch, acceptedMs, log, messages };
}

function readSlot(bytes: RecordBytes, destinations: readonly string[]): Slot {
  const index = bytes.u16();
  const destination = destinations[bytes.u8()];
  return { index, destination, flags: bytes.u8(), offset: bytes.u32() };
}

function readMessage({ index, destination, flags }: Slot, stored: Uint8Array): BatchMessage {
  if (destination === undefined) throw new RecordError('damaged', `destination of ${index}`);
  const bytes = new RecordBytes(stored, damaged);
  const hasOptions = (flags & FLAG.options) !== 0;
  const options = hasOptions ? readOptions(bytes.take(bytes.u16())) : noOptions;
  const body = unpackAll(bytes.take(bytes.left));
  if (body.length !== 4) throw new RecordError('damaged', `${body.length} values of ${index}`);
  const [tenant, sender, recipient, payload] = body as [string, string, string, Uint8Array];
  const redacted = (flags & FLAG.redacted) !== 0;
  return { index, destination, tenant, sender, recipient, payload, options, redacted };
}

function readOptions(stored: Uint8Array): MessageOptions {
  const bytes = new RecordBytes(stored, damaged);
  const mask = bytes.u8();
  const has = (bit: number): boolean => (mask & bit) !== 0;
  const options = {
    cost: has(OPTION.cost) ? bytes.varint() : noOptions.cost,
    level: has(OPTION.level) ? bytes.u8() : noOptions.level,
    atMs: has(OPTION.at) ? bytes.varint() : noOptions.atMs,
    expiresMs: has(OPTION.expires) ? bytes.varint() : noOptions.expiresMs,
    callback: has(OPTION.callback) ? bytes.text(bytes.varint()) : null,
    orderKey: has(OPTION.orderKey) ? bytes.text(bytes.u8()) : null,
    tag: has(OPTION.tag) ? bytes.text(bytes.u8()) : null,
    keyHash: has(OPTION.keyHash) ? bytes.take(KEY_HASH_BYTES) : null,
  };
  bytes.end();
  return options;
}
