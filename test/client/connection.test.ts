// The life of a connection: tokens, reconnecting, going away, silence, final errors.
import t from 'tap';
import { WebSocket } from 'ws';
import { BACKOFF, backoffMs } from '../../src/client/backoff.ts';
import { connect, type WebSocketConstructor } from '../../src/client/index.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { FakeDaemon, idOf } from './fake-daemon.ts';

t.test('the wait between attempts has full jitter, a base and a cap', async (t) => {
  t.equal(
    backoffMs(0, () => 0),
    0,
  );
  t.equal(
    backoffMs(0, () => 0.5),
    BACKOFF.baseMs / 2,
  );
  t.equal(
    backoffMs(3, () => 0.5),
    BACKOFF.baseMs * 4,
  );
  t.equal(
    backoffMs(1000, () => 1),
    BACKOFF.capMs,
  );
});

t.test('the token goes into a header where there are headers, else into the query', async (t) => {
  const daemon = await FakeDaemon.start(t);
  await daemon.client(t, { token: async () => 'fresh' }).whenConnected();
  t.equal(daemon.links[0]?.authorization, 'Bearer fresh');
  t.equal(daemon.links[0]?.url, '/v1/stream');
  // As a browser's: no headers.
  class Plain {
    constructor(url: string, protocols: string) {
      // biome-ignore lint/correctness/noConstructorReturn: a socket without the marks of its package
      return new WebSocket(url, protocols);
    }
  }
  const plain = Plain as unknown as WebSocketConstructor;
  await daemon.client(t, { token: 'a b', WebSocket: plain }).whenConnected();
  t.equal(daemon.links[1]?.authorization, undefined);
  t.equal(daemon.links[1]?.url, '/v1/stream?access_token=a+b');
});

t.test('events tell what becomes of the connection', async (t) => {
  const daemon = await FakeDaemon.start(t, (link) => link.hello({ creditMax: 9 }));
  const client = daemon.client(t);
  const events: string[] = [];
  client.on('connected', ({ durability, limits }) =>
    events.push(`connected ${durability} ${limits.creditMax}`),
  );
  client.on('disconnected', ({ code, retryInMs }) =>
    events.push(`disconnected ${code} ${typeof retryInMs}`),
  );
  await client.whenConnected();
  t.equal(client.isConnected, true);
  daemon.links[0]?.socket.terminate();
  while (daemon.links.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  await client.whenConnected();
  await client.close();
  t.strictSame(events, [
    'connected flushed 9',
    'disconnected 1006 number',
    'connected flushed 9',
    'disconnected 1000 undefined',
  ]);
});

t.test('going away: what was begun is finished, then it connects again', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const told: unknown[] = [];
  client.on('goAway', (event) => told.push(event));
  let end = (): void => {};
  client.subscribe('sms', {}, () => new Promise<void>((resolve) => (end = resolve)));
  const { link, id } = await daemon.frame(KIND.subscribe);
  link.ok(id);
  link.deliver(1, [1]);
  const early = client.publish('sms', { payload: 'early' });
  const frame = await daemon.frame(KIND.publish);
  link.goAway('restart', 30);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const late = client.publish('sms', { payload: 'late' });
  link.ok(frame.id, idOf(1), 1, null, null);
  t.match(await early, { id: /01$/ });
  end();
  const settle = await daemon.frame(KIND.settle);
  t.equal(settle.link, link, 'settled over the connection it came by');
  const goneAtMs = Date.now();
  link.ok(settle.id, 1, 0);
  const next = await daemon.frame(KIND.publish);
  t.not(next.link, link);
  t.ok(Date.now() - goneAtMs >= 25, 'not before the time the daemon asked for');
  next.link.ok(next.id, idOf(2), 1, null, null);
  await late;
  t.strictSame(told, [{ reason: 'restart', retryAfterMs: 30 }]);
});

for (const code of [4401, 4403]) {
  t.test(`a close with ${code} is final`, async (t) => {
    const daemon = await FakeDaemon.start(t, (link) => link.socket.close(code, 'no good'));
    const client = daemon.client(t);
    const errors: string[] = [];
    client.on('error', ({ error, message }) => errors.push(`${error}: ${message}`));
    await t.rejects(client.publish('sms', { payload: 'a' }), { message: 'no good', code: /^200/ });
    await t.rejects(client.whenConnected(), { message: 'no good' });
    await t.rejects(client.publish('sms', { payload: 'a' }), { message: 'no good' });
    t.throws(() => client.subscribe('sms', {}, () => {}), { message: 'no good' });
    t.equal(daemon.links.length, 1);
    t.equal(errors.length, 1);
  });
}

t.test('a token that expired in use is asked for again, if there is a function', async (t) => {
  const daemon = await FakeDaemon.start(t);
  let asked = 0;
  const client = daemon.client(t, { token: () => `token${++asked}` });
  await client.whenConnected();
  daemon.links[0]?.socket.close(4401, 'expired');
  while (daemon.links.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  t.equal(daemon.links[1]?.authorization, 'Bearer token2');
});

t.test('a silent daemon is asked for a sign of life, and then given up', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t, { heartbeatMs: 250 });
  await client.whenConnected();
  const asked = await daemon.frame(KIND.status);
  asked.link.error(asked.id, 1007, 'not yet');
  const again = await daemon.frame(KIND.status);
  t.equal(again.link, asked.link, 'an error is a sign of life too');
  const next = await daemon.frame(KIND.status);
  t.not(next.link, asked.link);
});

t.test('a daemon that accepts and says nothing is given up', async (t) => {
  const daemon = await FakeDaemon.start(t, (link, count) => {
    if (count > 1) link.hello();
  });
  await daemon.client(t, { openTimeoutMs: 100 }).whenConnected();
  // More than one on a host that stalls.
  t.ok(daemon.links.length >= 2);
  t.equal(daemon.links[0]?.socket.readyState, WebSocket.CLOSED);
});

t.test('bytes that are no frame end the connection, not the client', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const errors: string[] = [];
  client.on('error', ({ error }) => errors.push(error));
  await client.whenConnected();
  daemon.links[0]?.socket.send(Buffer.from([1, 2, 3]));
  while (daemon.links.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  await client.whenConnected();
  t.strictSame(errors, ['badFrame']);
});

t.test('nobody listens: it tries again, and an abort ends it at once', async (t) => {
  const controller = new AbortController();
  const client = connect({ url: 'ws://127.0.0.1:9', token: 'x', signal: controller.signal });
  const reason = await new Promise<string>((resolve) => {
    client.on('disconnected', (event) => resolve(event.reason));
  });
  t.match(reason, /ECONNREFUSED/);
  const waiting = client.publish('sms', { payload: 'a' });
  controller.abort();
  await t.rejects(
    waiting,
    Object.assign(new Error('Aborted.'), { error: 'clientClosed', maybeAccepted: false }),
  );
});
