// What recovery hands to the core: every record of both versions, in the order of replay.
import t, { type Test } from 'tap';
import { RecordError, readJournal, readRecordKey } from '../../src/protocol/records.ts';
import { recover } from '../../src/shard/recovery.ts';
import { Environment } from '../../src/store/environment.ts';
import { bytesOf, golden, hexOf } from '../protocol/golden.ts';

const MAP_BYTES = 64 * 1024 * 1024;
const ORDER = [
  ...['ceiling', 'through', 'eventsCeiling', 'usageCeiling', 'keys', 'events', 'usage'],
  ...['state', 'log', 'batch'],
];
type Stored = { key: string; hex: string };

/** A store with these records, closed when the test ends. */
function store(t: Test, records: readonly Stored[]): Environment {
  const path = t.testdir();
  const environment = Environment.open({ path, durability: 'memory', mapBytes: MAP_BYTES });
  t.teardown(() => environment.close());
  environment.commitNow((writes) => {
    for (const { key, hex } of records) writes.put(bytesOf(key), bytesOf(hex));
  });
  return environment;
}

/** The records of the golden file; of those with one key the last. */
function goldenRecords(): Map<string, string> {
  const { records } = golden<{ records: Stored[] }>('records.json');
  return new Map(records.map(({ key, hex }) => [key, hex]));
}

t.test('every record comes once, in the order of replay, without the identity', async (t) => {
  const records = goldenRecords();
  const stored = [...records].map(([key, hex]) => ({ key, hex })).reverse();
  const environment = store(t, [...stored, { key: '0101', hex: '80' }]);
  const chunks: Uint8Array[] = [];
  const figures = recover(environment, (chunk) => chunks.push(chunk.slice()));
  const found = chunks.flatMap((chunk) => [...readJournal(chunk)]);
  const names = found.map(({ key }) => readRecordKey(key)?.name ?? '');
  t.same(
    names,
    names.toSorted((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b)),
  );
  t.same(new Set(names), new Set(ORDER));
  const values = found.map(({ key, value }) => [hexOf(key), hexOf(value)] as const);
  t.same(new Map(values), records);
  t.equal(values.length, records.size);
  t.equal(figures.records, records.size);
});

for (const [table, key, known] of [
  ['meta', '0103', 1],
  ['keys', '0500000001000000000002', 1],
  ['events', '060000000000000001', 1],
  ['usage', '0a0000000000000001', 1],
  ['state', '04000000000002', 2],
  ['log', '030000000000000002', 2],
  ['batch', '020000000000020000', 2],
] as const) {
  t.test(`a newer ${table} record ends the start`, async (t) => {
    const environment = store(t, [
      { key, hex: `4600${hexOf(Uint8Array.of(known + 1))}0000000000` },
    ]);
    const message =
      `a record of type ${table} has version ${known + 1}, this daemon knows up to ${known}: ` +
      'a newer daemon wrote it; start that one';
    t.throws(() => recover(environment, () => {}), new RecordError('newerVersion', message));
  });
}

for (const key of ['0001', '0700', 'fe00']) {
  t.test(`the key ${key} is of no known table and ends the start`, async (t) => {
    const environment = store(t, [{ key, hex: '00' }]);
    t.throws(() => recover(environment, () => {}), {
      message: new RegExp(`a key this daemon does not know \\(${key}\\)`),
    });
  });
}
