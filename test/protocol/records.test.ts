import t from 'tap';
import { crc32c } from '../../src/protocol/crc32c.ts';
import {
  decodeBatchRecord,
  decodeEventsRecord,
  decodeKeysRecord,
  decodeLogRecord,
  decodeMark,
  decodeStateRecord,
  RECORD_TYPE,
  RECORD_VERSION,
  RecordError,
  readJournal,
  readRecordHeader,
  readRecordKey,
  readUsageRecord,
} from '../../src/protocol/records.ts';
import { bytesOf, golden, hexOf, plain } from './golden.ts';

interface Row {
  name: string;
  version: number;
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
  if (type === 'events') return decodeEventsRecord(value);
  if (type === 'usage') return { list: hexOf(readUsageRecord(value)) };
  if (type === 'keys') return decodeKeysRecord(value);
  if (type !== 'state') return { value: decodeMark(value) };
  const { asOf, endedMs, states, extras } = decodeStateRecord(value);
  return { asOf, endedMs, runs: runsOf(states), extras };
}

t.test('records mean what the golden file says', async (t) => {
  for (const { name, version, key, hex, meaning } of records) {
    const value = bytesOf(hex);
    t.same(readRecordHeader(value), { type: meaning.type, version }, name);
    t.equal(readRecordKey(bytesOf(key))?.name, meaning.type, name);
    t.same(plain({ type: meaning.type, ...decode(meaning.type, value) }), meaning, name);
  }
  const versions = (type: keyof typeof RECORD_TYPE): Set<number> =>
    new Set(records.filter((row) => row.meaning.type === type).map((row) => row.version));
  for (const type of Object.keys(RECORD_TYPE) as (keyof typeof RECORD_TYPE)[]) {
    t.equal(versions(type).size, RECORD_VERSION[type], `every version of ${type} is in the file`);
  }
});

t.test('keys say what they name', async (t) => {
  t.same(readRecordKey(bytesOf('0101')), { name: 'identity' });
  const batch = readRecordKey(bytesOf('02ffffffffffff0102'));
  t.same(batch, { name: 'batch', batch: 2 ** 48 - 1, firstIndex: 258 });
  t.same(readRecordKey(bytesOf('03ffffffffffffffff')), { name: 'log', sequence: 2n ** 64n - 1n });
  const keys = readRecordKey(bytesOf('05fffffffe010000000002'));
  t.same(keys, { name: 'keys', hour: 2 ** 32 - 2, batch: 2 ** 40 + 2 });
  t.same(readRecordKey(bytesOf('060000000100000004')), {
    name: 'events',
    sequence: 2n ** 32n + 4n,
  });
  t.same(readRecordKey(bytesOf('0a0000000100000004')), { name: 'usage', sequence: 2n ** 32n + 4n });
  for (const other of ['', '01', '0106', '02', '050000', '060000', '070000']) {
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

/** A record of any content, with the checksum it needs. */
function record(type: keyof typeof RECORD_TYPE, version: number, content: number[]): Uint8Array {
  const value = Uint8Array.of(0x46, RECORD_TYPE[type], version, 0, 0, 0, 0, 0, ...content);
  const checksum = crc32c(value.subarray(8), crc32c(value.subarray(0, 4)));
  new DataView(value.buffer).setUint32(4, checksum, true);
  return value;
}

/** Why a record is refused; none if it is read. */
function refusal(read: () => unknown): RecordError['reason'] | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return error.reason;
  }
}

t.test('a newer version is named', async (t) => {
  for (const type of Object.keys(RECORD_TYPE) as (keyof typeof RECORD_TYPE)[]) {
    const known = RECORD_VERSION[type];
    const message = `the record has version ${known + 1}; this daemon knows ${known}`;
    const newer = record(type, known + 1, [9]);
    t.throws(() => readRecordHeader(newer), new RecordError('newerVersion', message));
    t.equal(
      refusal(() => readRecordHeader(record(type, 0, [9]))),
      'damaged',
    );
  }
});

t.test('what only version 2 has is damage in version 1', async (t) => {
  const zeros = new Array<number>(8).fill(0);
  const state = (state: number): number[] => [...zeros, 1, 0, 1, state, 1, 0];
  t.same(decodeStateRecord(record('state', 1, state(3))).states, [3]);
  t.equal(
    refusal(() => decodeStateRecord(record('state', 1, state(4)))),
    'damaged',
  );
  const scored = [3, 3, 1, 0, 1, 5, 1, 1];
  t.equal(
    refusal(() => decodeLogRecord(record('log', 1, scored))),
    'damaged',
  );
  t.same(decodeLogRecord(record('log', 2, [...zeros, ...scored])).scores, [-1n]);
  const message = [0, 0, 0, 2, 0, 0, 0, 0, 5, 0, 0, 0, 0xa1, 0x74, 0xc0, 0xc0, 0xa0];
  const fields = [...zeros, ...zeros, 0, 0, 1, 0, 1, 0, 0, 0];
  const redacted = decodeBatchRecord(record('batch', 2, [...fields, ...zeros, 1, 97, ...message]));
  t.equal(redacted.messages[0]?.redacted, true);
  const first = record('batch', 1, [...fields, 1, 97, ...message]);
  t.throws(() => decodeBatchRecord(first), new RecordError('damaged', 'flags of 0'));
});

t.test('what a log says of the handed-out covers all of them', async (t) => {
  const log = (...sections: number[]): Uint8Array =>
    record('log', 2, [...new Array<number>(8).fill(0), 3, 3, 1, 0, 2, ...sections]);
  t.same(decodeLogRecord(log(4, 4, 1, 2, 7, 8)).handedTo, [
    { count: 2, connection: 7, subscription: 8 },
  ]);
  for (const sections of [
    [4, 4, 1, 1, 7, 7],
    [4, 4, 1, 3, 7, 7],
    [4, 7, 2, 2, 7, 7, 0, 7, 8],
    [5, 1, 0],
    [5, 3, 0, 0, 0],
  ]) {
    t.equal(
      refusal(() => decodeLogRecord(log(...sections))),
      'damaged',
      `${sections}`,
    );
  }
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
