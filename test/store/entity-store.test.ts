// Entities: versions, what is kept, bounds, and records that cannot be used.
import t from 'tap';
import { EntityStore } from '../../src/store/entity-store.ts';
import { Environment } from '../../src/store/environment.ts';

const KIND = 3;
/** What a test without interest in it says of a change. */
const note = {};
const options = { mapBytes: 64 * 1024 * 1024, entitiesPerKind: 3 };

t.test('an entity is found after its put, with its version', async (t) => {
  const store = EntityStore.open(t.testdir(), 'flushed', options);
  const value = { weight: 200, ratePerSec: 12.5, parent: null, tags: ['a', 'b'] };
  t.equal(await store.put(KIND, 'acme', value, note), 1);
  t.strictSame(store.get(KIND, 'acme'), { name: 'acme', version: 1, value });
  t.equal(store.get(KIND, 'other'), undefined);
  t.equal(store.get(KIND + 1, 'acme'), undefined, 'kinds are apart');
  await store.close();
});

t.test('every change takes the next version of one counter, also over a restart', async (t) => {
  const path = t.testdir();
  const store = EntityStore.open(path, 'flushed', options);
  const versions = await Promise.all([
    store.put(1, 'a', { n: 1 }, note),
    store.put(2, 'b', { n: 2 }, note),
    store.put(1, 'a', { n: 3 }, note),
  ]);
  t.strictSame(versions, [1, 2, 3]);
  t.equal(await store.remove(2, 'b', note), 4);
  t.equal(await store.remove(2, 'b', note), undefined);
  await store.close();
  const again = EntityStore.open(path, 'flushed', options);
  t.strictSame(again.list(1), [{ name: 'a', version: 3, value: { n: 3 } }]);
  t.strictSame(again.list(2), []);
  t.equal(again.version, 4);
  t.equal(await again.put(2, 'b', {}, note), 5);
  await again.close();
});

t.test('a kind holds no more than its bound; replacing goes on', async (t) => {
  const store = EntityStore.open(t.testdir(), 'flushed', options);
  await Promise.all(['c', 'a', 'b'].map((name) => store.put(KIND, name, {}, note)));
  await t.rejects(store.put(KIND, 'd', {}, note), /There may be 3 resources/);
  await store.put(KIND, 'a', { again: true }, note);
  t.strictSame(
    store.list(KIND).map((entity) => entity.name),
    ['a', 'b', 'c'],
  );
  await store.remove(KIND, 'a', note);
  await store.put(KIND, 'd', {}, note);
  t.equal(store.count(KIND), 3);
  await store.close();
});

t.test('each change is recorded with it, newest first, over a restart', async (t) => {
  const path = t.testdir();
  const store = EntityStore.open(path, 'flushed', options);
  await Promise.all([store.put(1, 'a', {}, { by: 'x' }), store.put(1, 'b', {}, { by: 'y' })]);
  await store.remove(1, 'a', { by: 'z' });
  await store.remove(1, 'a', { by: 'nobody' });
  await store.close();
  const again = EntityStore.open(path, 'flushed', options);
  const all = [
    { sequence: 3, value: { by: 'z' } },
    { sequence: 2, value: { by: 'y' } },
    { sequence: 1, value: { by: 'x' } },
  ];
  t.strictSame([...again.changes()], all);
  t.strictSame([...again.changes(3)], all.slice(1));
  t.strictSame([...again.changes(1)], []);
  t.strictSame(again.list(1), [{ name: 'b', version: 2, value: {} }], 'they are no entities');
  await again.close();
});

t.test('no more changes are recorded than the bound; the oldest go', async (t) => {
  const store = EntityStore.open(t.testdir(), 'flushed', { ...options, changeRecords: 3 });
  for (let at = 1; at <= 5; at += 1) await store.put(KIND, 'a', {}, { at });
  t.strictSame(
    [...store.changes()].map(({ value }) => value),
    [{ at: 5 }, { at: 4 }, { at: 3 }],
  );
  await store.close();
});

for (const [what, change, message] of [
  ['newer', (record: Uint8Array) => record.fill(2, 2, 3), /version 2.*newer daemon/],
  ['damaged', (record: Uint8Array) => record.fill(0xff, 10, 11), /checksum differs/],
] as const) {
  t.test(`a ${what} record is refused at open`, async (t) => {
    const path = t.testdir();
    const store = EntityStore.open(path, 'flushed', options);
    await store.put(KIND, 'acme', { weight: 1 }, note);
    await store.close();
    const environment = Environment.open({
      path,
      durability: 'flushed',
      mapBytes: options.mapBytes,
    });
    const [entry] = [...environment.range(Uint8Array.of(KIND), Uint8Array.of(KIND + 1))];
    if (entry === undefined) throw new Error('the entity is stored');
    change(entry.value);
    environment.commitNow((writes) => writes.put(entry.key, entry.value));
    await environment.close();
    t.throws(() => EntityStore.open(path, 'flushed', options), message);
  });
}
