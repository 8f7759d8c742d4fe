// The SDK against a real daemon in this process: publish to settlement, refusals, a restart.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t, { type Test } from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { connect, type Delivery } from '../../src/client/index.ts';
import { loadConfig } from '../../src/config/index.ts';
import { type StartedDaemon, startDaemon } from '../../src/daemon.ts';
import { Authenticator } from '../../src/ingress/auth.ts';

const secret = '0123456789abcdef0123456789abcdef';
const keys = [{ id: 'test', secret: new TextEncoder().encode(secret) }];
const auth = new Authenticator({ keys, issuer: 'fairlead', audience: 'fairlead' });

async function start(dataDir: string, port = 0): Promise<StartedDaemon> {
  const values = {
    dataDir,
    'auth.keys': [{ id: 'test', secret }],
    'dispatch.autoCreateDestinations': true,
    'ingress.port': port,
    'ingress.allowFallback': true,
  };
  const settings = Object.entries(values).map(([key, value]) => ({ key, value, from: 'test' }));
  const { config } = loadConfig({ file: undefined, env: {}, settings });
  return await startDaemon({
    config,
    env: {},
    logger: silentLogger,
    version: '0',
    onFatal: (error) => {
      throw error;
    },
  });
}

/** A port that was free a moment ago, for a daemon that has to come back on it. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const tokenOf = (scope: string, tenant?: string): Promise<string> =>
  auth.issueToken({ scope, ttlSec: 60, ...(tenant !== undefined && { tenant }) });

async function client(t: Test, daemon: StartedDaemon, scope = 'publish consume platform') {
  const made = connect({ url: daemon.url, token: await tokenOf(scope), resend: true });
  t.teardown(() => made.close(1000));
  return made;
}

// One daemon for all but the restart: starting its threads is most of the time.
const daemon = await start(t.testdir());
t.teardown(() => daemon.stop());

t.test('what is published comes out once, in order, under its id', async (t) => {
  const publisher = await client(t, daemon);
  const consumer = await client(t, daemon);
  const payloads = Array.from({ length: 5000 }, (_, index) => String(index));
  const { ids, refused } = await publisher.publishBatch(
    'sms',
    payloads.map((payload) => ({ tenant: 'acme', sender: '+49', payload })),
  );
  t.equal(refused.length, 0);
  const got: { id: string; text: string }[] = [];
  await new Promise<void>((resolve) => {
    consumer.subscribe('sms', { credit: 64 }, ({ id, text }) => {
      got.push({ id, text });
      if (got.length === payloads.length) resolve();
    });
  });
  t.strictSame(
    got.map(({ text }) => text),
    payloads,
  );
  t.strictSame(
    got.map(({ id }) => id),
    ids,
  );
  await consumer.close();
  const again = await client(t, daemon);
  let more = 0;
  await again
    .subscribe('sms', {}, () => {
      more += 1;
    })
    .ready();
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(more, 0, 'close told every outcome before it ended');
});

t.test('outcomes: a retry comes again, what is given back keeps its attempt', async (t) => {
  const both = await client(t, daemon);
  const seen: string[] = [];
  const done = new Promise<void>((resolve) => {
    both.subscribe('retries', {}, ({ text, attempt }: Delivery) => {
      seen.push(`${text} ${attempt}`);
      if (text === 'retry' && attempt === 1) return { outcome: 'retry', retryAfterMs: 1 };
      if (text === 'retry') resolve();
      return 'delivered';
    });
  });
  await both.publish('retries', { tenant: 'acme', payload: 'retry' });
  await done;
  t.strictSame(seen, ['retry 1', 'retry 2']);
});

t.test('a bad message among good ones is refused alone', async (t) => {
  const publisher = await client(t, daemon);
  const [good, bad, other] = publisher.publish('mixed', [
    { tenant: 'acme', payload: 'a' },
    { payload: 'b' },
    { tenant: 'acme', payload: 'c' },
  ]);
  await t.rejects(async () => await bad, Object.assign(new Error(), { error: 'tenantRequired' }));
  t.match(await good, { id: /^[0-9a-f]{32}$/ });
  t.match(await other, { id: /^[0-9a-f]{32}$/ });
});

t.test('a restart: waiting publishes and subscriptions go on with the next daemon', async (t) => {
  const dataDir = t.testdir();
  const first = await start(dataDir, await freePort());
  const both = await client(t, first);
  const got: string[] = [];
  both.subscribe('sms', {}, ({ text }) => {
    got.push(text);
  });
  const leaving: number[] = [];
  both.on('goAway', ({ retryAfterMs }) => leaving.push(retryAfterMs));
  await both.publish('sms', { tenant: 'acme', payload: 'before' });
  await first.stop();
  const waiting = both.publish('sms', { tenant: 'acme', payload: 'meanwhile' });
  const second = await start(dataDir, first.port);
  t.teardown(() => second.stop());
  await waiting;
  while (got.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  t.strictSame(got, ['before', 'meanwhile']);
  t.equal(leaving.length, 1);
});

t.test('a token of no use is a final error', async (t) => {
  const wrong = connect({ url: daemon.url, token: 'wrong' });
  await t.rejects(wrong.whenConnected(), Object.assign(new Error(), { error: 'tokenInvalid' }));
  const tenant = connect({ url: daemon.url, token: await tokenOf('publish', 'acme') });
  t.teardown(() => tenant.close(0));
  t.match(await tenant.publish('tokens', { payload: 'a' }), { id: /./ });
  await t.rejects(
    tenant.subscribe('tokens', {}, () => {}).ready(),
    Object.assign(new Error(), { error: 'scopeMissing' }),
  );
});
