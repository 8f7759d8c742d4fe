// What gateways receive, on a real daemon: frames, requests and their repetitions, to webhooks and destinations.
import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import t, { type Test } from 'tap';
import twilio from 'twilio';
import WebSocket from 'ws';
import { decodeDaemonFrame } from '../../src/protocol/frames.ts';
import { encodeInbound } from '../../src/protocol/inbound-frame.ts';
import { httpPeer } from '../support/http-peer.ts';
import { auth } from '../support/in-process-daemon.ts';
import { MessageApi } from '../support/message-api.ts';
import { LOOPBACK, secretsDir, until } from '../support/webhook-peer.ts';

const number = '+493012345';

async function setUp(t: Test, more = {}) {
  const api = await MessageApi.start(t, { ...LOOPBACK, ...more });
  const peer = await httpPeer();
  t.teardown(() => peer.close());
  await api.call('PUT /v1/destinations/d', {});
  await api.call('PUT /v1/gateways/g', { type: 'pull', destinations: ['d'] });
  const post = (...messages: readonly object[]) =>
    api.call('POST /v1/gateways/g/inbound', messages);
  return { api, peer, post };
}

t.test('an inbound message goes to the webhook of its tenant, signed', async (t) => {
  const { api, peer, post } = await setUp(t);
  await api.call(`PUT /v1/numbers/${number}`, { tenant: 'acme', webhookUrl: `${peer.url}/in` });
  const message = { from: 'ACME Bank', to: '493012345', payload: 'hé', at: 1_790_000_000_000 };
  t.match((await post(message)).body, { taken: 1, refused: [] });
  await until('the webhook', () => peer.received.length === 1);
  const [request] = peer.received;
  t.match(JSON.parse(request?.body ?? ''), {
    type: 'message.inbound',
    timestamp: '2026-09-21T14:13:20.000Z',
    data: { tenant: 'acme', from: 'ACME Bank', to: number, payload: 'hé' },
  });
  const secret = (await api.call('GET /v1/webhooks/acme/secrets')).body;
  const keys: string[] = (secret.secrets ?? []).map((each: { secret: string }) => each.secret);
  t.ok(keys.length > 0);
  const headers = request?.headers as Record<string, string>;
  t.doesNotThrow(() => new Webhook(keys[0] ?? '').verify(request?.body ?? '', headers));
});

t.test('a tenant with an account gets the form of its API, signed with its token', async (t) => {
  const { api, peer, post } = await setUp(t);
  const sid = `AC${'0123456789abcdef'.repeat(2)}`;
  const account = await api.call(`PUT /v1/accounts/${sid}`, { tenant: 'acme' });
  const url = `${peer.url}/in?a=1`;
  await api.call(`PUT /v1/numbers/${number}`, { tenant: 'acme', webhookUrl: url });
  await post({ from: '+4915112345678', to: number, payload: 'STOP 🙂' });
  await until('the webhook', () => peer.received.length === 1);
  const [request] = peer.received;
  const form = Object.fromEntries(new URLSearchParams(request?.body));
  t.match(form, {
    AccountSid: sid,
    From: '+4915112345678',
    To: number,
    Body: 'STOP 🙂',
    NumMedia: '0',
    NumSegments: '1',
    MessageSid: /^SM[0-9a-f]{32}$/,
  });
  const signature = String(request?.headers['x-twilio-signature']);
  const token: string = account.body.primaryToken ?? account.body.tokens?.primary;
  t.ok(twilio.validateRequest(token, signature, url, form));
});

t.test('one with a destination is published there for its tenant', async (t) => {
  const { api, post } = await setUp(t);
  await api.call('PUT /v1/destinations/incoming', {});
  await api.call(`PUT /v1/numbers/${number}`, { tenant: 'acme', destination: 'incoming' });
  const got: unknown[] = [];
  await api.gateway('incoming', ({ tenant, sender, recipient, payload }) => {
    got.push([tenant, sender, recipient, Buffer.from(payload).toString('base64')]);
    return 'sent';
  });
  const message = { from: 'A b', to: number, payloadBase64: '/wA=', eventKey: 'k1' };
  t.match((await post(message)).body, { taken: 1 });
  t.match((await post(message)).body, { taken: 1 }, 'a repetition is no error');
  t.match((await post({ ...message, eventKey: 'k2' })).body, { taken: 1 });
  await until('both', () => got.length === 2);
  t.strictSame(got[0], ['acme', 'A_b', number, '/wA=']);
  await api.restart();
  t.match((await post(message)).body, { taken: 1 });
  const { body } = await api.call('GET /v1/messages?destination=incoming');
  t.equal(body.items.length, 2, 'also after a restart');
});

t.test('an event key is one message to a webhook, also after it was delivered', async (t) => {
  const { api, peer, post } = await setUp(t);
  await api.call(`PUT /v1/numbers/${number}`, { tenant: 'acme', webhookUrl: peer.url });
  const message = { from: '1', to: number, payload: 'x', eventKey: 'mo-1' };
  const answers = await Promise.all([post(message), post(message), post(message)]);
  t.ok(answers.every(({ body }) => body.taken === 1));
  await until('the webhook', () => peer.received.length === 1);
  await post(message);
  await api.restart();
  await post(message);
  await post({ ...message, eventKey: 'mo-2' });
  await until('the other one', () => peer.received.length > 1);
  t.equal(peer.received.length, 2);
  t.not(peer.received[0]?.headers['webhook-id'], peer.received[1]?.headers['webhook-id']);
});

t.test('frames of gateways are taken and refused one by one', async (t) => {
  const { api, peer } = await setUp(t);
  await api.call(`PUT /v1/numbers/${number}`, { tenant: 'acme', webhookUrl: peer.url });
  const token = await auth.issueToken({ scope: 'consume', ttlSec: 60 });
  const url = `${api.url.replace('http', 'ws')}/v1/stream?access_token=${token}`;
  const socket = new WebSocket(url);
  t.teardown(() => socket.close());
  const frames: ReturnType<typeof decodeDaemonFrame>[] = [];
  socket.on('message', (data) => frames.push(decodeDaemonFrame(new Uint8Array(data as Buffer))));
  await new Promise((resolve) => socket.once('open', resolve));
  const entry = { from: 'f', to: number, atMs: Date.now(), payload: Buffer.from('x') };
  const messages = [
    { ...entry, eventKey: undefined },
    { ...entry, to: '+1', eventKey: 'k' },
    { ...entry, eventKey: 'k' },
  ];
  socket.send(encodeInbound({ id: 7, messages }));
  await until('the answer', () => frames.length === 2);
  t.match(frames[1], { kind: 'ok', id: 7, result: [2, [[1, 3038, null]]] });
  socket.send(encodeInbound({ id: 9, messages: [{ ...entry, from: '', eventKey: undefined }] }));
  await until('a refusal', () => frames.some((frame) => frame.kind === 'error' && frame.id === 9));
  t.match(
    frames.find((frame) => frame.kind === 'error' && frame.id === 9),
    { code: 1015 },
  );
  await until('two requests', () => peer.received.length === 2);
});

t.test('a number that nobody has, and a webhook that is gone', async (t) => {
  const { api, peer, post } = await setUp(t);
  t.match((await post({ from: '1', to: '+1', payload: 'x' })).body, {
    taken: 0,
    refused: [{ index: 0, code: 3038 }],
  });
  t.match(await post({ from: '1', payload: 'x' }), { status: 400, body: { code: 1015 } });
  await api.call(`PUT /v1/numbers/${number}`, { tenant: 'acme', webhookUrl: peer.url });
  t.match((await post({ from: '1', to: number, payload: 'x' })).body, { taken: 1 });
});

t.test('a signed request that comes again is the same one', async (t) => {
  const key = Buffer.from('0123456789abcdef01234567');
  const secrets = secretsDir(t, { k: `whsec_${key.toString('base64')}` });
  const { api, peer } = await setUp(t, { 'secrets.dir': secrets });
  const webhook = { url: peer.url, secret: 'k' };
  await api.call('PUT /v1/gateways/w', { type: 'webhook', destinations: ['d'], webhook });
  await api.call(`PUT /v1/numbers/${number}`, { tenant: 'acme', webhookUrl: peer.url });
  const body = JSON.stringify([{ from: '1', to: number, payload: 'x' }]);
  const atSec = Math.floor(Date.now() / 1000);
  const signature = createHmac('sha256', key).update(`m.${atSec}.${body}`).digest('base64');
  const headers = {
    'webhook-id': 'm',
    'webhook-timestamp': String(atSec),
    'webhook-signature': `v1,${signature}`,
  };
  const send = () => fetch(`${api.url}/v1/gateways/w/inbound`, { method: 'POST', headers, body });
  t.equal((await send()).status, 200);
  t.equal((await send()).status, 200);
  await until('the webhook', () => peer.received.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(peer.received.length, 1);
});
