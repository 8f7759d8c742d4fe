import t from 'tap';
import { crc32c } from '../../src/protocol/crc32c.ts';
import {
  decodeBatchRecord,
  decodeLogRecord,
  decodeMark,
  decodeStateRecord,
  RECORD_TYPE,
  RecordError,
  readJournal,
  readRecordHeader,
  readRecordKey,
} from '../../src/protocol/records.ts';
import { bytesOf, golden, plain } from './golden.ts';

interface Row {
  name: string;
  key: string;
  hex: string;
  meaning: { type: keyof typeof RECORD_TYPE } & Record<string, unknown>;
}
const { records, journal } = golden<{ records: Row[]; journal: { hex: string; meaning: unknown } }>(
  'records.json',
);

/** Consecutive equal states as runs. */
function runsOf(states: readonly number[]): { state: number; length: number }[] {
  const runs: { state: number; length: number }[] = [];
  for (const state of states) {
    const last = runs.at(-1);
    if (last?.state === state) last.length += 1;
    else runs.push({ state, length: 1 });
  }
  return runs;
}

function decode(type: Row['meaning']['type'], value: Uint8Array): object {
  if (type === 'batch') return decodeBatchRecord(value);
  if (type === 'log') return decodeLogRecord(value);
  if (type !== 'state') return { value: decodeMark(value) };
  const { asOf, states, extras } = decodeStateRecord(value);
  return { asOf, runs: runsOf(states), extras };
}

t.test('records mean what the golden file says', async (t) => {
  for (const { name, key, hex, meaning } of records) {
    const value = bytesOf(hex);
    t.same(readRecordHeader(value), { type: meaning.type, version: 1 }, name);
    t.equal(readRecordKey(bytesOf(key))?.name, meaning.type, name);
    t.same(plain({ type: meaning.type, ...decode(meaning.type, value) }), meaning, name);
  }
});

t.test('keys say what they name', async (t) => {
  t.same(readRecordKey(bytesOf('0101')), { name: 'identity' });
  const batch = readRecordKey(bytesOf('02ffffffffffff0102'));
  t.same(batch, { name: 'batch', batch: 2 ** 48 - 1, firstIndex: 258 });
  t.same(readRecordKey(bytesOf('03ffffffffffffffff')), { name: 'log', sequence: 2n ** 64n - 1n });
  for (const other of ['', '01', '0104', '02', '050000']) {
    t.equal(readRecordKey(bytesOf(other)), undefined, other);
  }
});

t.test('a changed bit is found', async (t) => {
  for (const { name, hex, meaning } of records) {
    const value = bytesOf(hex);
    let passed = 0;
    for (let bit = 0; bit < 8 * value.length; bit += 1) {
      const changed = value.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        decode(meaning.type, changed);
        passed += 1;
      } catch (error) {
        if (!(error instanceof RecordError)) throw error;
      }
    }
    t.equal(passed, 0, name);
  }
});

t.test('a newer version is named', async (t) => {
  const value = Uint8Array.of(0x46, RECORD_TYPE.log, 2, 0, 0, 0, 0, 0, 9);
  const message = 'the record has version 2; this daemon knows 1';
  const checksum = crc32c(value.subarray(8), crc32c(value.subarray(0, 4)));
  new DataView(value.buffer).setUint32(4, checksum, true);
  t.throws(() => readRecordHeader(value), new RecordError('newerVersion', message));
});

t.test('the check value of CRC-32C', async (t) => {
  t.equal(crc32c(new TextEncoder().encode('123456789')), 0xe3069283);
});

t.test('a journal means what the golden file says', async (t) => {
  const bytes = bytesOf(journal.hex);
  t.same(plain([...readJournal(bytes)]), journal.meaning);
  for (let end = 0; end < bytes.length; end += 1) {
    t.throws(() => [...readJournal(bytes.subarray(0, end))], RangeError);
  }
  t.throws(() => [...readJournal(Uint8Array.of(...bytes, 0))], RangeError);
});
