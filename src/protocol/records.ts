// Reads what a shard stored: keys and records, by the tables of docs/exchange.md. For tools and
// tests; the daemon itself reads records in its native core.
import { RECORD_HEADER_BYTES, RecordError, readContent } from './record-header.ts';
import { decodeStatusEvents, type StatusEvent } from './status-events.ts';

export { type JournalEntry, readJournal } from './journal.ts';
export {
  type BatchMessage,
  type BatchRecord,
  decodeBatchRecord,
  type MessageOptions,
} from './record-batch.ts';
export {
  RECORD_HEADER_BYTES,
  RECORD_TYPE,
  RECORD_VERSION,
  RecordError,
  type RecordHeader,
  type RecordType,
  readRecordHeader,
} from './record-header.ts';
export {
  decodeLogRecord,
  type HandedTo,
  type LogRecord,
  type MessagePlace,
  type Return,
  type Run,
} from './record-log.ts';
export {
  decodeKeysRecord,
  decodeStateRecord,
  type KeysRecord,
  STATE,
  type StateRecord,
} from './record-state.ts';

export const META_IDENTITY = Uint8Array.of(1, 1);
export const META_CEILING = Uint8Array.of(1, 2);
export const META_THROUGH = Uint8Array.of(1, 3);
export const META_EVENTS = Uint8Array.of(1, 4);
export const META_USAGE = Uint8Array.of(1, 5);

/** What a key of the store names; a sequence may exceed 2⁵³. */
export type RecordKey =
  | { readonly name: 'identity' | 'ceiling' | 'through' | 'eventsCeiling' | 'usageCeiling' }
  | { readonly name: 'batch'; readonly batch: number; readonly firstIndex: number }
  | { readonly name: 'log'; readonly sequence: bigint }
  | { readonly name: 'state'; readonly batch: number }
  | { readonly name: 'events' | 'usage'; readonly sequence: bigint }
  | { readonly name: 'keys'; readonly hour: number; readonly batch: number };

/** Reads a key; `undefined` if it is none of ours. */
export function readRecordKey(key: Uint8Array): RecordKey | undefined {
  const view = new DataView(key.buffer, key.byteOffset, key.length);
  const u48 = (at: number): number => view.getUint16(at) * 0x1_0000_0000 + view.getUint32(at + 2);
  const shape = key.length === 0 ? '' : `${key[0]}/${key.length}`;
  switch (shape) {
    case '1/2': {
      const names = ['identity', 'ceiling', 'through', 'eventsCeiling', 'usageCeiling'] as const;
      const name = names[view.getUint8(1) - 1];
      return name === undefined ? undefined : { name };
    }
    case '2/9':
      return { name: 'batch', batch: u48(1), firstIndex: view.getUint16(7) };
    case '3/9':
      return { name: 'log', sequence: view.getBigUint64(1) };
    case '4/7':
      return { name: 'state', batch: u48(1) };
    case '6/9':
      return { name: 'events', sequence: view.getBigUint64(1) };
    case '10/9':
      return { name: 'usage', sequence: view.getBigUint64(1) };
    case '5/11':
      return { name: 'keys', hour: view.getUint32(1), batch: u48(5) };
    default:
      return undefined;
  }
}

/** Reads an events record. @throws RecordError */
export function decodeEventsRecord(value: Uint8Array): { events: StatusEvent[] } {
  readContent(value, ['events']);
  try {
    return { events: decodeStatusEvents(value.subarray(RECORD_HEADER_BYTES)) };
  } catch (error) {
    throw new RecordError('damaged', error instanceof Error ? error.message : String(error));
  }
}

/** The list of deltas of a usage record, a view. @throws RecordError */
export function readUsageRecord(value: Uint8Array): Uint8Array {
  readContent(value, ['usage']);
  return value.subarray(RECORD_HEADER_BYTES);
}

/** Reads a record that holds one number. @throws RecordError */
export function decodeMark(value: Uint8Array): bigint {
  const { bytes } = readContent(value, ['ceiling', 'through', 'eventsCeiling', 'usageCeiling']);
  const mark = bytes.u64();
  bytes.end();
  return mark;
}
