// Subscribing: credit, settlements, concurrency, and what a lost connection means for deliveries.
import t from 'tap';
import type { Delivery } from '../../src/client/index.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { FakeDaemon, idOf } from './fake-daemon.ts';

const turn = (ms = 20): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Subscribes and answers the subscribe frame. */
async function accepted(daemon: FakeDaemon) {
  const frame = await daemon.frame(KIND.subscribe);
  frame.link.ok(frame.id);
  return frame;
}

t.test('a delivery has the fields of its message; returning nothing has sent it', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const seen: Delivery[] = [];
  const subscription = client.subscribe('sms', { credit: 8 }, (delivery) => {
    seen.push(delivery);
  });
  const frame = await accepted(daemon);
  t.strictSame(frame.fields, [1, 'sms', 8]);
  await subscription.ready();
  frame.link.deliver(1, [1, 2], 3, 1);
  const settle = await daemon.frame(KIND.settle);
  t.strictSame(settle.fields, [1, [1, 2]], 'one frame of bare numbers');
  t.match(seen[1], {
    id: idOf(2).toString('hex'),
    tenant: 'acme',
    sender: 'sender',
    recipient: undefined,
    text: '2',
    attempt: 3,
    acceptedMs: 1000,
    expiresAtMs: 9000,
    maybeDelivered: true,
    isLive: true,
    isEnded: true,
  });
  t.equal(seen[0]?.expiresAtMs, undefined);
});

t.test('outcomes of a turn leave in one frame for those sent and one for the others', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const errors: string[] = [];
  client.on('error', ({ error, message }) => errors.push(`${error}: ${message}`));
  client.subscribe('sms', { credit: 100 }, ({ text }) => {
    if (text === '1') return 'delivered';
    if (text === '2') return { outcome: 'retry', retryAfterMs: 70, code: 5 };
    if (text === '3') return { outcome: 'throttled', retryAfterMs: 9, scope: 'sender' };
    if (text === '4') throw new Error('boom');
    return 'sent';
  });
  const { link } = await accepted(daemon);
  link.deliver(1, [1, 2, 3, 4, 5]);
  const sent = await daemon.frame(KIND.settle);
  t.strictSame(sent.fields, [1, [5]]);
  const others = await daemon.frame(KIND.settle);
  const outcomes = others.fields[1] as number[][];
  t.strictSame(outcomes.slice(0, 3), [
    [1, 1],
    [2, 2, 5, 70],
    [3, 4, null, 9, 2],
  ]);
  t.strictSame(outcomes[3]?.slice(0, 2), [4, 2], 'what throws is tried again');
  t.strictSame(errors, ['handlerFailed: boom']);
});

t.test('credit comes back in steps of half the window, after the settlements', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  client.subscribe('sms', { credit: 4 }, () => 'sent');
  const { link } = await accepted(daemon);
  link.deliver(1, [1]);
  await daemon.frame(KIND.settle);
  t.equal(daemon.count(KIND.credit), 0);
  link.deliver(1, [2]);
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [2]]);
  t.strictSame((await daemon.frame(KIND.credit)).fields, [1, 2]);
});

t.test('no more handlers run than the concurrency; order is kept', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const started: string[] = [];
  const ends: (() => void)[] = [];
  client.subscribe('sms', { credit: 10, concurrency: 2 }, async ({ text }) => {
    started.push(text);
    await new Promise<void>((resolve) => ends.push(resolve));
  });
  const { link } = await accepted(daemon);
  link.deliver(1, [1, 2, 3, 4]);
  await turn();
  t.strictSame(started, ['1', '2']);
  ends[1]?.();
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [2]]);
  t.strictSame(started, ['1', '2', '3']);
  for (const end of ends) end();
  await turn();
  t.strictSame(started, ['1', '2', '3', '4']);
  for (const end of ends) end();
});

t.test('by hand: a delivery is settled when its owner says so, once', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const held: Delivery[] = [];
  client.subscribe('sms', { credit: 10, settle: 'manual', concurrency: 2 }, (delivery) => {
    held.push(delivery);
  });
  const { link } = await accepted(daemon);
  link.deliver(1, [1, 2, 3]);
  await turn();
  t.equal(held.length, 2, 'two are held, the third waits');
  t.equal(daemon.count(KIND.settle), 0);
  t.equal(held[0]?.failed(21), true);
  t.equal(held[0]?.sent(), false);
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [[1, 3, 21]]]);
  await turn();
  t.equal(held.length, 3);
});

t.test('after a lost connection it subscribes again; old deliveries are void', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const held: Delivery[] = [];
  client.subscribe('sms', { credit: 10, settle: 'manual', concurrency: 1 }, (delivery) => {
    held.push(delivery);
  });
  const first = await accepted(daemon);
  first.link.deliver(1, [1, 2]);
  await turn();
  first.link.socket.terminate();
  const second = await accepted(daemon);
  t.strictSame(second.fields, [1, 'sms', 10], 'with its whole credit');
  t.equal(held[0]?.isLive, false);
  t.equal(held[0]?.sent(), false, 'the daemon has taken it back');
  second.link.deliver(1, [1], 2, 1);
  await turn();
  t.strictSame(
    held.map(({ text, attempt }) => [text, attempt]),
    [
      ['1', 1],
      ['1', 2],
    ],
    'the one that waited is forgotten, and the place of the one held is free',
  );
  t.equal(held[1]?.sent(), true);
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [1]]);
});

t.test('batches: a frame at a time, settled as a whole or one by one', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const sizes: number[] = [];
  client.subscribeBatches('sms', { credit: 100 }, (deliveries, batch) => {
    sizes.push(deliveries.length);
    if (deliveries.length === 3) batch.settle(1, { outcome: 'failed' });
  });
  const { link } = await accepted(daemon);
  link.deliver(1, [1, 2]);
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [1, 2]]);
  link.deliver(1, [3, 4, 5]);
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [3, 5]]);
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [[4, 3]]]);
  t.strictSame(sizes, [2, 3]);
});

t.test('closing a subscription gives back what no handler began', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  let end = (): void => {};
  const subscription = client.subscribe(
    'sms',
    { credit: 10, concurrency: 1 },
    () => new Promise<void>((resolve) => (end = resolve)),
  );
  const { link } = await accepted(daemon);
  link.deliver(1, [1, 2]);
  await turn();
  const closed = subscription.close();
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [[2, 5]]]);
  link.deliver(1, [3]);
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [[3, 5]]]);
  end();
  await closed;
  t.strictSame((await daemon.frame(KIND.settle)).fields, [1, [1]]);
});

t.test('a refused subscription: final errors end it, others are tried again', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const errors: string[] = [];
  client.on('error', ({ error }) => errors.push(error));
  const lost = client.subscribe('nowhere', {}, () => {});
  const frame = await daemon.frame(KIND.subscribe);
  frame.link.error(frame.id, 3001, 'no such destination');
  await t.rejects(
    lost.ready(),
    Object.assign(new Error('no such destination'), { error: 'unknownDestination' }),
  );
  t.strictSame(errors, ['unknownDestination']);
  const later = client.subscribe('sms', {}, () => {});
  const busy = await daemon.frame(KIND.subscribe);
  busy.link.error(busy.id, 9002, 'not ready', { retryAfterMs: 5 });
  await accepted(daemon);
  await later.ready();
});
