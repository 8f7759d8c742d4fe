// Status events of a shard with its thread and its store: told, taken, and told again after a restart.
import t from 'tap';
import { encodePublish, encodeReceipt, readPublishOk } from '../../src/protocol/frames.ts';
import { statusMask } from '../../src/protocol/status-events.ts';
import { Environment } from '../../src/store/environment.ts';
import {
  answered,
  GATEWAY,
  opened,
  PUBLISHER,
  portOf,
  received,
  settle,
  subscribe,
} from '../support/shard-clients.ts';
import type { Opened } from '../support/shard-harness.ts';

const callback = 'https://acme.example/status';

function publishTold(to: Opened, count: number, id = 1): void {
  const message = {
    tenant: 'acme',
    sender: '+1',
    recipient: '+2',
    payload: 'x',
    options: { cb: callback, ce: statusMask(['sent', 'delivered']), g: 'spring', c: 2 },
  };
  const messages = Array.from({ length: count }, () => message);
  portOf(to).frame(PUBLISHER, encodePublish({ id, destination: 'carrier', messages }));
}

const told = ({ sink }: Opened) => sink.events.flatMap(({ events }) => events);
const statuses = (from: Opened) => told(from).map(({ status }) => status);

function stored(directory: string): number {
  const environment = Environment.open({ path: `${directory}/shard-0`, durability: 'flushed' });
  const records = [...environment.range(Uint8Array.of(6), Uint8Array.of(7))];
  void environment.close();
  return records.length;
}

t.test('every change is told, with what a callback needs first', async (t) => {
  const shard = await opened(t.testdir());
  publishTold(shard, 1);
  subscribe(shard);
  const [delivery = 0] = await received(shard, 1);
  await settle(shard, [delivery]);
  const { firstId } = readPublishOk(answered(shard)[0] as never);
  const messageId = firstId as Uint8Array;
  portOf(shard).frame(
    GATEWAY,
    encodeReceipt({ id: 9, receipts: [{ messageId, status: 7, code: 42 }] }),
  );
  await shard.sink.wait(() => told(shard).length === 5, 'all events');
  t.strictSame(statuses(shard), [1, 3, 4, 5, 7]);
  const [first, ...others] = told(shard);
  t.strictSame(first?.info, {
    destination: 'carrier',
    tenant: 'acme',
    sender: '+1',
    recipient: '+2',
    callback,
    mask: 0x60,
    tag: 'spring',
    cost: 2,
  });
  t.ok(others.every(({ info }) => info === undefined));
  t.ok(told(shard).every(({ id }) => Buffer.compare(id, messageId) === 0));
  t.match(others.at(-1), { code: 42, attempt: 1 });
  await shard.pool.close();
});

t.test('what was not taken is told again after a restart, with its sequences', async (t) => {
  const directory = t.testdir();
  const first = await opened(directory);
  publishTold(first, 3);
  await first.sink.wait(() => told(first).length === 6, 'the first events');
  publishTold(first, 200, 2);
  await first.sink.wait(() => told(first).length === 406, 'the other events');
  const [taken] = first.sink.events;
  portOf(first).eventsTaken(taken?.sequence as number);
  await first.pool.close();
  const second = await opened(directory);
  await second.sink.wait(() => told(second).length === 400, 'the events again');
  t.strictSame(second.sink.events, first.sink.events.slice(1));
  subscribe(second);
  await second.sink.wait(() => told(second).length === 603, 'and what comes after');
  const sequences = second.sink.events.map(({ sequence }) => sequence);
  t.strictSame(
    sequences,
    [...sequences].sort((a, b) => a - b),
  );
  portOf(second).eventsTaken(sequences.at(-1) as number);
  await second.pool.close();
  t.equal(stored(directory), 0, 'nothing is left of what was taken');
});

t.test('messages without a callback have no events', async (t) => {
  const directory = t.testdir();
  const shard = await opened(directory);
  const messages = [{ tenant: 'acme', payload: 'x', options: { ce: 2 } }];
  portOf(shard).frame(PUBLISHER, encodePublish({ id: 1, destination: 'carrier', messages }));
  subscribe(shard);
  await settle(shard, await received(shard, 1));
  t.strictSame(shard.sink.events, []);
  await shard.pool.close();
  t.equal(stored(directory), 0);
});
