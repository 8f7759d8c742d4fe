// A webhook gateway on a real daemon and a real HTTP server: each outcome, batches, signatures, changes.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { MessageApi } from '../support/message-api.ts';
import {
  LOOPBACK,
  putWebhookGateway,
  secretsDir,
  until,
  WebhookPeer,
} from '../support/webhook-peer.ts';

const retryFast = { retryBaseMs: 20, retryMaxMs: 50 };

t.test('a message goes out as one request and is sent', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  const peer = await WebhookPeer.start(t);
  await api.call('PUT /v1/destinations/d', {});
  await putWebhookGateway(api, 'g', { destinations: ['d'], url: peer.url });
  const message = {
    destination: 'd',
    tenant: 'acme',
    sender: 's',
    recipient: '+4930',
    payload: 'hé',
  };
  const id = await api.send(message);
  const found = await api.until(id, 'sent');
  t.equal(found.attempts, 1);
  const [request] = peer.requests;
  t.match(request?.headers, { 'content-type': 'application/json', 'webhook-id': `send_${id}_1` });
  const body = JSON.parse(request?.body ?? '');
  t.equal(body.type, 'message.send');
  t.ok(Math.abs(Date.parse(body.timestamp) - Date.now()) < 10_000);
  t.match(body.data, {
    ...message,
    id,
    attempt: 1,
    acceptedAt: new Date(found.acceptedMs).toISOString(),
    maybeDuplicate: false,
  });
  t.equal(peer.requests.length, 1);
});

t.test('what is no text goes out in base64', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  const peer = await WebhookPeer.start(t);
  await api.call('PUT /v1/destinations/d', {});
  await putWebhookGateway(api, 'g', { destinations: ['d'], url: peer.url });
  const { body } = await api.call('POST /v1/messages', {
    destination: 'd',
    tenant: 'acme',
    payloadBase64: '/wD/',
  });
  await api.until(body.id, 'sent');
  t.equal(peer.messages[0]?.payloadBase64, '/wD/');
  t.equal(peer.messages[0]?.payload, undefined);
});

t.test('each answer has its outcome', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  const answers: Record<string, { status: number; body?: unknown }> = {
    refused: { status: 404 },
    moved: { status: 301 },
    named: { status: 200, body: { outcome: 'failed', code: 77 } },
  };
  const peer = await WebhookPeer.start(t, ([message]) => {
    const { payload = '', attempt = 0 } = message ?? {};
    if (payload === 'later') return { status: attempt < 3 ? 500 : 200 };
    if (payload === 'slow') return { status: attempt < 2 ? 408 : 200 };
    return answers[payload] ?? { status: 202 };
  });
  await api.call('PUT /v1/destinations/d', retryFast);
  await putWebhookGateway(api, 'g', { destinations: ['d'], url: peer.url });
  const send = (payload: string) => api.send({ destination: 'd', tenant: 'acme', payload });
  t.match(await api.until(await send('fine'), 'sent'), { code: null, attempts: 1 });
  t.match(await api.until(await send('refused'), 'failed'), { code: 404, attempts: 1 });
  t.match(await api.until(await send('moved'), 'failed'), { code: 301 });
  t.match(await api.until(await send('named'), 'failed'), { code: 77 });
  t.match(await api.until(await send('later'), 'sent'), { attempts: 3 });
  t.match(await api.until(await send('slow'), 'sent'), { attempts: 2 });
  const { body } = await api.call('GET /v1/gateways/g/state');
  t.match(body, { up: true, outcomes: { sent: 3, failed: 3, retry: 3, doubt: 0 } });
  t.match(body, { lastError: { message: /answered/ }, driver: { breaker: 'closed' } });
  t.ok(body.p50Ms > 0 && body.p99Ms >= body.p50Ms);
});

t.test('a batch is what waits at the moment; each message may have its own outcome', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  let release: () => void = () => {};
  const first = new Promise<void>((resolve) => {
    release = resolve;
  });
  const peer = await WebhookPeer.start(t, async (messages) => {
    if (peer.requests.length === 1) await first;
    const results = messages.map(({ payload }) =>
      payload === 'bad' ? { outcome: 'failed', code: 9 } : {},
    );
    return { status: 200, body: { results } };
  });
  await api.call('PUT /v1/destinations/d', {});
  const webhook = { batchMax: 50 };
  await putWebhookGateway(api, 'g', {
    destinations: ['d'],
    url: peer.url,
    inFlightMax: 50,
    webhook,
  });
  const ids = [await api.send({ destination: 'd', tenant: 'a', payload: '0' })];
  await until('the first request', () => peer.requests.length === 1);
  const messages = Array.from({ length: 20 }, (_, index) => {
    return { tenant: 'a', payload: index === 7 ? 'bad' : `${index}` };
  });
  const { body } = await api.call('POST /v1/messages/batch', { destination: 'd', messages });
  for (const item of body.items) ids.push(item.id);
  await until('the others in flight', async () => {
    return (await api.call('GET /v1/gateways/g/state')).body.inFlight === 21;
  });
  release();
  for (const [index, id] of ids.entries()) await api.until(id, index === 8 ? 'failed' : 'sent');
  t.equal(peer.requests.length, 2, 'all that waited were one request');
  t.equal(peer.messages.length, 21);
});

t.test('requests are signed with the secret of the gateway', async (t) => {
  const secret = `whsec_${Buffer.from('0123456789abcdef01234567').toString('base64')}`;
  const dir = secretsDir(t, { 'carrier.key': `${secret}\n` });
  const api = await MessageApi.start(t, { ...LOOPBACK, 'secrets.dir': dir });
  const peer = await WebhookPeer.start(t);
  await api.call('PUT /v1/destinations/d', retryFast);
  const webhook = { secret: 'carrier.key' };
  await putWebhookGateway(api, 'g', { destinations: ['d'], url: peer.url, webhook });
  const id = await api.send({ destination: 'd', tenant: 'acme' });
  await api.until(id, 'sent');
  const [request] = peer.requests;
  const headers = request?.headers as Record<string, string>;
  t.doesNotThrow(() => new Webhook(secret).verify(request?.body ?? '', headers));
  t.throws(() => new Webhook(secret).verify(`${request?.body} `, headers));
});

t.test('429 and 503 let the gateway rest, and its message goes on afterwards', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  const times: number[] = [];
  const peer = await WebhookPeer.start(t, () => {
    times.push(performance.now());
    if (times.length === 1) return { status: 429, headers: { 'retry-after': '1' } };
    return { status: times.length === 2 ? 503 : 200 };
  });
  await api.call('PUT /v1/destinations/d', {});
  await putWebhookGateway(api, 'g', { destinations: ['d'], url: peer.url });
  const id = await api.send({ destination: 'd', tenant: 'acme' });
  t.match(await api.until(id, 'sent'), { attempts: 1 }, 'a rest is no attempt');
  const [first = 0, second = 0, third = 0] = times;
  t.ok(second - first >= 990, `it rested as told: ${second - first} ms`);
  t.ok(third - second >= 990, `a second where it said nothing: ${third - second} ms`);
});

t.test('a changed gateway goes on without losing or doubling what is in flight', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  const slow = async () => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    return { status: 200 };
  };
  const one = await WebhookPeer.start(t, slow);
  const two = await WebhookPeer.start(t, slow);
  await api.call('PUT /v1/destinations/d', {});
  const put = (url: string) =>
    putWebhookGateway(api, 'g', { destinations: ['d'], url, inFlightMax: 8 });
  await put(one.url);
  const ids: string[] = [];
  for (let index = 0; index < 10; index += 1) {
    const messages = Array.from({ length: 20 }, () => ({ tenant: 'a', payload: 'x' }));
    const { body } = await api.call('POST /v1/messages/batch', { destination: 'd', messages });
    for (const item of body.items) ids.push(item.id);
    await put(index % 2 === 0 ? two.url : one.url);
  }
  for (const id of ids) await api.until(id, 'sent');
  const all = [...one.messages, ...two.messages];
  t.equal(all.length, ids.length, 'each once');
  t.strictSame(all.map(({ id }) => id).sort(), [...ids].sort());
  t.ok(all.every(({ attempt, maybeDuplicate }) => attempt === 1 && !maybeDuplicate));
  t.ok(one.messages.length > 0 && two.messages.length > 0);
});

t.test('a paused gateway rests, a deleted one is gone, a new one takes over', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  const peer = await WebhookPeer.start(t);
  await api.call('PUT /v1/destinations/d', {});
  const gateway = { destinations: ['d'], url: peer.url };
  await putWebhookGateway(api, 'g', gateway);
  await api.until(await api.send({ destination: 'd', tenant: 'a' }), 'sent');
  await putWebhookGateway(api, 'g', { ...gateway, paused: true });
  const waiting = await api.send({ destination: 'd', tenant: 'a' });
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal((await api.call(`GET /v1/messages/${waiting}`)).body.status, 'queued');
  t.equal((await api.call('DELETE /v1/gateways/g')).status, 204);
  t.equal((await api.call('GET /v1/gateways/g/state')).status, 404);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal((await api.call(`GET /v1/messages/${waiting}`)).body.status, 'queued');
  await putWebhookGateway(api, 'other', gateway);
  await api.until(waiting, 'sent');
  t.equal(peer.messages.length, 2);
});

t.test('an answer whose body breaks off counts by its head, but for a batch', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  let head = '';
  const requests: string[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      requests.push(chunk.toString());
      socket.end(`${head}\r\ncontent-length: 99\r\n\r\n{"results": [`);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  await api.call('PUT /v1/destinations/d', { ...retryFast, onDoubt: 'fail' });
  const put = (batchMax: number) =>
    putWebhookGateway(api, 'g', { destinations: ['d'], url, webhook: { batchMax } });
  const send = () => api.send({ destination: 'd', tenant: 'acme' });
  head = 'HTTP/1.1 200 OK';
  await put(1);
  await api.until(await send(), 'sent');
  head = 'HTTP/1.1 400 No';
  t.match(await api.until(await send(), 'failed'), { code: 400 });
  await put(2);
  t.match(await api.until(await send(), 'failed'), { code: 400 }, 'also of a batch');
  head = 'HTTP/1.1 200 OK';
  t.match(await api.until(await send(), 'failed'), { code: 3025 }, 'in doubt');
  t.equal(requests.length, 4);
});
