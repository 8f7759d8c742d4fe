// Usage of a real daemon: events over frames and REST, keys, tenants kept apart, records, restarts.
import t, { type Test } from 'tap';
import { connect, type FairleadClientError } from '../../src/client/index.ts';
import { ERRORS } from '../../src/errors.ts';
import type { UsageRecord } from '../../src/usage/ports.ts';
import { auth } from '../support/in-process-daemon.ts';
import { MessageApi } from '../support/message-api.ts';
import { until } from '../support/webhook-peer.ts';

const today = (): string => new Date().toISOString().slice(0, 10);

const clientOf = async (
  t: Test,
  api: MessageApi,
  { tenant, scope }: { tenant?: string; scope: string },
) => {
  const token = await auth.issueToken({ tenant, scope, ttlSec: 600 });
  const client = connect({ url: api.url, token });
  t.teardown(() => client.close(500));
  return client;
};

t.test('events over frames and REST are counted, a key once', async (t) => {
  const api = await MessageApi.start(t);
  const platform = await clientOf(t, api, { scope: 'usage platform' });
  const acme = await clientOf(t, api, { tenant: 'acme', scope: 'usage' });
  t.match(
    await acme.use([
      { category: 'pages', quantity: 12, tag: 'scan' },
      { category: 'pages', quantity: 3, key: 'job-1' },
      { category: 'pages', quantity: 3, key: 'job-1' },
    ]),
    { counted: 2, repeated: 1, refused: [] },
  );
  const posted = await api.call('POST /v1/usage/events', {
    events: [
      { tenant: 'acme', category: 'pages', quantity: 5, key: 'job-1' },
      { tenant: 'acme', category: 'pages', quantity: 7, at: `${today()}T00:00:00Z` },
      { tenant: 'globex', category: 'pages', quantity: 100 },
    ],
  });
  t.match(posted, { status: 200, body: { counted: 2, repeated: 1, refused: [] } });
  await platform.use([{ tenant: 'acme', category: 'pages', quantity: -2 }]);
  const day = { from: today(), to: today() };
  const records = await api.call(
    'GET /v1/usage/records?tenant=acme&category=pages&period=daily&tags=true',
  );
  t.strictSame(records.body, {
    items: [
      {
        account: 'acme',
        category: 'pages',
        tag: null,
        ...day,
        count: 3,
        usage: 20,
        price: '0.000000000',
      },
      {
        account: 'acme',
        category: 'pages',
        tag: 'scan',
        ...day,
        count: 1,
        usage: 12,
        price: '0.000000000',
      },
    ],
    cursor: null,
  });
  const csv = await fetch(`${api.url}/v1/usage/records?category=pages&period=alltime&format=csv`, {
    headers: {
      authorization: `Bearer ${await auth.issueToken({ scope: 'platform', ttlSec: 60 })}`,
    },
  });
  t.match(csv.headers.get('content-type'), 'text/csv');
  const [head, ...rows] = (await csv.text()).trim().split('\r\n');
  t.equal(head, 'account,category,tag,from,to,count,usage,price');
  t.strictSame(
    rows.map((row) =>
      row
        .split(',')
        .filter((_, at) => at !== 3 && at !== 4)
        .join(),
    ),
    ['acme,pages,,3,20,0.000000000', 'globex,pages,,1,100,0.000000000'],
  );
  await api.restart();
  const again = await api.call(
    'GET /v1/usage/records?tenant=acme&category=pages&period=daily&tags=true',
  );
  t.strictSame(again.body, records.body, 'the same after a restart');
  const status = (await api.call('GET /v1/status')).body.usage;
  t.match(status, { triggers: 0, eventKeys: 1 });
});

t.test('what may not be counted is refused on its own', async (t) => {
  const api = await MessageApi.start(t);
  const acme = await clientOf(t, api, { tenant: 'acme', scope: 'usage' });
  const day = 24 * 3_600_000;
  const { counted, refused } = await acme.use([
    { category: 'pages', quantity: -1 },
    { category: 'messages', quantity: 1 },
    { category: 'pages', quantity: 1, at: Date.now() - 36 * day },
    { category: 'pages', quantity: 1, at: Date.now() + day },
    { category: 'pages', quantity: 1, at: new Date(Date.now() - 34 * day) },
  ]);
  t.equal(counted, 1);
  t.strictSame(
    refused.map(({ index, error }) => [index, error.error]),
    [
      [0, 'correctionForbidden'],
      [1, 'categoryReserved'],
      [2, 'eventTime'],
      [3, 'eventTime'],
    ],
  );

  const event = { tenant: 'acme', category: 'pages', quantity: 1 };
  const old = [event, { ...event, at: '1969-12-31T23:59:59Z' }, { ...event, at: -1 }];
  const posted = await api.call('POST /v1/usage/events', { events: old });
  t.equal(posted.body.counted, 1, 'from before 1970: each on its own');
  t.match(posted.body.refused, [
    { index: 1, code: 5001 },
    { index: 2, code: 5001 },
  ]);
  for (const key of ['', 'a\ud800', 'ü'.repeat(128)]) {
    const { body } = await api.call('POST /v1/usage/events', { events: [{ ...event, key }] });
    t.match(body, { code: 1015, message: /^events\.0\.key: / }, JSON.stringify(key));
  }

  const platform = await clientOf(t, api, { scope: 'usage' });
  const correction = [{ tenant: 'acme', category: 'pages', quantity: -1 }];
  const { refused: corrections } = await platform.use(correction);
  t.equal(corrections[0]?.error.error, 'correctionForbidden');
  const errorOf = (used: Promise<unknown>) =>
    used.then(
      () => 'none',
      ({ error }: FairleadClientError) => error,
    );
  t.equal(await errorOf(platform.use([{ category: 'pages', quantity: 1 }])), 'tenantRequired');
  const other = [{ tenant: 'globex', category: 'pages', quantity: 1 }];
  t.equal(await errorOf(acme.use(other)), 'tenantForbidden');
  const nobody = await clientOf(t, api, { tenant: 'acme', scope: 'publish' });
  t.equal(await errorOf(nobody.use([{ category: 'pages', quantity: 1 }])), 'scopeMissing');
});

t.test('sums that no double holds come as text, and as CSV', async (t) => {
  const api = await MessageApi.start(t);
  const most = Number.MAX_SAFE_INTEGER;
  const event = { tenant: 'acme', category: 'bytes', quantity: most };
  await api.call('POST /v1/usage/events', { events: [event] });
  const path = 'GET /v1/usage/records?category=bytes&tenant=acme';
  t.match((await api.call(path)).body.items, [{ usage: most }]);
  await api.call('POST /v1/usage/events', { events: [event, event] });
  t.match((await api.call(path)).body.items, [{ count: 3, usage: `${3n * BigInt(most)}` }]);
  const token = await auth.issueToken({ scope: 'platform', ttlSec: 60 });
  const csv = await fetch(`${api.url}${path.slice(4)}&format=csv`, {
    headers: { authorization: `Bearer ${token}` },
  });
  t.match(await csv.text(), `,3,${3n * BigInt(most)},0.000000000`);
});

t.test('a tenant sees and changes nothing of another', async (t) => {
  const api = await MessageApi.start(t);
  const body = { events: [{ tenant: 'acme', category: 'pages', quantity: 1 }] };
  await api.call('POST /v1/usage/events', body);
  const made = await api.call('POST /v1/triggers', { tenant: 'acme', category: 'pages', value: 5 });
  const token = await auth.issueToken({ tenant: 'globex', scope: 'usage', ttlSec: 600 });
  const headers = { authorization: `Bearer ${token}` };
  for (const line of [
    'GET /v1/usage/records',
    'GET /v1/triggers',
    `GET /v1/triggers/${made.body.sid}`,
    `DELETE /v1/triggers/${made.body.sid}`,
    `POST /v1/triggers/${made.body.sid}/rearm`,
    'GET /v1/prices',
    'GET /v1/caps',
  ]) {
    const { status, body } = await api.call(line, undefined, headers);
    t.match({ status, code: body.code }, { status: 403, code: ERRORS.scopeMissing.code }, line);
  }
  const forged = await api.call('POST /v1/usage/events', body, headers);
  t.match(forged, { status: 403, body: { code: ERRORS.tenantForbidden.code } });
  const records = await api.call('GET /v1/usage/records?category=pages');
  t.strictSame(
    records.body.items.map((row: { account: string; usage: number }) => [row.account, row.usage]),
    [['acme', 1]],
  );
});

t.test('a cursor that no page gave is refused, and ends nothing', async (t) => {
  const api = await MessageApi.start(t);
  await api.call('POST /v1/usage/events', {
    events: [{ tenant: 'acme', category: 'pages', quantity: 1 }],
  });
  for (const text of [`acme/${'a'.repeat(2100)}//0`, 'acme/pages//0/', 'acme//', '\u0000']) {
    const cursor = Buffer.from(text).toString('base64url');
    const { status, body } = await api.call(`GET /v1/usage/records?tenant=acme&cursor=${cursor}`);
    t.match({ status, body }, { status: 400, body: { details: { field: 'cursor' } } }, cursor);
  }
  const { body } = await api.call('GET /v1/usage/records?tenant=acme&category=pages');
  t.equal(body.items.length, 1, 'the daemon goes on');
});

t.test('requests of the REST interface, webhooks and inbound messages are counted', async (t) => {
  const api = await MessageApi.start(t);
  const token = await auth.issueToken({ tenant: 'acme', scope: 'usage', ttlSec: 600 });
  const headers = { authorization: `Bearer ${token}` };
  for (let request = 0; request < 3; request += 1) {
    const events = [{ category: 'pages', quantity: 1 }];
    await api.call('POST /v1/usage/events', { events }, headers);
  }
  await api.call('PUT /v1/destinations/replies', {});
  await api.call('PUT /v1/numbers/+4930123456', { tenant: 'acme', destination: 'replies' });
  const { body } = await api.call('GET /v1/usage/records?tenant=acme&category=api-requests');
  t.match(body.items, [{ category: 'api-requests', count: 3, usage: 3 }]);
});

t.test('permits over frames are counted, with the time they were held', async (t) => {
  const api = await MessageApi.start(t);
  await api.call('PUT /v1/resources/calls', { limit: 2 });
  await api.call('PUT /v1/prices/permits', { by: 'count', steps: [{ price: '0.5' }] });
  const acme = await clientOf(t, api, { tenant: 'acme', scope: 'gate' });
  const gate = acme.gate();
  const held = [await gate.acquire('calls'), await gate.acquire('calls')];
  await t.rejects(gate.acquire('calls', { waitMs: 0 }));
  await new Promise((resolve) => setTimeout(resolve, 600));
  await Promise.all(held.map((permit) => permit.release()));
  const counts = async () => {
    const { body } = await api.call('GET /v1/usage/records?tenant=acme&period=alltime');
    const items: readonly UsageRecord[] = body.items;
    const ofPermits = items.filter(({ category }) => category.startsWith('permit'));
    return ofPermits.map(({ category, count, usage, price }) => [category, count, usage, price]);
  };
  await until('all is counted', async () => (await counts()).length === 3);
  const zero = '0.000000000';
  t.strictSame(await counts(), [
    ['permit-seconds', 2, 1, zero],
    ['permits', 2, 2, '1.000000000'],
    ['permits-impeded', 1, 1, zero],
  ]);
  await api.restart();
  t.equal((await counts()).length, 3, 'they are on disk');
});
