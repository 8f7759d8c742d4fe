// Receipts of webhook gateways on a real daemon: before, after and long after the message, over restarts.
import { createHmac } from 'node:crypto';
import t, { type Test } from 'tap';
import { MessageApi } from '../support/message-api.ts';
import {
  LOOPBACK,
  putWebhookGateway,
  secretsDir,
  until,
  WebhookPeer,
} from '../support/webhook-peer.ts';

const noReceipts = { applied: 0, partly: 0, late: 0, unknown: 0 };

/** A daemon with a gateway that names each message `gw-` and its payload. */
async function setUp(t: Test, more = {}) {
  const api = await MessageApi.start(t, { ...LOOPBACK, ...more });
  const peer = await WebhookPeer.start(t, ([message]) => {
    return { status: 200, body: { id: `gw-${message?.payload}` } };
  });
  await api.call('PUT /v1/destinations/d', {});
  await putWebhookGateway(api, 'g', { destinations: ['d'], url: peer.url });
  const send = (payload: string) => api.send({ destination: 'd', tenant: 'acme', payload });
  const tell = async (...receipts: readonly object[]) =>
    (await api.call('POST /v1/gateways/g/receipts', receipts)).body;
  return { api, peer, send, tell };
}

t.test('a receipt after the message gives it its status and code', async (t) => {
  const { api, send, tell } = await setUp(t);
  const ids = [await send('a'), await send('b'), await send('c')];
  for (const id of ids) await api.until(id, 'sent');
  const receipts = [
    { id: 'gw-a', status: 'delivered' },
    { id: 'gw-b', status: 'undelivered', code: 27 },
    { id: 'gw-c', status: 'failed', code: 28 },
    { id: 'gw-nobody', status: 'delivered' },
  ];
  t.strictSame(await tell(...receipts), { ...noReceipts, applied: 3, unknown: 1 });
  t.match(await api.until(ids[0] ?? '', 'delivered'), { code: null });
  t.match(await api.until(ids[1] ?? '', 'undelivered'), { code: 27 });
  t.match(await api.until(ids[2] ?? '', 'failed'), { code: 28 });
  t.strictSame(await tell(...receipts), { ...noReceipts, unknown: 4 }, 'each is waited for once');
});

t.test('a receipt is waited for over a restart', async (t) => {
  const { api, send, tell } = await setUp(t);
  const id = await send('a');
  await api.until(id, 'sent');
  await api.restart();
  t.strictSame(await tell({ id: 'gw-a', status: 'delivered' }), { ...noReceipts, applied: 1 });
  await api.until(id, 'delivered');
});

t.test('a receipt that comes before the answer to its message waits for it', async (t) => {
  const { api, peer, send, tell } = await setUp(t);
  let told: Promise<unknown> | undefined;
  peer.answer = async ([message]) => {
    told = tell({ id: 'early', status: 'delivered' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { status: 200, body: { id: message?.payload } };
  };
  const id = await send('early');
  await api.until(id, 'delivered');
  t.strictSame(await told, { ...noReceipts, applied: 1 });
});

t.test('a receipt of a message that is no longer remembered is late', async (t) => {
  const { api, send, tell } = await setUp(t, { 'dispatch.retentionMs': 0 });
  const id = await send('a');
  await until('it is forgotten', async () => {
    return (await api.call(`GET /v1/messages/${id}`)).status === 404;
  });
  // Nobody wants to know of it here, so it is unknown.
  t.strictSame(await tell({ id: 'gw-a', status: 'delivered' }), { ...noReceipts, unknown: 1 });
});

t.test('a late status is shown of a message with callbacks, until it is deleted', async (t) => {
  const { api, peer, send, tell } = await setUp(t, { 'dispatch.retentionMs': 0 });
  const sid = `AC${'1'.repeat(32)}`;
  const { primaryToken } = (await api.call(`PUT /v1/accounts/${sid}`, { tenant: 'acme' })).body;
  const account = async (id: string) => {
    const credentials = Buffer.from(`${sid}:${primaryToken}`).toString('base64');
    const url = `${api.url}/2010-04-01/Accounts/${sid}/Messages/SM${id}.json`;
    const answer = await fetch(url, { headers: { authorization: `Basic ${credentials}` } });
    return { status: answer.status, body: await answer.json() };
  };
  const wanted = { callbackUrl: peer.url, callbackEvents: ['failed'], recipient: '+4930' };
  const more = { destination: 'd', tenant: 'acme', payload: 'b', tag: 'news', ...wanted };
  const [plain, id] = [await send('a'), await api.send(more)];
  const get = (query = '') => api.call(`GET /v1/messages/${id}${query}`);
  await until('both are forgotten', async () => {
    const others = await api.call(`GET /v1/messages/${plain}`);
    return others.status === 404 && (await get()).status === 404;
  });
  // The events of a message reach its callbacks soon after it has ended.
  const metric = async () => (await tell({ id: 'gw-b', status: 'undelivered', code: 27 })).late;
  await until('the receipt is late', async () => (await metric()) === 1);
  const seen = { id, tenant: 'acme', destination: 'd', tag: 'news', forgotten: true };
  t.match(await get('?trace=true'), {
    status: 200,
    body: { ...seen, status: 'undelivered', code: 27, attempts: 1 },
  });
  t.notMatch(JSON.stringify((await get()).body), /4930/, 'nothing of whom it went to');
  t.equal((await get('?tenant=acme')).status, 200);
  t.equal((await get('?tenant=other')).status, 404);
  t.equal((await api.call(`GET /v1/messages/${plain}`)).status, 404);
  const shown = {
    status: 'undelivered',
    error_code: 30008,
    body: '',
    to: null,
    date_created: null,
  };
  t.match(await account(id), { status: 200, body: { ...shown, sid: `SM${id}` } });
  t.equal((await api.call(`DELETE /v1/messages/${id}?tenant=other`)).status, 404);
  t.equal((await api.call(`DELETE /v1/messages/${id}`)).status, 204);
  t.equal((await get()).status, 404);
  t.equal((await account(id)).status, 404);
  t.equal((await api.call(`DELETE /v1/messages/${id}`)).status, 404);
});

t.test('a gateway signs its receipts with its own secret', async (t) => {
  const key = Buffer.from('0123456789abcdef01234567');
  const secrets = secretsDir(t, {
    k: `whsec_${key.toString('base64')}`,
    plain: 'no key but a text',
  });
  const { api, peer, send } = await setUp(t, { 'secrets.dir': secrets });
  const put = (secret: string | null) =>
    putWebhookGateway(api, 'g', { destinations: ['d'], url: peer.url, webhook: { secret } });
  const post = async (signer: Buffer, { ageSec = 0, body = '' } = {}) => {
    const atSec = Math.floor(Date.now() / 1000) - ageSec;
    const text = body || JSON.stringify([{ id: 'gw-a', status: 'delivered' }]);
    const signature = createHmac('sha256', signer).update(`m1.${atSec}.${text}`).digest('base64');
    const headers = {
      'webhook-id': 'm1',
      'webhook-timestamp': String(atSec),
      'webhook-signature': `v1,${signature}`,
    };
    const answer = await fetch(`${api.url}/v1/gateways/g/receipts`, {
      method: 'POST',
      headers,
      body: text,
    });
    return { status: answer.status, body: (await answer.json()) as { code?: number } };
  };
  const id = await send('a');
  await api.until(id, 'sent');
  t.match(await post(key), { status: 401, body: { code: 2001 } }, 'it has no secret');
  await put('k');
  t.match(await post(Buffer.from('another')), { status: 401, body: { code: 2002 } });
  t.match(await post(key, { ageSec: 400 }), { status: 401, body: { code: 2002 } });
  t.match(await fetch(`${api.url}/v1/gateways/g/receipts`, { method: 'POST', body: '[]' }), {
    status: 401,
  });
  t.match(await post(key), { status: 200, body: { applied: 1 } });
  await api.until(id, 'delivered');
  await put('plain');
  t.match(await post(Buffer.from('no key but a text'), { body: '[]' }), { status: 200 });
  await put('missing');
  t.match(await post(key), { status: 400, body: { code: 3036 } });
});

t.test('what is no list of receipts is refused as a whole', async (t) => {
  const { api } = await setUp(t);
  const post = async (body: unknown) => (await api.call('POST /v1/gateways/g/receipts', body)).body;
  t.match(await post({}), { code: 1015 });
  t.match(await post([{ id: 'x', status: 'sent' }]), { code: 1015, details: { index: 0 } });
  t.match(await post([{ id: 'x', status: 'delivered' }, { id: '' }]), { details: { index: 1 } });
  t.match(await post([{ id: 'x', status: 'delivered', more: 1 }]), { code: 1014 });
  t.match(await post(Array(1001).fill({ id: 'x', status: 'delivered' })), { code: 1006 });
  const { status } = await api.call('POST /v1/gateways/nobody/receipts', []);
  t.equal(status, 404);
});

t.test(
  'a receipt that comes early waits also for a gateway that was changed meanwhile',
  async (t) => {
    const api = await MessageApi.start(t, LOOPBACK);
    let answer: () => void = () => {};
    const answers = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const peer = await WebhookPeer.start(t, async () => {
      await answers;
      return { status: 200, body: { id: 'b7c1' } };
    });
    await api.call('PUT /v1/destinations/d', {});
    const gateway = { destinations: ['d'], url: peer.url };
    await putWebhookGateway(api, 'g', gateway);
    const id = await api.send({ destination: 'd', tenant: 'acme' });
    await until('it is under way', () => peer.messages.length === 1);
    await putWebhookGateway(api, 'g', { ...gateway, webhook: { batchMax: 5 } });
    const { body } = await api.call('GET /v1/gateways/g/state');
    t.equal(body.inFlight, 1, 'what the old one has under way is told');
    const taken = api.call('POST /v1/gateways/g/receipts', [{ id: 'b7c1', status: 'delivered' }]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    answer();
    t.match((await taken).body, { applied: 1, unknown: 0 });
    await api.until(id, 'delivered');
  },
);
