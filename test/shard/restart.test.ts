// What a shard finds after a restart, and what it refuses to start with.
import t from 'tap';
import { encodePublish } from '../../src/protocol/frames.ts';
import { Environment } from '../../src/store/environment.ts';
import {
  answered,
  opened,
  PUBLISHER,
  publish,
  received,
  settle,
  subscribe,
} from '../support/shard-clients.ts';
import { openPool, PLATFORM } from '../support/shard-harness.ts';

t.test('what waits and what is in doubt is delivered after a restart', async (t) => {
  const directory = t.testdir();
  const first = await opened(directory);
  publish(first, 50, 1, 'carrier', 2_000);
  subscribe(first, 20);
  const deliveries = await received(first, 20);
  await settle(first, deliveries.slice(0, 5));
  await first.pool.close();
  const second = await opened(directory);
  subscribe(second);
  await received(second, 45);
  const again = second.sink.deliveries();
  t.equal(again.length, 45);
  t.equal(again.filter(({ attempt }) => attempt === 2).length, 15, 'those handed out before');
  const payloads = new Set(again.map(({ payload }) => String(Buffer.from(payload))));
  t.equal(payloads.size, 45, 'each once');
  t.ok(again.every(({ payload }) => payload.length === 2_000));
  await second.pool.close();
});

t.test('two shards have a store each, and do not take that of the other', async (t) => {
  const directory = t.testdir();
  const two = await openPool(directory, { shards: 2 });
  for (const port of two.pool.ports) {
    port.connect(PUBLISHER, PLATFORM, '');
    const message = { tenant: 'acme', payload: `shard ${port.shard}` };
    port.frame(PUBLISHER, encodePublish({ id: 1, destination: 'carrier', messages: [message] }));
  }
  await two.sink.wait(() => two.sink.answers(PUBLISHER).length === 2, 'both answers');
  t.strictSame(
    two.pool.ports.map(({ counters }) => counters.accepted),
    [1, 1],
  );
  await two.pool.close();
  const other = { dataId: 'e'.repeat(32), shards: 2 };
  await t.rejects(openPool(directory, other), /moved or mixed up/);
  await t.rejects(openPool(directory, { shards: 1 }), /shard 0 of 2 in/);
});

t.test('a record of a newer version is refused with its version', async (t) => {
  const directory = t.testdir();
  const first = await opened(directory);
  publish(first, 1);
  await first.sink.wait(() => answered(first).length === 1, 'the answer');
  await first.pool.close();
  const path = `${directory}/shard-0`;
  const environment = Environment.open({ path, durability: 'flushed' });
  const [entry] = [...environment.range(Uint8Array.of(2), Uint8Array.of(3))];
  if (entry === undefined) throw new Error('the batch is stored');
  entry.value[2] = 9;
  environment.commitNow((writes) => writes.put(entry.key, entry.value));
  await environment.close();
  await t.rejects(openPool(directory), /type batch has version 9.*newer daemon/);
});

t.test('a damaged record is refused at start', async (t) => {
  const directory = t.testdir();
  const first = await opened(directory);
  publish(first, 1);
  await first.sink.wait(() => answered(first).length === 1, 'the answer');
  await first.pool.close();
  const path = `${directory}/shard-0`;
  const environment = Environment.open({ path, durability: 'flushed' });
  const [entry] = [...environment.range(Uint8Array.of(2), Uint8Array.of(3))];
  if (entry === undefined) throw new Error('the batch is stored');
  entry.value[40] = (entry.value[40] as number) ^ 1;
  environment.commitNow((writes) => writes.put(entry.key, entry.value));
  await environment.close();
  await t.rejects(openPool(directory), /[Cc]hecksum/);
});
