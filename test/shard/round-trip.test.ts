// A real shard in its real worker on a real disk: messages in, deliveries and answers out.
import t from 'tap';
import { encodeExplain, encodeStats, INPUT_OP } from '../../src/protocol/exchange.ts';
import { type OkFrame, readPublishOk, readSettleOk } from '../../src/protocol/frames.ts';
import {
  answered,
  GATEWAY,
  opened,
  PUBLISHER,
  portOf,
  publish,
  received,
  settle,
  subscribe,
} from '../support/shard-clients.ts';

for (const durability of ['flushed', 'committed', 'memory'] as const) {
  t.test(`${durability}: publish, deliver, settle; nothing is left after a restart`, async (t) => {
    const directory = t.testdir();
    const first = await opened(directory, { durability });
    subscribe(first);
    publish(first, 100);
    const deliveries = await received(first, 100);
    const [ok] = answered(first);
    t.match(ok, { kind: 'ok', id: 1 });
    t.equal(readPublishOk(ok as OkFrame).count, 100);
    t.strictSame(
      first.sink
        .deliveries()
        .map(({ payload }) => Number.parseInt(String(Buffer.from(payload)), 10)),
      Array.from({ length: 100 }, (_, at) => at),
      'in order',
    );
    await settle(first, deliveries);
    const settled = first.sink.answers(GATEWAY).at(-1) as OkFrame;
    t.strictSame(readSettleOk(settled), { applied: 100, unknown: 0 });
    const { accepted, delivered, settledSent, waiting } = portOf(first).counters;
    t.strictSame([accepted, delivered, settledSent, waiting], [100, 100, 100, 0]);
    t.ok((first.sink.released.get(PUBLISHER) ?? 0) > 2_000, 'the window was given back');
    await first.pool.close();
    const second = await opened(directory, { durability });
    const stats = await portOf(second).request(INPUT_OP.stats, encodeStats(10));
    t.type(JSON.parse(stats), Object);
    t.equal(portOf(second).counters.waiting, 0);
    await second.pool.close();
    t.strictSame([first.fatal, second.fatal], [[], []]);
  });
}

t.test('a backlog larger than the cache is read back from the disk', async (t) => {
  const from = await opened(t.testdir());
  for (let frame = 0; frame < 44; frame += 1) {
    publish(from, 50, frame + 1, 'carrier', 20_000);
    const count = frame + 1;
    await from.sink.wait(() => answered(from).length >= count, `publish ${count}`);
  }
  subscribe(from, 10_000);
  const deliveries = await received(from, 2_200);
  t.equal(deliveries.length, 2_200);
  t.ok(from.sink.deliveries().every(({ payload }) => payload.length === 20_000));
  await from.pool.close();
  t.strictSame(from.fatal, []);
});

t.test('requests are answered with JSON', async (t) => {
  const from = await opened(t.testdir());
  publish(from, 3);
  const page = encodeExplain({ destination: 'carrier', offset: 0, limit: 10 });
  const explained = await portOf(from).request(INPUT_OP.explain, page);
  t.type(JSON.parse(explained), Object);
  const checkpoint = portOf(from).request(INPUT_OP.checkpoint, new Uint8Array(0));
  t.type(JSON.parse(await checkpoint), Object);
  await from.pool.close();
});

t.test('a full disk refuses publishes and takes settlements', async (t) => {
  const from = await opened(t.testdir());
  subscribe(from);
  publish(from, 1);
  const deliveries = await received(from, 1);
  from.pool.diskFull(true);
  publish(from, 1, 2);
  await from.sink.wait(() => answered(from).length === 2, 'the second answer');
  t.match(JSON.stringify(answered(from)[1]), /3014/);
  await settle(from, deliveries);
  from.pool.diskFull(false);
  publish(from, 1, 3);
  await from.sink.wait(() => answered(from).length === 3, 'the third answer');
  t.equal(portOf(from).counters.accepted, 2);
  await from.pool.close();
});
