// The hook before sending, on a real daemon: allow, refuse, rewrite, and hooks that give no answer.
import t, { type Test } from 'tap';
import { MessageApi } from '../support/message-api.ts';
import {
  LOOPBACK,
  putWebhookGateway,
  type WebhookAnswer,
  WebhookPeer,
  type WireMessage,
} from '../support/webhook-peer.ts';

async function setUp(t: Test, hook: object, decide: (message: WireMessage) => object) {
  const api = await MessageApi.start(t, LOOPBACK);
  const peer = await WebhookPeer.start(t);
  const asked = await WebhookPeer.start(t, (messages): WebhookAnswer => {
    return { status: 200, body: { results: messages.map(decide) } };
  });
  await api.call('PUT /v1/destinations/d', { retryBaseMs: 20, retryMaxMs: 50 });
  const fields = { destinations: ['d'], url: peer.url, hook: { url: asked.url, ...hook } };
  await putWebhookGateway(api, 'g', fields);
  const send = (payload: string) =>
    api.send({ destination: 'd', tenant: 'acme', recipient: '+1', payload });
  return { api, peer, asked, send };
}

t.test('a hook allows, refuses and rewrites', async (t) => {
  const { api, peer, asked, send } = await setUp(t, {}, ({ payload }) => {
    if (payload === 'stop') return { action: 'refuse' };
    if (payload === 'opted out') return { action: 'refuse', code: 21610 };
    if (payload !== 'change') return { action: 'allow' };
    return { action: 'rewrite', payload: 'changed', recipient: '+2', sender: 'us' };
  });
  const fine = await send('fine');
  await api.until(fine, 'sent');
  t.match(await api.until(await send('stop'), 'failed'), { code: 3030, attempts: 1 });
  t.match(await api.until(await send('opted out'), 'failed'), { code: 21610 });
  const changed = await send('change');
  t.match(await api.until(changed, 'sent'), { payload: 'change', recipient: '+1' }, 'it stays');
  t.match(peer.messages, [
    { payload: 'fine', recipient: '+1', sender: null },
    { payload: 'changed', recipient: '+2', sender: 'us' },
  ]);
  t.equal(peer.messages.length, 2);
  const body = JSON.parse(asked.requests[0]?.body ?? '');
  t.match(body, { type: 'message.before', data: { gateway: 'g', messages: [{ id: fine }] } });
  t.match((await api.call('GET /v1/gateways/g/state')).body, { refusedByHook: 2 });
});

for (const [onTimeout, status] of [
  ['allow', 'sent'],
  ['refuse', 'failed'],
] as const) {
  t.test(`without an answer: ${onTimeout}`, async (t) => {
    const { api, asked, send } = await setUp(t, { onTimeout, timeoutMs: 200 }, () => ({}));
    const bad = { results: [{ action: 'rewrite', sender: 'ä' }] };
    const answers = [undefined, { status: 500 }, { status: 200, body: { results: [] } }];
    for (const answer of [...answers, { status: 200, body: bad }, 'reset'] as const) {
      asked.answer = () => answer;
      const found = await api.until(await send('x'), status);
      t.equal(found.code, status === 'failed' ? 3030 : null);
    }
    t.match((await api.call('GET /v1/gateways/g/state')).body.lastError.message, /hook/);
    await asked.close();
    await api.until(await send('x'), status);
  });
}

t.test('a message is tried again until its hook answers', async (t) => {
  const { api, peer, asked, send } = await setUp(t, { timeoutMs: 200 }, () => ({}));
  asked.answer = () =>
    asked.requests.length < 3
      ? undefined
      : { status: 200, body: { results: [{ action: 'allow' }] } };
  const found = await api.until(await send('x'), 'sent');
  t.equal(found.attempts, 3);
  t.equal(peer.messages.length, 1);
});

t.test('one question asks about all that wait', async (t) => {
  const { api, asked, send } = await setUp(t, {}, () => ({ action: 'allow' }));
  const answer = asked.answer;
  asked.answer = async (messages, request) => {
    await new Promise((resolve) => setTimeout(resolve, 200));
    return answer(messages, request);
  };
  const first = await send('first');
  const messages = Array.from({ length: 60 }, () => ({ tenant: 'acme', payload: 'x' }));
  const { body } = await api.call('POST /v1/messages/batch', { destination: 'd', messages });
  for (const item of body.items) await api.until(item.id, 'sent');
  await api.until(first, 'sent');
  t.equal(asked.messages.length, 61);
  t.ok(asked.requests.length <= 4, `${asked.requests.length} requests`);
});

t.test('a gateway that fetches for itself has no hook', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  await api.call('PUT /v1/destinations/d', {});
  const hook = { url: 'https://hook.example/before' };
  const body = { type: 'pull', destinations: ['d'], hook };
  const { status, body: answer } = await api.call('PUT /v1/gateways/g', body);
  t.equal(status, 400);
  t.match(answer, { code: 1015, message: /hook/ });
});
