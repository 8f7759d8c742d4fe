// Messages sent over REST: accepted, repeated, refused, delivered.
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { MessageApi } from '../support/message-api.ts';

const api = await MessageApi.start(t, { shards: 1 });
const send = (body: unknown, headers?: object) => api.call('POST /v1/messages', body, headers);

await api.call('PUT /v1/destinations/sms', {});

t.test('a message is delivered as it was sent, and known until it is forgotten', async (t) => {
  const message = {
    destination: 'sms',
    tenant: 'acme',
    sender: '+4930',
    recipient: '49151',
    payload: 'Grüße 👋',
    level: 0,
    cost: 3,
    validityMs: 60_000,
    callbackUrl: 'https://acme.example/status?x="1"',
    orderKey: 'order-7',
    tag: 'campaign-1',
  };
  const beforeMs = Date.now();
  const { status, body, headers } = await send(message);
  t.equal(status, 202);
  t.match(body, { id: /^[0-9a-f]{32}$/, repeated: false });
  t.equal(headers.get('content-type'), 'application/json');
  const { destination, tenant, sender, recipient, payload, cost, orderKey, tag } = message;
  const known = { id: body.id, destination, tenant, sender, recipient, payload };
  const queued = (await api.call(`GET /v1/messages/${body.id}`)).body;
  t.match(queued, { ...known, status: 'queued', attempts: 0, cost, orderKey, tag, level: 0 });
  t.equal(queued.callbackUrl, message.callbackUrl);
  t.ok(queued.acceptedMs >= beforeMs && queued.acceptedMs <= Date.now());
  t.equal(queued.expiresMs, queued.acceptedMs + 60_000);
  t.equal(queued.endedMs, null);

  const got: object[] = [];
  const gateway = await api.gateway('sms', ({ id, tenant, sender, recipient, text }) => {
    got.push({ id, tenant, sender, recipient, text });
    return 'sent';
  });
  const sent = await api.until(body.id, 'sent');
  t.strictSame(got, [{ id: body.id, tenant, sender, recipient, text: payload }]);
  t.match(sent, { ...known, attempts: 1, deadLetter: false, redacted: false, code: null });
  t.ok(sent.endedMs >= sent.acceptedMs);
  await gateway.close();
});

t.test('a payload that is no text comes and goes as base64', async (t) => {
  const payloadBase64 = Buffer.from([0, 255, 1, 254]).toString('base64');
  const id = (await send({ destination: 'sms', tenant: 'acme', payloadBase64 })).body.id;
  const { body } = await api.call(`GET /v1/messages/${id}`);
  t.equal(body.payloadBase64, payloadBase64);
  t.notOk('payload' in body);
  const text = Buffer.from('\ufeffmarked').toString('base64');
  const marked = await send({ destination: 'sms', tenant: 'acme', payloadBase64: text });
  const found = await api.call(`GET /v1/messages/${marked.body.id}?tenant=acme`);
  t.equal(found.body.payload, '\ufeffmarked', 'all bytes stay');
  t.match(await api.call(`GET /v1/messages/${id}?tenant=globex`), { status: 404 });
});

t.test('a key is known again, as a header too, and after a restart', async (t) => {
  const message = { destination: 'sms', tenant: 'acme', payload: 'once' };
  const first = (await send({ ...message, idempotencyKey: 'k1' })).body;
  t.equal(first.repeated, false);
  const repeated = { id: first.id, repeated: true };
  t.strictSame((await send({ ...message, idempotencyKey: 'k1' })).body, repeated);
  t.strictSame((await send(message, { 'Idempotency-Key': 'k1' })).body, repeated);
  t.strictSame((await send(message, { 'Idempotency-Key': '"k1"' })).body, repeated);
  t.strictSame(
    (await send({ ...message, tenant: 'globex', idempotencyKey: 'k1' })).body.repeated,
    false,
  );
  t.match(await send({ ...message, idempotencyKey: 'k2' }, { 'idempotency-key': 'k1' }), {
    status: 400,
    body: { code: 1015, message: /another key/ },
  });
  t.match(await send(message, { 'idempotency-key': 'x'.repeat(256) }), {
    status: 400,
    body: { code: 1015, message: /1 to 255 bytes/ },
  });
  await api.restart();
  t.strictSame((await send({ ...message, idempotencyKey: 'k1' })).body, repeated);
});

t.test('a batch answers each message in its place', async (t) => {
  await api.call('PUT /v1/tenants/small', { waitingMax: 1 });
  const { status, body } = await api.call('POST /v1/messages/batch', {
    destination: 'sms',
    messages: [
      { tenant: 'small', payload: '0' },
      { tenant: 'small', payload: '1' },
      { tenant: 'acme', payload: '2', idempotencyKey: 'k1' },
      { tenant: 'acme', payload: '3' },
      { tenant: 'acme', payload: '4', sendAt: Date.now() + 91 * 24 * 3_600_000 },
    ],
  });
  t.equal(status, 202);
  t.match(body.items, [
    { id: /^[0-9a-f]{32}$/, repeated: false },
    { code: 3003, message: /^The tenant holds/, retryAfterMs: 1000 },
    { id: /^[0-9a-f]{32}$/, repeated: true },
    { id: /^[0-9a-f]{32}$/, repeated: false },
    { code: 1020, message: /publish option/, retryAfterMs: null },
  ]);
  t.equal((await api.call(`GET /v1/messages/${body.items[3].id}`)).body.payload, '3');

  const alone = await send({ destination: 'sms', tenant: 'small', payload: '' });
  t.match(alone, { status: 429, body: { code: 3003, details: { retryAfterMs: 1000 } } });
  t.equal(alone.headers.get('retry-after'), '1');
  const most = Array.from({ length: 1000 }, (_, index) => ({
    tenant: 'many',
    payload: `${index}`,
  }));
  const many = await api.call('POST /v1/messages/batch', { destination: 'sms', messages: most });
  t.equal(new Set(many.body.items.map(({ id }: { id: string }) => id)).size, 1000);
  most.push({ tenant: 'many', payload: 'x' });
  t.match(await api.call('POST /v1/messages/batch', { destination: 'sms', messages: most }), {
    status: 400,
    body: { message: /messages: has at most 1000 entries/ },
  });
  await api.call('POST /v1/messages/cancel', { tenant: 'many' });
});

t.test('what is wrong is said before anything is sent', async (t) => {
  const good = { destination: 'sms', tenant: 'acme', payload: 'x' };
  for (const [change, message] of [
    [{ priority: 1 }, /no field "priority"; it has destination, tenant/],
    [{ levle: 1 }, /did you mean level\?/],
    [{ tenant: undefined }, /tenant: /],
    [{ payload: undefined }, /payload: is given, or payloadBase64, and not both/],
    [{ payloadBase64: 'eA==' }, /payload: is given, or payloadBase64, and not both/],
    [{ payload: undefined, payloadBase64: '!' }, /payloadBase64: is base64 with padding/],
    [{ payload: '\ud800' }, /lone surrogates/],
    [{ sender: 'a b' }, /sender: is 1 to 128 characters/],
    [{ level: 8 }, /level: is at most 7, received 8/],
    [{ cost: 0 }, /cost: is at least 1/],
    [{ sendAt: 'tomorrow' }, /sendAt: is a time/],
    [{ sendAt: '2030-01-31T09:00:00' }, /sendAt: is a time.*time zone/],
    [{ validityMs: 2_592_000_001 }, /validityMs: is at most 2592000000/],
    [{ callbackUrl: 'ftp://x' }, /callbackUrl: is an http/],
    [{ idempotencyKey: 'ü'.repeat(128) }, /idempotencyKey: is at most 255 bytes/],
  ] as const) {
    const answer = await send({ ...good, ...change });
    t.match(answer, { status: 400, body: { message } }, JSON.stringify(change));
  }
  t.match(await send({ ...good, payload: 'x'.repeat(LIMITS.payloadBytes + 1) }), {
    status: 413,
    body: { code: 1009, message: /at most 65536 bytes, received 65537/ },
  });
  t.match(await send({ ...good, payload: 'x'.repeat(LIMITS.payloadBytes) }), { status: 202 });
  t.match(await send(undefined), { status: 400, body: { message: /The body is a JSON object/ } });
  const batch = {
    destination: 'sms',
    messages: [good, { tenant: 'acme', payload: 'x', tga: '1' }],
  };
  t.match(await api.call('POST /v1/messages/batch', batch), {
    status: 400,
    body: { message: /^Message 0: a message has no field "destination"/, details: { index: 0 } },
  });
  const keyed = await api.call('POST /v1/messages/batch', batch, { 'idempotency-key': 'k' });
  t.match(keyed, { status: 400, body: { message: /Idempotency-Key is for one message/ } });
  t.match(await send({ ...good, destination: 'nowhere' }), { status: 404, body: { code: 3001 } });
  await api.call('POST /v1/destinations/sms/drain');
  const drained = await send(good);
  t.match(drained, { status: 503, body: { code: 3022 } });
  await api.call('POST /v1/destinations/sms/resume');
});

t.test('a destination is made at its first message where the daemon does so', async (t) => {
  const api = await MessageApi.start(t, { 'dispatch.autoCreateDestinations': true, shards: 2 });
  const ids = await Promise.all(
    ['a', 'b', 'a'].map((destination) => api.send({ destination, tenant: 'acme' })),
  );
  t.equal(new Set(ids).size, 3);
  t.match((await api.call('GET /v1/destinations')).body.items, [{ name: 'a' }, { name: 'b' }]);
});
