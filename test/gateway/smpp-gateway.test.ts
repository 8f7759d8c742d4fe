// An SMPP gateway on a real daemon, with the small SMSC: sending, outcomes, receipts, what comes in.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeCertificate, noOpenssl } from '../support/certificate.ts';
import { httpPeer } from '../support/http-peer.ts';
import { auth, loggerInto, start } from '../support/in-process-daemon.ts';
import { MessageApi } from '../support/message-api.ts';
import { type Delivery, SmallSmsc, type SmallSmscOptions } from '../support/small-smsc.ts';
import { LOOPBACK, secretsDir, until } from '../support/webhook-peer.ts';

const receiptOf = (id: string, stat: string, err = '000'): Delivery => ({
  from: '4930123',
  to: 'ACME',
  esmClass: 0x04,
  octets: Buffer.from(
    `id:${id} sub:001 dlvrd:001 submit date:2611220800 done date:2611220801 stat:${stat} err:${err} text:x`,
  ),
});

async function setUp(t: Test, options: SmallSmscOptions = {}, fields: object = {}) {
  const smsc = await SmallSmsc.listen(options);
  const secrets = secretsDir(t, { 'smsc-password': 'jpwd\n' });
  const api = await MessageApi.start(t, { ...LOOPBACK, 'secrets.dir': secrets });
  t.teardown(() => smsc.close());
  await api.call('PUT /v1/destinations/d', { retryBaseMs: 20, retryMaxMs: 50 });
  const put = async (more: object = {}) => {
    const { port } = smsc;
    const smpp = { host: '127.0.0.1', port, systemId: 'j', password: 'smsc-password', ...more };
    const body = { type: 'smpp', destinations: ['d'], smpp, ...fields };
    const answer = await api.call('PUT /v1/gateways/g', body);
    if (answer.status > 201) throw new Error(JSON.stringify(answer.body));
  };
  await put();
  const state = async () => (await api.call('GET /v1/gateways/g/state')).body;
  await until('it is bound', async () => (await state()).up);
  const send = (payload: string, more: object = {}) =>
    api.send({
      destination: 'd',
      tenant: 'acme',
      sender: 'ACME',
      recipient: '+4930123',
      payload,
      ...more,
    });
  return { smsc, api, put, state, send };
}

t.test('messages go out over the link, and receipts come back', async (t) => {
  const { smsc, api, send, state } = await setUp(t);
  const short = await send('hello');
  await api.until(short, 'sent');
  t.match(smsc.submits[0], { from: 'ACME', to: '4930123', registered: 1 });
  t.equal(smsc.submits[0]?.octets.toString(), 'hello');
  const [session] = smsc.sessions;
  // The answer said 00000001, in hexadecimal; the receipt says it in decimal.
  t.equal((await session?.deliver(receiptOf('1', 'DELIVRD')))?.status, 0);
  await api.until(short, 'delivered');
  t.equal((await session?.deliver(receiptOf('1', 'DELIVRD')))?.status, 0, 'a repetition');
  t.equal((await session?.deliver(receiptOf('4711', 'DELIVRD')))?.status, 0, 'an unknown one');
  const other = await send('other');
  await api.until(other, 'sent');
  t.equal((await session?.deliver(receiptOf('00000002', 'UNDELIV', '027')))?.status, 0);
  t.match(await api.until(other, 'undelivered'), { code: 27 });
  t.match(await state(), { outcomes: { sent: 2 }, driver: { up: true, counts: { receipts: 4 } } });
});

t.test('a message of several parts is delivered when all of them are', async (t) => {
  const { smsc, api, send } = await setUp(t);
  const text = 'x'.repeat(400);
  const id = await send(text);
  await api.until(id, 'sent');
  t.equal(smsc.submits.length, 3);
  const [session] = smsc.sessions;
  await session?.deliver(receiptOf('2', 'DELIVRD'));
  await session?.deliver(receiptOf('1', 'DELIVRD'));
  await session?.deliver(receiptOf('1', 'DELIVRD'));
  t.equal((await api.call(`GET /v1/messages/${id}`)).body.status, 'sent');
  await api.restart();
  await until('bound again', () => smsc.sessions.some(({ bound }) => bound));
  await smsc.sessions[0]?.deliver(receiptOf('3', 'DELIVRD'));
  await api.until(id, 'delivered');
  const second = await send(text);
  await api.until(second, 'sent');
  await smsc.sessions[0]?.deliver(receiptOf('4', 'DELIVRD'));
  await smsc.sessions[0]?.deliver(receiptOf('6', 'UNDELIV', '005'));
  t.match(await api.until(second, 'undelivered'), { code: 5 }, 'the first that is not');
  t.equal((await smsc.sessions[0]?.deliver(receiptOf('5', 'DELIVRD')))?.status, 0);
  t.equal((await api.call(`GET /v1/messages/${second}`)).body.status, 'undelivered');
});

t.test('each answer of the SMSC has its outcome', async (t) => {
  const answers = new Map<string, number[]>([
    ['throttled', [0x58]],
    ['full', [0x14]],
    ['broken', [0x08, 0x08]],
    ['nowhere', [0x0b]],
  ]);
  const { smsc, api, send, state } = await setUp(t, {
    onSubmit: ({ octets }) => ({ status: answers.get(octets.toString())?.shift() ?? 0 }),
  });
  t.match(await api.until(await send('throttled'), 'sent'), { attempts: 1 });
  t.match(await api.until(await send('broken'), 'sent'), { attempts: 3 });
  t.match(await api.until(await send('nowhere'), 'failed'), { code: 0x0b });
  t.match(await state(), { outcomes: { throttled: 1, retry: 2 } });
  t.equal(smsc.submits.filter(({ octets }) => octets.toString() === 'broken').length, 3);
});

t.test('a link that breaks puts what was written in doubt, and no more', async (t) => {
  let answers = false;
  const { smsc, api, send, state } = await setUp(
    t,
    { onSubmit: () => (answers ? {} : 'silent') },
    { inFlightMax: 4 },
  );
  const ids: string[] = [];
  for (let index = 0; index < 10; index += 1) ids.push(await send(`m${index}`));
  await until('the window is full', () => smsc.submits.length === 4);
  answers = true;
  for (const { socket } of [...smsc.sessions]) socket.destroy();
  for (const id of ids) await api.until(id, 'sent');
  t.equal(smsc.submits.length, 14, 'four of them twice');
  t.match(await state(), { up: true, outcomes: { sent: 10, doubt: 4 } });
});

t.test('where nothing may be sent twice, what was in doubt fails', async (t) => {
  let answers = false;
  const { smsc, api, send } = await setUp(t, { onSubmit: () => (answers ? {} : 'silent') });
  await api.call('PUT /v1/destinations/d', { onDoubt: 'fail' });
  const id = await send('once');
  await until('it is written', () => smsc.submits.length === 1);
  answers = true;
  for (const { socket } of [...smsc.sessions]) socket.destroy();
  t.match(await api.until(id, 'failed'), { code: 3025 });
  await api.until(await send('next'), 'sent');
  t.equal(smsc.submits.length, 2);
});

t.test(
  'messages from phones go to the number’s webhook; unknown numbers are accepted',
  async (t) => {
    const { smsc, api } = await setUp(t);
    const peer = await httpPeer();
    t.teardown(() => peer.close());
    await api.call('PUT /v1/numbers/+493099', { tenant: 'acme', webhookUrl: peer.url });
    const [session] = smsc.sessions;
    const from = { from: '4915112345678', octets: Buffer.from('STOP') };
    t.equal((await session?.deliver({ ...from, to: '493099' }))?.status, 0);
    t.equal((await session?.deliver({ ...from, to: '4711' }))?.status, 0);
    await until('the webhook', () => peer.received.length === 1);
    t.match(JSON.parse(peer.received[0]?.body ?? ''), {
      type: 'message.inbound',
      data: { tenant: 'acme', to: '+493099', payload: 'STOP' },
    });
  },
);

t.test('a changed SMPP gateway binds anew; a wrong password shows', async (t) => {
  const { smsc, api, put, send, state } = await setUp(t, {
    onBind: ({ body }) => (body.includes('other') ? 0x0e : 0),
  });
  await put({ systemType: 'VMA' });
  await until('one session is left', () => smsc.sessions.length === 1 && smsc.accepted === 2);
  await until('up', async () => (await state()).up);
  await api.until(await send('x'), 'sent');
  await put({ systemId: 'other' });
  await until('down', async () => (await state()).up === false);
  await until('it says why', async () => {
    return /0x|bind/i.test(JSON.stringify((await state()).driver));
  });
  await put({ password: 'nowhere' });
  await until('no secret', async () => {
    return /no secret/.test((await state()).lastError?.message ?? '');
  });
  await put();
  await api.until(await send('y'), 'sent');
});

t.test('the password is read again when the gateway is put again', async (t) => {
  const smsc = await SmallSmsc.listen();
  t.teardown(() => smsc.close());
  const secrets = secretsDir(t, {});
  const api = await MessageApi.start(t, { ...LOOPBACK, 'secrets.dir': secrets });
  await api.call('PUT /v1/destinations/d', {});
  const smpp = { host: '127.0.0.1', port: smsc.port, systemId: 'j', password: 'later' };
  const body = { type: 'smpp', destinations: ['d'], smpp };
  const state = async () => (await api.call('GET /v1/gateways/g/state')).body;
  await api.call('PUT /v1/gateways/g', body);
  await until('it is missing', async () => (await state()).lastError !== null);
  t.match(await state(), { up: false, lastError: { message: /no secret "later"/ } });
  writeFileSync(join(secrets, 'later'), 'jpwd');
  await api.call('PUT /v1/gateways/g', body);
  await until('it is bound', async () => (await state()).up);
  await api.call('PUT /v1/gateways/g', { ...body, weight: 7 });
  await api.call('PUT /v1/gateways/g', body);
  t.equal(smsc.accepted, 1, 'the same password: the link stays');
});

t.test('over TLS, with a certificate of a private authority', { skip: noOpenssl }, async (t) => {
  const { key, cert } = makeCertificate();
  const smsc = await SmallSmsc.listen({ tls: { key, cert } });
  t.teardown(() => smsc.close());
  const secrets = secretsDir(t, { 'smsc-ca': cert });
  const api = await MessageApi.start(t, { ...LOOPBACK, 'secrets.dir': secrets });
  await api.call('PUT /v1/destinations/d', {});
  const put = (more: object) => {
    const smpp = { host: 'localhost', port: smsc.port, systemId: 'j', tls: true, ...more };
    return api.call('PUT /v1/gateways/g', { type: 'smpp', destinations: ['d'], smpp });
  };
  const state = async () => (await api.call('GET /v1/gateways/g/state')).body;
  await put({});
  await until('it is not trusted', async () => {
    return /self-signed/.test(JSON.stringify((await state()).driver));
  });
  t.match(await put({ ca: 'smsc-ca' }), { status: 200, body: { smpp: { ca: 'smsc-ca' } } });
  await until('it is bound', async () => (await state()).up);
  const message = { destination: 'd', tenant: 'acme', recipient: '+4930123', payload: 'x' };
  await api.until(await api.send(message), 'sent');
});

t.test('secrets that no bind can use are refused, now or when they are there', async (t) => {
  const smsc = await SmallSmsc.listen();
  t.teardown(() => smsc.close());
  const secrets = secretsDir(t, {
    long: '123456789',
    umlaut: 'pässw',
    nul: 'a\0b',
    eight: '12345678',
  });
  const api = await MessageApi.start(t, { ...LOOPBACK, 'secrets.dir': secrets });
  await api.call('PUT /v1/destinations/d', {});
  const body = (more: object) => {
    const smpp = { host: '127.0.0.1', port: smsc.port, systemId: 'j', ...more };
    return { type: 'smpp', destinations: ['d'], smpp };
  };
  const put = (more: object) => api.call('PUT /v1/gateways/g', body(more));
  const refused = { status: 400, body: { code: 1015 } };
  for (const password of ['long', 'umlaut', 'nul']) {
    const message = new RegExp(`smpp.password: .*at most 8 octets.*"${password}" has`);
    t.match(await put({ password }), { ...refused, body: { message } });
  }
  t.match(await put({ tls: true, ca: 'eight' }), { ...refused, body: { message: /smpp.ca: / } });
  const file = { destinations: { d: {} }, gateways: { g: body({ password: 'long' }) } };
  t.match(await api.call('POST /v1/apply', file), { status: 400, body: { message: /8 octets/ } });
  t.equal((await api.call('GET /v1/gateways/g')).status, 404, 'nothing was stored');
  t.equal((await put({ password: 'eight' })).status, 201);
  const state = async () => (await api.call('GET /v1/gateways/g/state')).body;
  await until('it is bound', async () => (await state()).up);
  writeFileSync(join(secrets, 'eight'), '123456789');
  await api.restart();
  await until('it cannot bind', async () => (await state()).lastError !== null);
  t.match(await state(), { up: false, lastError: { message: /at most 8 octets/ } });
});

t.test('its log lines name the gateway', async (t) => {
  const lines: object[] = [];
  const smsc = await SmallSmsc.listen();
  const secrets = secretsDir(t, {});
  const daemon = await start(
    t.testdir(),
    { ...LOOPBACK, 'secrets.dir': secrets },
    loggerInto(lines),
  );
  t.teardown(() => daemon.stop());
  const token = await auth.issueToken({ scope: 'platform', ttlSec: 60 });
  const put = (path: string, body: object) =>
    fetch(`${daemon.url}/v1/${path}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    });
  await put('destinations/d', {});
  const smpp = { host: '127.0.0.1', port: smsc.port, systemId: 'j' };
  await put('gateways/carrier-a', { type: 'smpp', destinations: ['d'], smpp });
  const has = (message: string) =>
    lines.some((line) => 'message' in line && line.message === message);
  await until('it is bound', () => has('SMPP session bound'));
  await smsc.close();
  await until('it has ended', () => has('SMPP session ended'));
  const ours = lines.filter((line) => 'message' in line && /^SMPP session/.test(`${line.message}`));
  t.match(
    ours,
    ours.map(() => ({ gateway: 'carrier-a', role: 'transceiver' })),
  );
});

t.test('one that was down is up for the clients that it is left to', async (t) => {
  const { smsc, api, state } = await setUp(t);
  await smsc.close();
  await until('it is down', async () => !(await state()).up);
  const put = await api.call('PUT /v1/gateways/g', { type: 'pull', destinations: ['d'] });
  t.equal(put.status, 200);
  const client = api.client();
  await client.subscribe('d', { gateway: 'g' }, () => 'sent').ready();
  const id = await api.send({ destination: 'd', tenant: 'acme' });
  await api.until(id, 'sent');
  const { gateways } = (await api.call('GET /v1/destinations/d/explain')).body;
  const own = gateways.find(({ name }: { name: string | null }) => name === 'g');
  t.match(own, { type: 'pull', up: true, served: 1 });
});

t.test('receipts of others do not hold up those that are ours', async (t) => {
  const waits: (() => void)[] = [];
  let isSlow = true;
  const { smsc, api, send } = await setUp(t, {
    onSubmit: async ({ octets }) => {
      const waiting = new Promise<void>((wake) => waits.push(wake));
      if (isSlow && octets.toString() !== 'first') await waiting;
      return {};
    },
  });
  const first = await send('first');
  await api.until(first, 'sent');
  waits.length = 0;
  await send('0');
  await send('1');
  await until('both are under way', () => waits.length === 2);
  // From here on there is always something under way, and nothing of it for long.
  const release = setInterval(() => waits.shift()?.(), 100);
  const more = setInterval(() => void send('more'), 100);
  const startMs = performance.now();
  const [session] = smsc.sessions;
  const others = Array.from({ length: 200 }, (_, index) =>
    session?.deliver(receiptOf(`f00${index}`, 'DELIVRD')),
  );
  const ours = await session?.deliver(receiptOf('1', 'DELIVRD'));
  const tookMs = performance.now() - startMs;
  clearInterval(more);
  isSlow = false;
  t.equal(ours?.status, 0);
  t.ok(tookMs < 8_000, `after ${tookMs} ms`);
  for (const other of others) t.equal((await other)?.status, 0);
  await api.until(first, 'delivered');
  clearInterval(release);
  for (const wake of waits) wake();
});
