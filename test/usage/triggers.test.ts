// Triggers of a real daemon: told to a real HTTP server, in both forms, once; what they do to their tenant.
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import twilio from 'twilio';
import { connect } from '../../src/client/index.ts';
import { httpPeer, type Received } from '../support/http-peer.ts';
import { auth } from '../support/in-process-daemon.ts';
import { MessageApi } from '../support/message-api.ts';
import { LOOPBACK, until } from '../support/webhook-peer.ts';

const sid = `AC${'0'.repeat(31)}1`;
const month = (): string => new Date().toISOString().slice(0, 7);

const use = (api: MessageApi, quantity: number, more: object = {}) =>
  api.call('POST /v1/usage/events', {
    events: [{ tenant: 'acme', category: 'pages', quantity, ...more }],
  });

t.test('fires once a period and is told by a signed webhook', async (t) => {
  const peer = await httpPeer();
  t.teardown(() => peer.close());
  const api = await MessageApi.start(t, LOOPBACK);
  await api.call('PUT /v1/webhooks/acme', {});
  const secrets = (await api.call('GET /v1/webhooks/acme/secrets')).body;
  const made = await api.call('POST /v1/triggers', {
    tenant: 'acme',
    category: 'pages',
    by: 'usage',
    value: 10,
    thresholds: [20, '30'],
    recurring: 'monthly',
    callbacks: [{ url: `${peer.url}/usage` }],
    friendlyName: 'Pages',
  });
  t.equal(made.status, 201);
  const { sid: trigger } = made.body;
  await use(api, 9);
  await use(api, 1);
  await until('the first is told', () => peer.received.length === 1);
  await use(api, 20);
  await until('both others are told', () => peer.received.length === 3);
  await use(api, 100);
  const [key] = JSON.stringify(secrets).match(/whsec_[A-Za-z0-9+/=]+/) ?? [];
  const webhook = new Webhook(key as string);
  const told = peer.received.map(({ headers, body }) => {
    t.doesNotThrow(() => webhook.verify(body, headers as Record<string, string>));
    const { type, data } = JSON.parse(body);
    t.equal(type, 'usage.trigger');
    t.match(data, { trigger, tenant: 'acme', category: 'pages', period: month(), by: 'usage' });
    t.equal(headers['webhook-id'], `${data.token}:0`);
    return [data.value, data.currentValue, data.token];
  });
  const token = (threshold: number) => `acme-FIRES-${trigger}-${month()}-${threshold}-0`;
  t.strictSame(told.sort(), [
    ['10', '10', token(0)],
    ['20', '30', token(1)],
    ['30', '30', token(2)],
  ]);
  const shown = (await api.call(`GET /v1/triggers/${trigger}`)).body;
  t.match(shown, {
    currentValue: '130',
    firings: 3,
    friendlyName: 'Pages',
    thresholds: ['20', '30'],
  });
  await api.restart();
  await use(api, 1);
  await api.call(`POST /v1/triggers/${trigger}/rearm`);
  await use(api, 1);
  await until('it fires again', () => peer.received.length >= 6);
  const tokens = peer.received.map(({ body }) => JSON.parse(body).data.token);
  t.equal(new Set(tokens).size, 6, 'armed anew, under new tokens');
  t.equal((await api.call(`DELETE /v1/triggers/${trigger}`)).status, 204);
  t.equal((await api.call(`GET /v1/triggers/${trigger}`)).body.code, 5007);
});

t.test('the form of accounts, by POST and GET, signed with the auth token', async (t) => {
  const peer = await httpPeer();
  t.teardown(() => peer.close());
  const api = await MessageApi.start(t, LOOPBACK);
  const account = await api.call(`PUT /v1/accounts/${sid}`, { tenant: 'acme' });
  const [authToken] = JSON.stringify(account.body).match(/(?<=Token":")[0-9a-f]{32}/i) ?? [];
  const made = await api.call('POST /v1/triggers', {
    tenant: 'acme',
    category: 'pages',
    value: 1,
    callbacks: [
      { url: `${peer.url}/post?a=b`, form: 'form' },
      { url: `${peer.url}/get?a=b`, form: 'form', method: 'GET' },
    ],
  });
  await use(api, 4);
  await until('both are told', () => peer.received.length === 2);
  const of = (method: string) => peer.received.find((each) => each.method === method) as Received;
  const posted = Object.fromEntries(new URLSearchParams(of('POST').body));
  const token = `${sid}-FIRES-${made.body.sid}-alltime-0-0`;
  t.match(posted, {
    AccountSid: sid,
    UsageTriggerSid: made.body.sid,
    DateFired: / \+0000$/,
    Recurring: '',
    UsageCategory: 'pages',
    TriggerBy: 'count',
    TriggerValue: '1',
    CurrentValue: '1',
    UsageRecordUri: `/2010-04-01/Accounts/${sid}/Usage/Records.json?Category=pages`,
    IdempotencyToken: token,
  });
  const check = (request: Received, parameters: Record<string, string>): boolean => {
    const signature = request.headers['x-twilio-signature'] as string;
    const url = `${peer.url}${request.url}`;
    return twilio.validateRequest(authToken as string, signature, url, parameters);
  };
  t.ok(check(of('POST'), posted));
  t.ok(check(of('GET'), {}));
  t.equal(new URL(of('GET').url, peer.url).searchParams.get('IdempotencyToken'), token);
});

t.test('holds its tenant until it is armed anew, and leaves an audit line', async (t) => {
  const api = await MessageApi.start(t);
  await api.call('PUT /v1/destinations/sms', {});
  const tenant = async () => (await api.call('GET /v1/tenants/acme')).body;
  const trigger = async (action: object, more: object = {}) => {
    const fields = { tenant: 'acme', category: 'pages', value: 1, action, ...more };
    return (await api.call('POST /v1/triggers', fields)).body.sid as string;
  };
  const paused = await trigger({ kind: 'pause' });
  const capped = await trigger({ kind: 'capRate', number: 5 });
  const refusing = await trigger({ kind: 'refuse' }, { value: 2 });
  await use(api, 1);
  await until('it is held', async () => (await tenant()).ratePerSec === 5);
  t.match(await tenant(), { paused: true, ratePerSec: 5, refuseNew: false });
  await use(api, 1);
  await until('it refuses', async () => (await tenant()).refuseNew === true);
  const message = { destination: 'sms', tenant: 'acme', payload: 'x' };
  t.equal((await api.call('POST /v1/messages', message)).body.code, 3022);
  await api.restart();
  t.match(await tenant(), { paused: true, refuseNew: true, ratePerSec: 5 }, 'over a restart');
  await api.call(`POST /v1/triggers/${paused}/rearm`);
  await api.call(`DELETE /v1/triggers/${capped}`);
  t.match(await tenant(), { paused: false, refuseNew: true, ratePerSec: null });
  await api.call('POST /v1/tenants/acme/resume');
  await api.call('POST /v1/tenants/acme/drain');
  await api.call('POST /v1/tenants/acme/resume');
  await api.call(`POST /v1/triggers/${refusing}/rearm`);
  t.match(await tenant(), { refuseNew: false }, 'what the operator said stays');
  await api.call(`DELETE /v1/triggers/${refusing}`);
  const atCap = await trigger({ kind: 'refuse', code: 5006 });
  await use(api, 1);
  await until('it refuses again', async () => (await tenant()).refuseCode === 5006);
  t.match(await api.call('POST /v1/messages', message), { status: 429, body: { code: 5006 } });
  await api.call(`DELETE /v1/triggers/${atCap}`);
  t.match(await tenant(), { refuseNew: false, refuseCode: null });
  t.equal((await api.call('POST /v1/messages', message)).status, 202);
  const audit = (await api.call('GET /v1/audit?kind=tenant&name=acme')).body.items;
  const actors = audit.map(({ actor }: { actor: string }) => actor);
  t.ok(actors.includes(`trigger ${paused}`) && actors.includes(`trigger ${refusing}`));
});

t.test('tells the connections of its tenant, and of no other', async (t) => {
  const api = await MessageApi.start(t);
  const news: string[] = [];
  for (const tenant of ['acme', 'globex']) {
    const token = await auth.issueToken({ tenant, scope: 'usage', ttlSec: 600 });
    const client = connect({ url: api.url, token });
    t.teardown(() => client.close(500));
    client.on('usage', ({ trigger, token: key }) => news.push(`${tenant} ${trigger} ${key}`));
    await client.whenConnected();
  }
  const action = { kind: 'event' };
  const fields = { tenant: 'acme', category: 'pages', value: 1, action };
  const made = (await api.call('POST /v1/triggers', fields)).body.sid;
  await use(api, 1);
  await until('it is told', () => news.length > 0);
  t.strictSame(news, [`acme ${made} acme-FIRES-${made}-alltime-0-0`]);
});

t.test('what is no trigger is refused', async (t) => {
  const api = await MessageApi.start(t);
  const put = async (more: object) => {
    const fields = { tenant: 'acme', category: 'pages', value: 5, ...more };
    const { status, body } = await api.call('POST /v1/triggers', fields);
    return `${status} ${body.code} ${body.message}`;
  };
  t.match(await put({ value: '1.5' }), /^400 1015 value: is a whole number/);
  const decimal = /^400 1015 value: is a whole number, or a decimal as text, received 9.95/;
  t.match(await put({ by: 'price', value: 9.95 }), decimal);
  t.match(await put({ by: 'price', value: '0.0000000001' }), /^400 1015 value/);
  t.match(await put({ thresholds: [3] }), /^400 5009 thresholds/);
  t.match(await put({ relative: true, recurring: 'daily' }), /^400 5009/);
  t.match(await put({ callbacks: [{ url: 'ftp://x' }] }), /^400 1015 callbacks.0.url/);
  t.match(await put({ action: { kind: 'capRate' } }), /^400 1015 action.number/);
  const cap = (kind: string, number: number) => put({ action: { kind, number } });
  t.match(await cap('capConcurrency', 2 ** 32), /^400 1015 action.number: is at most/);
  t.match(await cap('capRate', 1e300), /^400 1015 action.number: is at most/);
  for (const code of [-1, 2 ** 32, 3023]) {
    t.match(
      await put({ action: { kind: 'refuse', code } }),
      /^400 1015 action.code: is null, 3022/,
    );
  }
  t.match(await put({ action: { kind: 'pause', code: 3022 } }), /^400 1015 action.code/);
  t.match(await put({ friendlyName: 'a\ud800' }), /^400 1015 friendlyName/);
  t.match(await put({ nmae: 'x' }), /^400 1014 /);
  t.match(await api.call('GET /v1/triggers/UT0'), { status: 404, body: { code: 5007 } });
});
