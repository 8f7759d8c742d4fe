// The receipts that are waited for, in a real LMDB environment.
import t from 'tap';
import {
  decodeReceiptRecord,
  encodeReceiptRecord,
  type ReceiptRecord,
  receiptHash,
} from '../../src/gateway/receipt-record.ts';
import { ReceiptStore } from '../../src/gateway/receipt-store.ts';
import { RecordError } from '../../src/protocol/records.ts';
import { Environment } from '../../src/store/environment.ts';

const key = Buffer.alloc(16, 7);
const hashOf = (id: string): Buffer => receiptHash(key, 'g', id);

const recordOf = (id: string, more: Partial<ReceiptRecord> = {}): ReceiptRecord => ({
  messageId: Buffer.alloc(16, id.length),
  atMs: 1_000,
  part: 1,
  parts: 1,
  delivered: 0n,
  first: hashOf(id),
  ...more,
});

const fail = (error: Error): never => {
  throw error;
};

function open(path: string, bytesMax?: number) {
  const environment = Environment.open({ path, durability: 'flushed', mapBytes: 1 << 28 });
  const store = new ReceiptStore({
    environment,
    onFatal: fail,
    ...(bytesMax === undefined ? {} : { bytesMax }),
  });
  return { environment, store };
}

t.test('what is written is read at once, and after a restart', async (t) => {
  const path = t.testdir();
  const { environment, store } = open(path);
  const record = recordOf('a', { parts: 3, part: 2, delivered: 5n, atMs: 1_790_000_000_123 });
  const written = store.write([{ hash: hashOf('a'), record }]);
  t.match(store.get(hashOf('a')), { part: 2, parts: 3, delivered: 5n, atMs: 1_790_000_000_123 });
  const removed = store.write([], [hashOf('a')]);
  t.equal(store.get(hashOf('a')), undefined, 'gone at once');
  const again = store.write([{ hash: hashOf('a'), record }]);
  await Promise.all([written, removed, again]);
  t.equal(store.entries, 1);
  await environment.close();
  const next = open(path);
  t.equal(next.store.entries, 1);
  t.strictSame(Buffer.from(next.store.get(hashOf('a'))?.first ?? []), hashOf('a'));
  await next.environment.close();
});

t.test('past the bound the oldest go', async (t) => {
  const { environment, store } = open(t.testdir(), 192 * 10);
  for (let number = 0; number < 25; number += 1) {
    const record = recordOf(`${number}`, { atMs: 1_000 + number });
    await store.write([{ hash: hashOf(`${number}`), record }]);
  }
  t.equal(await store.dropExcess(), 15);
  t.equal(store.entries, 10);
  t.equal(store.get(hashOf('14')), undefined);
  t.ok(store.get(hashOf('15')));
  t.equal(await store.dropExcess(), 0);
  await environment.close();
});

t.test('what was sent long ago is swept, in steps', async (t) => {
  const { environment, store } = open(t.testdir());
  const puts = Array.from({ length: 1_200 }, (_, number) => {
    return { hash: hashOf(`${number}`), record: recordOf(`${number}`, { atMs: 1_000 + number }) };
  });
  await store.write(puts);
  t.equal(await store.sweep(2_100), 1_100);
  t.equal(store.entries, 100);
  t.equal(store.get(hashOf('1099')), undefined);
  t.ok(store.get(hashOf('1100')));
  await environment.close();
});

t.test('an id that is given again is the newer message’s', async (t) => {
  const { environment, store } = open(t.testdir());
  await store.write([{ hash: hashOf('a'), record: recordOf('a', { atMs: 1 }) }]);
  await store.write([{ hash: hashOf('a'), record: recordOf('a', { atMs: 5_000 }) }]);
  t.equal(store.entries, 1);
  t.equal(await store.sweep(2_000), 0);
  t.match(store.get(hashOf('a')), { atMs: 5_000 });
  await environment.close();
});

t.test('a damaged record is told, never guessed', async (t) => {
  const bytes = encodeReceiptRecord(recordOf('a', { parts: 2 }));
  t.match(decodeReceiptRecord(bytes), { parts: 2 });
  for (let at = 0; at < bytes.length; at += 1) {
    for (const bit of [1, 128]) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ bit;
      t.throws(() => decodeReceiptRecord(damaged), RecordError);
    }
    t.throws(() => decodeReceiptRecord(bytes.subarray(0, at)), RecordError);
  }
});
