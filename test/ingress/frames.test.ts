// What becomes of a frame: answered with a code, or forwarded to the right shard in the right order.
import t from 'tap';
import { BOUNDS } from '../../src/ingress/bounds.ts';
import { LIMITS } from '../../src/limits.ts';
import {
  encodeCancel,
  encodeCredit,
  encodePublish,
  encodeReceipt,
  encodeSettle,
  encodeStatus,
  encodeSubscribe,
} from '../../src/protocol/frames.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { startIngress, until } from './harness.ts';

const publish = (id: number, destination: string, payload = 'x'): Uint8Array =>
  encodePublish({ id, destination, messages: [{ tenant: 't1', payload }] });
/** A message id in that shard. */
const idOf = (shard: number, index = 0): Uint8Array =>
  Uint8Array.of(shard >> 8, shard & 255, ...new Array<number>(13).fill(9), index);
const subscribe = (id: number, subscription: number, destination: string): Uint8Array =>
  encodeSubscribe({ id, subscription, destination, credit: 10 });

t.test('malformed and unserved input is answered, and the socket stays', async (t) => {
  const { connect, shards } = await startIngress(t);
  const client = await connect('publish consume platform');
  const cases: [string, Uint8Array | string, string][] = [
    ['text', '[1,1]', '0 1013'],
    ['kind unknown', pack([99, 7]), '7 1002'],
    ['kind 0', pack([0, 7]), '7 1002'],
    ['kind of the daemon', pack([64, 7]), '7 1002'],
    ['kind no number', pack(['publish', 7]), '0 1003'],
    ['id too large', pack([1, 2 ** 32, 'a', []]), '0 1012'],
    ['id negative', pack([1, -1, 'a', []]), '0 1012'],
    ['id missing', pack([1]), '0 1003'],
    ['destination missing', pack([1, 7]), '7 1003'],
    ['destination no text', pack([1, 7, 5, []]), '7 1003'],
    ['destination too long', publish(7, 'a'.repeat(129)), '7 1004'],
    ['destination of bad characters', publish(7, 'a b'), '7 1008'],
    ['destination empty', publish(7, ''), '7 1008'],
    ['destination unknown', publish(7, 'zz'), '7 3001'],
    ['subscribe to an unknown one', subscribe(7, 1, 'zz'), '7 3001'],
    ['subscription no number', pack([2, 7, 'x', 'a', 1]), '7 1003'],
    ['credit without subscription', encodeCredit({ id: 7, subscription: 1, add: 1 }), '7 3006'],
    [
      'settle without subscription',
      encodeSettle({ id: 7, subscription: 1, outcomes: [1] }),
      '7 3006',
    ],
    ['ids missing', pack([6, 7]), '7 1003'],
    ['ids of two shards', encodeCancel({ id: 7, messageIds: [idOf(0), idOf(1)] }), '7 1015'],
    [
      'receipts of two shards',
      encodeReceipt({
        id: 7,
        receipts: [
          { messageId: idOf(1), status: 6 },
          { messageId: idOf(0), status: 6 },
        ],
      }),
      '7 1015',
    ],
    ['frame too large', publish(7, 'a', 'x'.repeat(LIMITS.frameBytes)), '7 1005'],
  ];
  for (const kind of [8, 30, 39, 40, 49]) {
    cases.push([`kind ${kind}`, pack([kind, 7, []]), '7 1007']);
  }
  for (const kind of [10, 11, 12]) {
    cases.push([`kind ${kind} without its scope`, pack([kind, 7, [], 1]), '7 2004']);
  }
  for (const [name, frame, expected] of cases) {
    client.send(frame);
    t.equal(await client.nextError(), expected, name);
  }
  t.strictSame(shards[0].operations, [], 'no shard heard of it');
  client.send(publish(1, 'a'));
  await until(() => shards[0].frames.length === 1);
});

t.test('bytes that are no frame end the socket with 4400 after an error', async (t) => {
  const { connect } = await startIngress(t);
  const cases = {
    empty: new Uint8Array(0),
    'never msgpack': Uint8Array.of(0xc1),
    'array cut short': Uint8Array.of(0x94, 1),
    'text cut short': Uint8Array.of(0x94, 1, 1, 0xa9, 0x61),
  };
  for (const [name, bytes] of Object.entries(cases)) {
    const client = await connect('publish');
    client.send(bytes);
    t.match(await client.nextError(), / 1001$/, name);
    t.equal((await client.closed).code, 4400, name);
  }
});

t.test('over twice the frame limit the library cuts the line', async (t) => {
  const { connect } = await startIngress(t);
  const client = await connect('publish');
  client.send(new Uint8Array(2 * LIMITS.frameBytes + 1));
  t.equal((await client.closed).code, 1006);
});

t.test('each kind needs its scope', async (t) => {
  const { connect, shards } = await startIngress(t);
  const publisher = await connect('publish', 'acme');
  publisher.send(subscribe(1, 1, 'a'));
  t.equal(await publisher.nextError(), '1 2004');
  publisher.send(encodeCredit({ id: 2, subscription: 1, add: 1 }));
  t.equal(await publisher.nextError(), '2 2004');
  publisher.send(encodeSettle({ id: 3, subscription: 1, outcomes: [1] }));
  t.equal(await publisher.nextError(), '3 2004');
  publisher.send(encodeReceipt({ id: 4, receipts: [{ messageId: idOf(0), status: 6 }] }));
  t.equal(await publisher.nextError(), '4 2004');
  const consumer = await connect('consume');
  consumer.send(encodeCancel({ id: 2, messageIds: [idOf(0)] }));
  t.equal(await consumer.nextError(), '2 2004');
  consumer.send(encodeStatus({ id: 3, messageIds: [] }));
  t.equal(await consumer.nextError(), '3 2004');
  consumer.send(publish(4, 'a'));
  t.equal(await consumer.nextError(), '4 2004');
  t.strictSame(shards[0].operations, []);
});

t.test('frames about messages go where their ids say', async (t) => {
  const { connect, shards } = await startIngress(t);
  const client = await connect('publish consume');
  const receipt = (id: number, shard: number): Uint8Array =>
    encodeReceipt({
      id,
      receipts: [1, 2].map((index) => ({ messageId: idOf(shard, index), status: 6, code: index })),
    });
  const toFirst = [
    encodeStatus({ id: 1, messageIds: [] }),
    encodeCancel({ id: 2, messageIds: [idOf(0, 1), idOf(0, 2)] }),
    receipt(3, 0),
    // Shards that do not exist: the first one says that it knows none of them.
    encodeStatus({ id: 4, messageIds: [idOf(2), idOf(2)] }),
    encodeCancel({ id: 5, messageIds: [idOf(0xffff)] }),
    // What is wrong behind the header is for the core to say.
    pack([7, 6, ['no id']]),
  ];
  const toSecond = [
    encodeCancel({ id: 7, messageIds: [idOf(1)] }),
    encodeStatus({ id: 8, messageIds: Array.from({ length: 4096 }, () => idOf(1)) }),
    receipt(9, 1),
  ];
  for (const frame of [...toFirst, ...toSecond]) client.send(frame);
  await until(() => shards[0].frames.length + shards[1].frames.length === 9);
  const plain = (frames: readonly Uint8Array[]): Uint8Array[] =>
    frames.map((frame) => new Uint8Array(frame));
  t.strictSame(shards[0].frames, plain(toFirst));
  t.strictSame(shards[1].frames, plain(toSecond));
});

t.test('frames go where their destination or subscription is', async (t) => {
  const { connect, shards, ingress } = await startIngress(t);
  const client = await connect('publish consume');
  const sent = [
    publish(1, 'a1'),
    publish(2, 'b1'),
    subscribe(3, 10, 'b1'),
    subscribe(4, 11, 'a1'),
    encodeCredit({ id: 5, subscription: 10, add: 1 }),
    encodeSettle({ id: 6, subscription: 11, outcomes: [1] }),
  ];
  for (const frame of sent) client.send(frame);
  await until(() => shards[0].frames.length + shards[1].frames.length === sent.length);
  const of = (...indices: number[]) =>
    indices.map((index) => new Uint8Array(sent[index] as Uint8Array));
  t.strictSame(shards[0].frames, of(0, 3, 5));
  t.strictSame(shards[1].frames, of(1, 2, 4));
  t.strictSame(shards[0].log, ['connect 1', 'frame 1', 'frame 1', 'frame 1']);
  t.equal(shards[0].operations[0]?.who, '3 ');

  client.send(subscribe(7, 10, 'a1'));
  t.equal(await client.nextError(), '7 3007', 'one number, two shards');
  const tenant = await connect('publish', 'acme');
  tenant.send(publish(1, 'a1'));
  await until(() => shards[0].frames.length === 4);
  t.equal(shards[0].operations.at(-2)?.who, '1 acme');

  client.socket.close();
  await until(() => ingress.connections.size === 1);
  t.equal(shards[0].log.at(-1), 'disconnect 1');
  t.equal(shards[1].log.at(-1), 'disconnect 1');
  tenant.socket.close();
  await until(() => ingress.connections.size === 0);
  t.equal(shards[0].log.at(-1), 'disconnect 2');
  t.notMatch(shards[1].log, ['disconnect 2'], 'it never heard of it');
});

t.test('subscriptions of a connection are bounded', async (t) => {
  const { connect } = await startIngress(t);
  const client = await connect('consume');
  for (let index = 0; index <= LIMITS.subscriptionsPerConnection; index += 1) {
    client.send(subscribe(index + 1, index, 'a'));
  }
  t.equal(await client.nextError(), `${LIMITS.subscriptionsPerConnection + 1} 3009`);
});

t.test('beyond the window and with a full shard: overloaded, with when to retry', async (t) => {
  const { connect, shards, ingress } = await startIngress(t);
  const client = await connect('publish');
  const frame = publish(1, 'a', 'x'.repeat(1_000_000));
  const fit = Math.floor((LIMITS.publishWindowBytes + BOUNDS.windowRoomBytes) / frame.byteLength);
  for (let index = 0; index <= fit; index += 1) client.send(frame);
  const error = await client.next();
  t.match(error, { kind: 'error', id: 1, code: 1010, details: { retryAfterMs: Number } });
  t.equal(shards[0].frames.length, fit);

  ingress.connections.windowReleased(1, frame.byteLength);
  client.send(frame);
  await until(() => shards[0].frames.length === fit + 1);
  client.send(frame);
  t.equal(await client.nextError(), '1 1010', 'the window is full again');

  shards[1].full = true;
  client.send(publish(2, 'b'));
  t.match(await client.next(), {
    kind: 'error',
    id: 2,
    code: 1010,
    details: { retryAfterMs: Number },
  });
  t.equal(ingress.refused.get(1010), 3);
});

t.test('a destination made at its first frame: order holds behind it', async (t) => {
  const { connect, shards, directory } = await startIngress(t);
  directory.autoCreate = true;
  let release = (): void => {};
  directory.create = (destination) =>
    new Promise((resolve) => {
      release = () => {
        directory.made.push(destination);
        resolve();
      };
    });
  const client = await connect('publish consume');
  const sent = [
    subscribe(1, 5, 'new'),
    publish(2, 'new'),
    encodeCredit({ id: 3, subscription: 5, add: 1 }),
    publish(4, 'new'),
  ];
  for (const frame of sent) client.send(frame);
  client.send(publish(9, 'a'));
  await until(() => shards[0].frames.length === 1);
  t.strictSame(shards[0].frames, [new Uint8Array(publish(9, 'a'))], 'others pass');
  release();
  await until(() => shards[0].frames.length === 5);
  t.strictSame(
    shards[0].frames.slice(1),
    sent.map((frame) => new Uint8Array(frame)),
  );
  client.send(encodeSettle({ id: 6, subscription: 5, outcomes: [1] }));
  await until(() => shards[0].frames.length === 6);
});

t.test('a destination that cannot be made: each frame gets the reason', async (t) => {
  const { connect, directory } = await startIngress(t);
  directory.autoCreate = true;
  let calls = 0;
  let release = (): void => {};
  directory.create = () => {
    calls += 1;
    return new Promise((_, reject) => {
      release = () => reject(new Error('disk'));
    });
  };
  const [one, two] = [await connect('publish'), await connect('publish')];
  one.send(publish(1, 'new'));
  one.send(publish(2, 'new'));
  two.send(publish(3, 'new'));
  const frames = 1024;
  for (let index = 0; index < frames; index += 1) one.send(publish(100 + index, 'new'));
  t.equal(await one.nextError(), `${100 + frames - 2} 1010`, 'what waits is bounded');
  t.equal(await one.nextError(), `${100 + frames - 1} 1010`);
  release();
  t.equal(await one.nextError(), '1 9001');
  t.equal(await one.nextError(), '2 9001');
  t.equal(await two.nextError(), '3 9001');
  t.equal(calls, 1, 'made once for both');
});
