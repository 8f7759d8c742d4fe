// The REST resources of the outbox, with its real parts behind them.
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { ProcessClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { loadConfig } from '../../src/config/index.ts';
import { FairleadError } from '../../src/errors.ts';
import { type Outbound, openOutbound } from '../../src/outbound/open-outbound.ts';
import { keyText } from '../../src/outbound/signatures.ts';
import { httpPeer } from '../support/http-peer.ts';

const key = keyText(Buffer.alloc(24, 1));
const clock = ProcessClock.start();
t.teardown(() => clock.stop());

interface Api {
  readonly outbound: Outbound;
  call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
}

function open(path: string, retryMs: readonly number[]): Api {
  const values = { 'outbound.allow': ['127.0.0.1'], 'outbound.retryMs': retryMs };
  const settings = Object.entries(values).map(([key, value]) => ({ key, value, from: 'test' }));
  const outbound = openOutbound({
    options: loadConfig({ file: undefined, env: {}, settings }).config.outbound,
    path,
    durability: 'flushed',
    keys: { standardKeys: () => [key], formToken: () => undefined },
    clock,
    logger: silentLogger,
    onFatal: (error) => {
      throw error;
    },
  });
  outbound.outbox.start();
  const call: Api['call'] = async (method, path, body) => {
    const [place = '', query = ''] = path.split('?');
    const route = outbound.routes.find((each) => each.method === method && each.path === place);
    if (route === undefined) throw new Error(`no route ${method} ${place}`);
    const reply = await route.handler({
      params: {},
      query: new URLSearchParams(query),
      headers: new Map(),
      body,
      identity: undefined,
      remoteAddress: '',
    });
    return reply.body as Record<string, unknown>;
  };
  return { outbound, call };
}

const codeOf = async (work: Promise<unknown>): Promise<number> => {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  return error instanceof FairleadError ? error.code : 0;
};

async function until(isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!isSo() && performance.now() < endMs) await new Promise((done) => setTimeout(done, 5));
}

t.test('what failed is listed, replayed, and its endpoint enabled', async (t) => {
  let status = 500;
  const peer = await httpPeer((response) => {
    response.statusCode = status;
    response.end();
  });
  const { outbound, call } = open(t.testdir(), [0, 10]);
  const { outbox } = outbound;
  t.teardown(async () => {
    await outbound.close(1_000);
    await peer.close();
  });
  const put = (ids: readonly string[]) =>
    outbox.put(
      ids.map((id) => ({
        id,
        stream: null,
        url: `${peer.url}/hook?secret=${id}`,
        method: 'POST' as const,
        contentType: 'application/json',
        body: Buffer.from('{}'),
        signing: { kind: 'standard' as const, tenant: 'acme' },
        createdMs: Date.now(),
      })),
    );
  const url = `${peer.url}/hook`;
  await put(['m1', 'm2']);
  await until(() => outbox.numbers.failed === 2);
  const { items: failed, cursor } = await call('GET', '/v1/outbox/items?state=failed&limit=1');
  t.match(failed, [
    { id: 'm1', endpoint: url, state: 'failed', attempts: 2, lastError: 'status 500' },
  ]);
  const rest = await call('GET', `/v1/outbox/items?state=failed&cursor=${cursor}`);
  t.match(rest, { items: [{ id: 'm2', nextAttemptMs: null }], cursor: null });
  t.strictSame((await call('GET', '/v1/outbox/items?state=waiting')).items, []);
  const other = encodeURIComponent('https://other.test/');
  t.strictSame((await call('GET', `/v1/outbox/items?endpoint=${other}`)).items, []);
  const own = encodeURIComponent(`${url}?x`);
  t.equal(((await call('GET', `/v1/outbox/items?endpoint=${own}`)).items as object[]).length, 2);

  status = 410;
  t.strictSame(await call('POST', '/v1/outbox/replay', { ids: ['m1', 'nobody'] }), {
    replayed: 1,
    unknown: 1,
    left: 0,
  });
  await until(() => outbox.numbers.disabledEndpoints === 1 && outbox.numbers.failed === 2);
  t.match(await call('GET', '/v1/outbox/endpoints'), {
    items: [{ url, state: 'disabled', failed: 2, waiting: 0, concurrency: 0 }],
    cursor: null,
  });
  t.strictSame(await put(['m3']), [{ id: 'm3', reason: 'endpointDisabled' }]);
  t.equal(await codeOf(call('POST', '/v1/outbox/replay', { endpoint: url })), 3034);

  status = 200;
  const enabled = { url, wasDisabled: true, failed: 2 };
  t.strictSame(await call('POST', '/v1/outbox/endpoints/enable', { url: `${url}?q` }), enabled);
  const replayed = await call('POST', '/v1/outbox/replay', { endpoint: url });
  t.strictSame(replayed, { replayed: 2, unknown: 0, left: 0 });
  await until(() => outbox.numbers.delivered === 2 && outbox.numbers.waiting === 0);
  const [endpoint] = (await call('GET', '/v1/outbox/endpoints')).items as Record<string, unknown>[];
  t.match(endpoint, { state: 'open', failed: 0, waiting: 0, lastError: null });
  t.ok(Number(endpoint?.p50Ms) > 0 && Number(endpoint?.p99Ms) >= Number(endpoint?.p50Ms));
});

t.test('bodies and queries that are refused', async (t) => {
  const { outbound, call } = open(t.testdir(), [0]);
  t.teardown(() => outbound.close(0));
  t.equal(await codeOf(call('POST', '/v1/outbox/replay', {})), 1015);
  t.equal(await codeOf(call('POST', '/v1/outbox/replay', { ids: ['a'], endpoint: 'b' })), 1015);
  t.equal(await codeOf(call('POST', '/v1/outbox/replay', { ids: [] })), 1015);
  t.equal(await codeOf(call('POST', '/v1/outbox/replay', { id: 'a' })), 1014);
  t.equal(await codeOf(call('POST', '/v1/outbox/test', [])), 1015);
  t.equal(await codeOf(call('POST', '/v1/outbox/test', { url: 'https://a.test/' })), 1015);
  t.equal(await codeOf(call('GET', '/v1/outbox/items?state=sent')), 1015);
  t.equal(await codeOf(call('GET', '/v1/outbox/endpoints?cursor=x')), 1015);
});

t.test('a test is signed, sent once, and shows no body', async (t) => {
  let status = 200;
  const peer = await httpPeer((response) => {
    response.statusCode = status;
    response.end('inside');
  });
  const { outbound, call } = open(t.testdir(), [0]);
  t.teardown(async () => {
    await outbound.close(0);
    await peer.close();
  });
  const test = (url: string) => call('POST', '/v1/outbox/test', { url, tenant: 'acme' });
  const taken = await test(`${peer.url}/hook`);
  t.match(taken, { isTaken: true, status: 200, error: null });
  t.notMatch(JSON.stringify(taken), /inside/);
  const [got] = peer.received;
  const verified = new Webhook(key).verify(
    got?.body ?? '',
    taken.headers as Record<string, string>,
  );
  t.match(verified, { type: 'ping', data: { tenant: 'acme' } });
  t.equal(
    got?.headers['webhook-signature'],
    (taken.headers as Record<string, string>)['webhook-signature'],
  );
  status = 500;
  t.match(await test(peer.url), { isTaken: false, status: 500 });
  t.equal(peer.received.length, 2, 'it is not tried again');
  t.match(await test('http://10.0.0.1/'), {
    isTaken: false,
    status: null,
    error: { kind: 'blocked' },
  });
  t.match(await test('ftp://10.0.0.1/'), { error: { kind: 'badUrl' } });

  t.match(await test('http://127.0.0.1:1/'), { error: { kind: 'refused' } });
});
