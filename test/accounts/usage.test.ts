// Usage in the account form: the public Node client against a real daemon, and what its triggers tell.
import t from 'tap';
import twilio from 'twilio';
import RestException from 'twilio/lib/base/RestException.js';
import { type HttpPeer, httpPeer, type Received } from '../support/http-peer.ts';
import { until } from '../support/webhook-peer.ts';
import { AccountApi } from './account-api.ts';

const outbound = { 'outbound.allow': ['127.0.0.0/8'] };
const DAY_MS = 24 * 3_600_000;

function clientOf(api: AccountApi) {
  const client = twilio(api.acme.sid, api.acme.token);
  client.api.baseUrl = api.url;
  return client;
}

/** Code and status of a refusal. */
async function refusal(promise: Promise<unknown>): Promise<readonly [number | undefined, number]> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof RestException.default) return [error.code, error.status];
    throw error;
  }
  throw new Error('it was not refused');
}

async function use(api: AccountApi, ...events: readonly object[]): Promise<void> {
  const body = { events: events.map((event) => ({ tenant: 'acme', ...event })) };
  const answer = await api.api.call('POST /v1/usage/events', body);
  if (answer.body?.counted !== events.length) throw new Error(JSON.stringify(answer.body));
}

async function told(peer: HttpPeer, count: number): Promise<readonly Received[]> {
  const endMs = Date.now() + 10_000;
  while (peer.received.length < count && Date.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return peer.received;
}

t.test('records of days, months, years and named spans', async (t) => {
  const api = await AccountApi.start(t);
  const { usage } = clientOf(api);
  const price = { by: 'usage', steps: [{ price: '0.0075' }] };
  await api.api.call('PUT /v1/prices/minutes', price);
  const yesterdayMs = Date.now() - DAY_MS;
  await use(
    api,
    { category: 'minutes', quantity: 10 },
    { category: 'minutes', quantity: 5, at: yesterdayMs },
    { category: 'images', quantity: 3 },
    { tenant: 'other', category: 'minutes', quantity: 1000 },
  );
  const category = 'minutes';
  const sum = (rows: readonly { usage: string }[]): number =>
    rows.reduce((total, row) => total + Number(row.usage), 0);
  const [today] = await usage.records.today.list({ category });
  t.match(today, { category, count: '1', usage: '10', price: 0.075, priceUnit: 'usd' });
  t.equal(today?.startDate.toISOString().slice(0, 10), new Date().toISOString().slice(0, 10));
  const [yesterday] = await usage.records.yesterday.list({ category });
  t.match(yesterday, { usage: '5', count: '1' });
  const days = await usage.records.daily.list({ category });
  t.strictSame(days.map((day) => day.usage).sort(), ['10', '5']);
  t.equal(sum(await usage.records.monthly.list({ category })), 15);
  t.equal(sum(await usage.records.yearly.list({ category })), 15);
  t.match(await usage.records.allTime.list({ category }), [{ usage: '15', count: '2' }]);
  t.match(await usage.records.list({ category }), [{ usage: '15', price: 0.1125 }]);
  const { startDate, endDate } = {
    startDate: new Date(yesterdayMs),
    endDate: new Date(yesterdayMs),
  };
  t.match(await usage.records.list({ category, startDate, endDate }), [{ usage: '5' }]);
  const [thisMonth] = await usage.records.thisMonth.list({ category });
  t.ok(Number(thisMonth?.usage) >= 10);
  t.ok(sum(await usage.records.lastMonth.list({ category })) <= 5);
  const all = await usage.records.list();
  const named = Object.fromEntries(all.map((row) => [row.category, row.usage]));
  t.match(named, { minutes: '15', images: '3' });
  t.equal(all.find((row) => row.category === 'totalprice')?.price, 0.1125);
  const paged = await usage.records.list({ pageSize: 1 });
  t.strictSame(
    paged.map((row) => row.category),
    all.map((row) => row.category),
    'pages of one are the whole list',
  );
  t.strictSame(await refusal(usage.records.list({ category: 'A B' })), [20001, 400]);
});

t.test('triggers are made, read, changed, listed and deleted', async (t) => {
  const api = await AccountApi.start(t, outbound);
  const { usage } = clientOf(api);
  const callbackUrl = 'https://acme.example/usage';
  const made = await usage.triggers.create({
    ...{ callbackUrl, triggerValue: '1000', usageCategory: 'sms' },
    ...{ recurring: 'daily', triggerBy: 'count', friendlyName: 'Thousand a day' },
  });
  t.match(made, {
    ...{ callbackUrl, callbackMethod: 'POST', triggerValue: '1000', usageCategory: 'sms' },
    ...{ recurring: 'daily', triggerBy: 'count', friendlyName: 'Thousand a day' },
    ...{ sid: /^UT[0-9a-f]{32}$/, currentValue: '0', accountSid: api.acme.sid },
  });
  t.notOk(made.dateFired?.getTime(), 'it has not fired');
  t.match(await usage.triggers(made.sid).fetch(), {
    sid: made.sid,
    friendlyName: 'Thousand a day',
  });
  const changed = await usage
    .triggers(made.sid)
    .update({ friendlyName: 'A thousand', callbackMethod: 'GET' });
  t.match(changed, { friendlyName: 'A thousand', callbackMethod: 'GET', callbackUrl });
  const usual = await usage.triggers.create({
    ...{ callbackUrl, triggerValue: '+50', usageCategory: 'minutes' },
  });
  t.match(usual, { triggerBy: 'usage', triggerValue: '50', callbackMethod: 'POST' });
  const sids = async (filter: object) =>
    (await usage.triggers.list(filter)).map(({ sid }) => sid).sort();
  t.strictSame(await sids({}), [made.sid, usual.sid].sort());
  t.strictSame(await sids({ pageSize: 1 }), [made.sid, usual.sid].sort());
  t.strictSame(await sids({ recurring: 'daily' }), [made.sid]);
  t.strictSame(await sids({ triggerBy: 'usage' }), [usual.sid]);
  t.strictSame(await sids({ usageCategory: 'sms' }), [made.sid]);
  const foreign = { account: api.other };
  t.equal((await api.call(`GET Usage/Triggers/${made.sid}.json`, undefined, foreign)).status, 404);
  t.equal(
    (await api.call(`DELETE Usage/Triggers/${made.sid}.json`, undefined, foreign)).status,
    404,
  );
  t.equal(await usage.triggers(made.sid).remove(), true);
  t.strictSame(await refusal(usage.triggers(made.sid).fetch()), [20404, 404]);
  t.strictSame(await refusal(usage.triggers('UT12').fetch()), [20404, 404]);
});

t.test('what the platform does to a tenant, the tenant cannot undo', async (t) => {
  const api = await AccountApi.start(t, outbound);
  const { usage } = clientOf(api);
  const fields = { tenant: 'acme', category: 'minutes', value: 10, action: { kind: 'pause' } };
  const { sid } = (await api.api.call('POST /v1/triggers', fields)).body;
  await use(api, { category: 'minutes', quantity: 1, count: 10 });
  const paused = async () => (await api.api.call('GET /v1/tenants/acme')).body.paused;
  await until('it is paused', async () => (await paused()) === true);
  const trigger = usage.triggers(sid);
  t.match(await trigger.fetch(), { sid, callbackUrl: '' }, 'it sees it');
  t.strictSame(await refusal(trigger.remove()), [20003, 403]);
  const callbackUrl = 'https://acme.example/usage';
  t.strictSame(await refusal(trigger.update({ friendlyName: 'x', callbackUrl })), [20003, 403]);
  const { body } = await api.api.call(`GET /v1/triggers/${sid}`);
  t.match(body, { friendlyName: null, callbacks: [], firings: 1 });
  t.equal(await paused(), true);
  const named = { ...fields, friendlyName: 'Budget', callbacks: [{ url: callbackUrl }] };
  await api.api.call(`PUT /v1/triggers/${sid}`, named);
  t.equal(await paused(), true, 'a name and a callback change nothing of it');
  await api.api.call(`PUT /v1/triggers/${sid}`, { ...named, value: 100 });
  t.equal(await paused(), false);
});

t.test('a trigger that cannot be is refused', async (t) => {
  const api = await AccountApi.start(t, outbound);
  const { usage } = clientOf(api);
  const right = {
    ...{ callbackUrl: 'https://acme.example/usage', triggerValue: '10', usageCategory: 'sms' },
  };
  const create = (wrong: object) => refusal(usage.triggers.create({ ...right, ...wrong }));
  t.strictSame(await create({ triggerValue: 'many' }), [20001, 400]);
  t.strictSame(await create({ triggerValue: '-5' }), [20001, 400]);
  t.strictSame(await create({ triggerValue: '+5', recurring: 'daily' }), [20001, 400]);
  t.strictSame(await create({ callbackUrl: 'nowhere' }), [20001, 400]);
  t.strictSame(await create({ callbackMethod: 'PUT' }), [20001, 400]);
  t.strictSame(await create({ recurring: 'hourly' }), [20001, 400]);
  t.strictSame(await create({ triggerBy: 'weight' }), [20001, 400]);
  t.strictSame(await create({ friendlyName: 'x'.repeat(65) }), [20001, 400]);
  t.strictSame(await create({ usageCategory: 'A B' }), [20001, 400]);
  t.strictSame((await api.call('POST Usage/Triggers.json', {})).code, 20001);
});

t.test('a trigger that fires tells it once, signed as the account form is', async (t) => {
  const peer = await httpPeer();
  t.teardown(() => peer.close());
  const api = await AccountApi.start(t, outbound);
  const { usage } = clientOf(api);
  const callbackUrl = `${peer.url}/usage?a=b`;
  const { sid } = await usage.triggers.create({
    ...{ callbackUrl, triggerValue: '100', usageCategory: 'minutes', recurring: 'daily' },
  });
  await use(api, { category: 'minutes', quantity: 99 });
  t.match(await usage.triggers(sid).fetch(), { currentValue: '99' });
  await use(api, { category: 'minutes', quantity: 5 }, { category: 'minutes', quantity: 5 });
  const [received] = await told(peer, 1);
  await use(api, { category: 'minutes', quantity: 500 });
  const parameters = Object.fromEntries(new URLSearchParams(received?.body));
  t.match(parameters, {
    ...{ AccountSid: api.acme.sid, UsageTriggerSid: sid, UsageCategory: 'minutes' },
    ...{ Recurring: 'daily', TriggerBy: 'usage', TriggerValue: '100' },
    UsageRecordUri: /\/Usage\/Records\.json\?Category=minutes&StartDate=([\d-]{10})&EndDate=\1$/,
  });
  t.ok(Number(parameters.CurrentValue) >= 100);
  t.match(parameters.IdempotencyToken, new RegExp(`^${api.acme.sid}-FIRES-${sid}-`));
  const signature = received?.headers['x-twilio-signature'] as string;
  t.ok(twilio.validateRequest(api.acme.token, signature ?? '', callbackUrl, parameters));
  const fired = await usage.triggers(sid).fetch();
  t.ok(Math.abs(fired.dateFired.getTime() - Date.now()) < 60_000);
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.equal(peer.received.length, 1, 'once in its period');
});
