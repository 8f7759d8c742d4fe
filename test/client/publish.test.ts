// Publishing: what shares a frame, what the answers become, what a lost connection means.
import t from 'tap';
import { FairleadClientError } from '../../src/client/index.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { FakeDaemon, idOf, payloadsOf } from './fake-daemon.ts';

const hex = (index: number): string => idOf(index).toString('hex');

async function refusal(promise: Promise<unknown>): Promise<FairleadClientError> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof FairleadClientError) return error;
  throw new Error('it was not refused');
}

t.test('messages of one turn share a frame, a promise each', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const promises = client.publish('sms', [{ payload: 'a' }, { payload: 'b' }]);
  promises.push(client.publish('sms', { payload: 'c' }));
  const frame = await daemon.frame(KIND.publish);
  t.equal(frame.fields[0], 'sms');
  t.strictSame(payloadsOf(frame), ['a', 'b', 'c']);
  frame.link.ok(frame.id, idOf(254), 3, null, null);
  t.strictSame(await Promise.all(promises), [
    { id: hex(254), repeated: false },
    { id: hex(255), repeated: false },
    { id: hex(256), repeated: false },
  ]);
});

t.test('each destination has its own frame; the names travel', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const message = { tenant: 'acme', sender: '+49', recipient: '+33', payload: new Uint8Array([1]) };
  const one = client.publish('one', message);
  const two = client.publish('two', { payload: '', options: { cost: 2, validityMs: 5 } });
  const first = await daemon.frame(KIND.publish);
  const second = await daemon.frame(KIND.publish);
  t.strictSame(first.fields, ['one', [['acme', '+49', '+33', Buffer.from([1])]]]);
  t.strictSame(second.fields, ['two', [[null, null, null, '', { c: 2, ttl: 5 }]]]);
  first.link.ok(first.id, idOf(0), 1, null, null);
  second.link.ok(second.id, idOf(1), 1, null, null);
  t.strictSame(await Promise.all([one, two]), [
    { id: hex(0), repeated: false },
    { id: hex(1), repeated: false },
  ]);
});

t.test('answers may come in any order; refused and repeated messages are told apart', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const early = client.publishBatch('sms', [{ payload: 'a' }, { payload: 'b' }, { payload: 'c' }]);
  const late = client.publish('other', { payload: 'd' });
  const first = await daemon.frame(KIND.publish);
  const second = await daemon.frame(KIND.publish);
  second.link.ok(second.id, idOf(9), 1, null, null);
  t.strictSame(await late, { id: hex(9), repeated: false });
  first.link.ok(first.id, idOf(4), 3, [[1, 3002, 250]], [[2, idOf(1)]]);
  const { ids, refused, repeated } = await early;
  t.strictSame(ids, [hex(4), undefined, hex(1)]);
  t.strictSame(repeated, [2]);
  t.equal(refused.length, 1);
  t.match(refused[0], {
    index: 1,
    error: { error: 'queueFull', code: 3002, retryable: true, retryAfterMs: 250 },
  });
});

t.test('a refused frame refuses its messages', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const promise = client.publish('sms', { payload: 'a' });
  const frame = await daemon.frame(KIND.publish);
  frame.link.error(frame.id, 1010, 'too much', { retryAfterMs: 100 });
  t.match(await refusal(promise), {
    error: 'overloaded',
    retryable: true,
    retryAfterMs: 100,
    maybeAccepted: false,
    message: 'too much',
  });
});

t.test('a fault of one message does not refuse its neighbours in the frame', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const promises = client.publish('sms', [{ payload: 'a' }, { payload: 'bad' }, { payload: 'c' }]);
  const refused = refusal(promises[1] ?? Promise.resolve());
  const frame = await daemon.frame(KIND.publish);
  frame.link.error(frame.id, 1020, 'no such option', { index: 1 });
  t.match(await refused, { error: 'invalidOption' });
  const again = await daemon.frame(KIND.publish);
  t.strictSame(payloadsOf(again), ['a', 'c']);
  again.link.ok(again.id, idOf(0), 2, null, null);
  t.strictSame(await promises[0], { id: hex(0), repeated: false });
  t.strictSame(await promises[2], { id: hex(1), repeated: false });
});

t.test('what the daemon would refuse is refused before it shares a frame', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const bad = [
    client.publish('sms', { payload: 'x', tenant: 'a b' }),
    client.publish('', { payload: 'x' }),
    client.publish('sms', { payload: 'x'.repeat(64 * 1024 + 1) }),
    client.publish('sms', { payload: 5 as unknown as string }),
  ];
  const errors = await Promise.all(bad.map(refusal));
  t.strictSame(
    errors.map(({ error }) => error),
    ['invalidName', 'invalidName', 'payloadTooLarge', 'wrongType'],
  );
  t.equal(daemon.count(KIND.publish), 0);
});

t.test('options travel under their short keys', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const options = {
    idempotencyKey: 'order-7',
    level: 2,
    cost: 3,
    sendAt: new Date(1_790_000_000_123),
    validityMs: 3_600_000,
    callbackUrl: 'https://example.com/hook?a=1',
    callbackEvents: ['accepted', 'cancelled'] as const,
    orderKey: 'thread-1',
    tag: 'spring',
  };
  const once = client.publish('sms', { payload: 'a', options });
  void client.publish('sms', { payload: 'b', options: { sendAt: 5, level: 0 } });
  void client.publish('sms', { payload: 'c', options: {} });
  const frame = await daemon.frame(KIND.publish);
  const sent = (frame.fields[1] as unknown[][]).map((message) => message[4]);
  t.strictSame(sent, [
    {
      k: 'order-7',
      l: 2,
      c: 3,
      at: 1_790_000_000_123,
      ttl: 3_600_000,
      cb: 'https://example.com/hook?a=1',
      ce: 0x402,
      o: 'thread-1',
      g: 'spring',
    },
    { l: 0, at: 5 },
    {},
  ]);
  frame.link.ok(frame.id, idOf(4), 3, null, [[0, idOf(1)]]);
  t.strictSame(await once, { id: hex(1), repeated: true });
});

t.test('wrong options are refused before they share a frame', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const cases: [string, Record<string, unknown>, string][] = [
    ['an empty key', { idempotencyKey: '' }, 'invalidOption'],
    ['a long key', { idempotencyKey: 'é'.repeat(128) }, 'fieldTooLong'],
    ['a level past the last', { level: 8 }, 'invalidOption'],
    ['a level by name', { level: 'high' }, 'invalidOption'],
    ['no cost', { cost: 0 }, 'invalidOption'],
    ['a fraction of cost', { cost: 1.5 }, 'invalidOption'],
    ['no date', { sendAt: new Date('soon') }, 'invalidOption'],
    ['a time before the epoch', { sendAt: -1 }, 'invalidOption'],
    ['31 days', { validityMs: 31 * 86_400_000 }, 'invalidOption'],
    ['no URL', { callbackUrl: 'example.com' }, 'invalidOption'],
    ['a long URL', { callbackUrl: `http://${'x'.repeat(2042)}` }, 'fieldTooLong'],
    ['a status that is none', { callbackEvents: ['sent', 'lost'] }, 'invalidOption'],
    ['a space in an order key', { orderKey: 'a b' }, 'invalidName'],
    ['a long tag', { tag: 'x'.repeat(129) }, 'invalidName'],
  ];
  for (const [name, options, error] of cases) {
    t.match(await refusal(client.publish('sms', { payload: 'x', options })), { error }, name);
  }
  t.equal(daemon.count(KIND.publish), 0);
});

t.test('no more than the window is unanswered; the queue behind it is bounded', async (t) => {
  const daemon = await FakeDaemon.start(t, (link) => link.hello({ publishWindowBytes: 40_000 }));
  const client = daemon.client(t, { queueBytesMax: 60_000 });
  await client.whenConnected();
  const batch = (): Promise<unknown> =>
    client.publishBatch('sms', [{ payload: 'x'.repeat(30_000) }]);
  const first = batch();
  const frame = await daemon.frame(KIND.publish);
  const second = batch();
  t.match(await refusal(batch()), { error: 'clientQueueFull', retryable: true });
  let writable = false;
  void client.writable().then(() => {
    writable = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(daemon.count(KIND.publish), 0, 'the second waits for the window');
  t.equal(writable, false);
  frame.link.ok(frame.id, idOf(0), 1, null, null);
  const next = await daemon.frame(KIND.publish);
  next.link.ok(next.id, idOf(1), 1, null, null);
  await Promise.all([first, second, client.writable()]);
  t.equal(writable, true);
});

t.test('more messages than a frame may hold go in several, with one promise', async (t) => {
  const daemon = await FakeDaemon.start(t, (link) => link.hello({ messagesPerFrame: 2 }));
  const client = daemon.client(t);
  await client.whenConnected();
  const messages = ['a', 'b', 'c', 'd', 'e'].map((payload) => ({ payload }));
  const promise = client.publishBatch('sms', messages);
  for (const expected of [['a', 'b'], ['c', 'd'], ['e']]) {
    const frame = await daemon.frame(KIND.publish);
    t.strictSame(payloadsOf(frame), expected);
    frame.link.ok(frame.id, idOf(0), expected.length, null, null);
  }
  t.strictSame((await promise).ids, [hex(0), hex(1), hex(0), hex(1), hex(0)]);
});

t.test('unanswered when the connection ends: refused as perhaps accepted', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const lost = refusal(client.publish('sms', { payload: 'a' }));
  const frame = await daemon.frame(KIND.publish);
  frame.link.socket.terminate();
  t.match(await lost, { error: 'connectionLost', retryable: true, maybeAccepted: true });
  const later = client.publish('sms', { payload: 'b' });
  const next = await daemon.frame(KIND.publish);
  t.strictSame(payloadsOf(next), ['b'], 'what was not sent yet waits for the next connection');
  next.link.ok(next.id, idOf(3), 1, null, null);
  t.strictSame(await later, { id: hex(3), repeated: false });
});

t.test('with resend, what was unanswered is sent again, first and in order', async (t) => {
  const daemon = await FakeDaemon.start(t, (link) => link.hello({ messagesPerFrame: 1 }));
  const client = daemon.client(t, { resend: true });
  await client.whenConnected();
  const promise = client.publishBatch('sms', [{ payload: 'a' }, { payload: 'b' }]);
  await daemon.frame(KIND.publish);
  const second = await daemon.frame(KIND.publish);
  second.link.socket.terminate();
  for (const [index, payload] of ['a', 'b'].entries()) {
    const frame = await daemon.frame(KIND.publish);
    t.strictSame(payloadsOf(frame), [payload]);
    frame.link.ok(frame.id, idOf(index), 1, null, null);
  }
  t.strictSame((await promise).ids, [hex(0), hex(1)]);
});

t.test('a frame refused because the daemon goes away is sent to the next one', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const promise = client.publish('sms', { payload: 'a' });
  const frame = await daemon.frame(KIND.publish);
  frame.link.goAway('restart', 0);
  frame.link.error(frame.id, 1011, 'ending');
  const again = await daemon.frame(KIND.publish);
  t.not(again.link, frame.link);
  again.link.ok(again.id, idOf(2), 1, null, null);
  t.strictSame(await promise, { id: hex(2), repeated: false });
});

t.test('close waits for answers; what comes after is refused', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const promise = client.publish('sms', { payload: 'a' });
  const closed = client.close();
  const frame = await daemon.frame(KIND.publish);
  frame.link.ok(frame.id, idOf(0), 1, null, null);
  t.strictSame(await promise, { id: hex(0), repeated: false });
  await closed;
  t.match(await refusal(client.publish('sms', { payload: 'b' })), { error: 'clientClosed' });
});

t.test('close gives up after its time', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const lost = refusal(client.publish('sms', { payload: 'a' }));
  await daemon.frame(KIND.publish);
  await client.close(20);
  t.match(await lost, { error: 'clientClosed', maybeAccepted: true });
});
