/**
 * Reads what a shard stored and hands it to the native core in the order of replay: meta, keys,
 * events, usage, states, log, batches (docs/exchange.md), in chunks of the journal's form.
 */
import { JournalChunk, type TakeChunk } from '../exchange/journal-chunk.ts';
import { RECORD_VERSION } from '../protocol/records.ts';
import type { Environment } from '../store/environment.ts';
import { checkRecordVersion } from '../store/record.ts';
import type { RecoveryFigures } from './tasks.ts';

/** First byte of the keys, in the order of replay, with name and newest version of the records. */
const TABLES = [
  [1, 'meta', RECORD_VERSION.through],
  [5, 'keys', RECORD_VERSION.keys],
  [6, 'events', RECORD_VERSION.events],
  [10, 'usage', RECORD_VERSION.usage],
  [4, 'state', RECORD_VERSION.state],
  [3, 'log', RECORD_VERSION.log],
  [2, 'batch', RECORD_VERSION.batch],
] as const;
const BATCH = 2;
const IDENTITY = 1;
/** Place of a batch record's count of messages. */
const BATCH_COUNT_AT = 26;

/**
 * Reads every record once.
 *
 * @throws RecordError when a record is damaged or newer than this daemon
 */
export function recover(environment: Environment, take: TakeChunk): RecoveryFigures {
  const start = performance.now();
  const figures = { records: 0, messages: 0, bytes: 0, ms: 0 };
  const chunk = new JournalChunk(take);
  refuseUnknownKeys(environment);
  for (const [table, name, version] of TABLES) {
    for (const entry of environment.range(Uint8Array.of(table), Uint8Array.of(table + 1))) {
      if (table === 1 && entry.key[1] === IDENTITY) continue;
      checkRecordVersion({ name, version }, entry.value[2] ?? 0);
      chunk.put(entry);
      figures.records += 1;
      figures.bytes += entry.value.length;
      if (table === BATCH) figures.messages += messagesOf(entry.value);
    }
  }
  chunk.flush();
  figures.ms = performance.now() - start;
  return figures;
}

function refuseUnknownKeys(environment: Environment): void {
  // 7 to 9 are the gate's.
  for (const [start, end] of [
    [0, 1],
    [7, 10],
    [11, 255],
  ] as const) {
    for (const { key } of environment.range(Uint8Array.of(start), Uint8Array.of(end))) {
      throw new Error(
        `the store holds a key this daemon does not know (${Buffer.from(key).toString('hex')}): ` +
          'a newer daemon wrote it; start that one',
      );
    }
  }
}

function messagesOf(record: Uint8Array): number {
  if (record.length < BATCH_COUNT_AT + 2) return 0;
  return (record[BATCH_COUNT_AT] as number) + ((record[BATCH_COUNT_AT + 1] as number) << 8);
}
