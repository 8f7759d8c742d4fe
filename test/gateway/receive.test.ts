// Messages that come in for a tenant's number, taken by the tenant itself over the SDK.
import t, { type Test } from 'tap';
import { connect, type Delivery } from '../../src/client/index.ts';
import { auth } from '../support/in-process-daemon.ts';
import { MessageApi } from '../support/message-api.ts';
import { LOOPBACK, until } from '../support/webhook-peer.ts';

const numbers = { acme: '+493011111', other: '+493022222' } as const;
type Tenant = keyof typeof numbers;

async function setUp(t: Test) {
  const api = await MessageApi.start(t, LOOPBACK);
  for (const tenant of ['acme', 'other'] as const) {
    await api.call(`PUT /v1/destinations/in-${tenant}`, { owner: tenant });
    await api.call(`PUT /v1/numbers/${numbers[tenant]}`, { tenant, destination: `in-${tenant}` });
  }
  await api.call('PUT /v1/destinations/d', {});
  await api.call('PUT /v1/gateways/g', { type: 'pull', destinations: ['d'] });
  const clientOf = async (tenant: Tenant, scope = 'receive') => {
    const token = await auth.issueToken({ tenant, scope, ttlSec: 3600 });
    const client = connect({ url: api.url, token });
    t.teardown(() => client.close(1000));
    return client;
  };
  const comeIn = (tenant: Tenant, payload: string) =>
    api.call('POST /v1/gateways/g/inbound', [
      { from: '+4915112345678', to: numbers[tenant], payload },
    ]);
  return { api, clientOf, comeIn };
}

const textOf = ({ payload }: Delivery): string => Buffer.from(payload).toString();

t.test('each tenant takes what comes in for its number, and nothing of others', async (t) => {
  const { api, clientOf, comeIn } = await setUp(t);
  const taken: Record<Tenant, Delivery[]> = { acme: [], other: [] };
  const clients = { acme: await clientOf('acme'), other: await clientOf('other') };
  for (const tenant of ['acme', 'other'] as const) {
    const take = (delivery: Delivery) => {
      taken[tenant].push(delivery);
      return 'delivered' as const;
    };
    await clients[tenant].subscribe(`in-${tenant}`, { credit: 8 }, take).ready();
  }
  for (let count = 0; count < 20; count += 1) {
    await comeIn('acme', `acme ${count}`);
    await comeIn('other', `other ${count}`);
  }
  await until('all are taken', () => taken.acme.length === 20 && taken.other.length === 20);
  for (const tenant of ['acme', 'other'] as const) {
    t.strictSame(
      taken[tenant].map(textOf),
      Array.from({ length: 20 }, (_, at) => `${tenant} ${at}`),
    );
    t.match(taken[tenant][0], { tenant, sender: '+4915112345678', recipient: numbers[tenant] });
  }
  await until('all are settled', async () => {
    const { items } = (await api.call('GET /v1/messages?status=queued,sending')).body;
    return items.length === 0;
  });
});

t.test('a foreign destination is refused as one that there is not', async (t) => {
  const { clientOf } = await setUp(t);
  const acme = await clientOf('acme');
  const refusals: object[] = [];
  for (const name of ['in-other', 'd', 'nowhere']) {
    const handle = acme.subscribe(name, { credit: 8 }, () => 'sent');
    const { error, message } = await handle.ready().then(
      () => ({ error: 'none', message: '' }),
      (failure) => failure,
    );
    refusals.push({ error, message: message.replace(` ${name}.`, ' X.') });
  }
  t.match(refusals[2], { error: 'unknownDestination' });
  t.strictSame(refusals[0], refusals[2]);
  t.strictSame(refusals[1], refusals[2]);
});

t.test('the REST interface is not opened by it', async (t) => {
  const { api } = await setUp(t);
  const token = await auth.issueToken({ tenant: 'acme', scope: 'receive publish', ttlSec: 60 });
  const headers = { authorization: `Bearer ${token}` };
  for (const line of [
    'GET /v1/destinations/in-acme',
    'GET /v1/messages',
    'POST /v1/gateways/g/inbound',
    'POST /v1/gateways/g/receipts',
  ]) {
    const body = line.startsWith('POST') ? [] : undefined;
    t.match(await api.call(line, body, headers), { status: 403, body: { code: 2004 } }, line);
  }
});

t.test('a destination that goes to another owner takes its messages with it', async (t) => {
  const { api, clientOf, comeIn } = await setUp(t);
  const acme = await clientOf('acme');
  const held: string[] = [];
  const never = new Promise<'sent'>(() => {});
  const hold = (delivery: Delivery) => {
    held.push(textOf(delivery));
    return never;
  };
  await acme.subscribe('in-acme', { credit: 8 }, hold).ready();
  await comeIn('acme', 'one');
  await until('it holds one', () => held.length === 1);
  await api.call('PUT /v1/destinations/in-acme', { owner: 'other' });
  t.match((await comeIn('acme', 'two')).body, { taken: 0, refused: [{ code: 3038 }] });
  const other = await clientOf('other');
  const taken: string[] = [];
  const take = (delivery: Delivery) => {
    taken.push(textOf(delivery));
    return 'sent' as const;
  };
  await other.subscribe('in-acme', { credit: 8 }, take).ready();
  await until('it has come back', () => taken.length === 1);
  t.strictSame([taken, held], [['one'], ['one']], 'who lost it got nothing more');
});

t.test(
  'a destination that is deleted ends who takes from it, and is nobody’s when it is made again',
  async (t) => {
    const { api, clientOf, comeIn } = await setUp(t);
    const acme = await clientOf('acme');
    const codes: number[] = [];
    acme.on('disconnected', ({ code }) => codes.push(code));
    await acme.subscribe('in-acme', { credit: 8 }, () => 'sent').ready();
    await api.call(`DELETE /v1/numbers/${numbers.acme}`);
    t.equal((await api.call('DELETE /v1/destinations/in-acme')).status, 204);
    await until('it is closed', () => codes.length > 0);
    t.strictSame(codes, [4404]);
    await api.call('PUT /v1/destinations/in-acme', {});
    await api.call(`PUT /v1/numbers/${numbers.acme}`, { tenant: 'acme', destination: 'in-acme' });
    await comeIn('acme', 'one');
    const again = await clientOf('acme');
    const handle = again.subscribe('in-acme', { credit: 8 }, () => 'sent');
    await t.rejects(handle.ready(), { code: 3001 });
  },
);

t.test('no account sends into what another tenant owns', async (t) => {
  const { api } = await setUp(t);
  await api.call('PUT /v1/routes/49', { destination: 'in-acme' });
  const send = async (tenant: Tenant, digit: string) => {
    const sid = `AC${digit.repeat(32)}`;
    const { primaryToken } = (await api.call(`PUT /v1/accounts/${sid}`, { tenant })).body;
    const credentials = Buffer.from(`${sid}:${primaryToken}`).toString('base64');
    const answer = await fetch(`${api.url}/2010-04-01/Accounts/${sid}/Messages.json`, {
      method: 'POST',
      headers: { authorization: `Basic ${credentials}` },
      body: new URLSearchParams({ To: '+4915112345678', From: '4930', Body: 'x' }),
    });
    return { status: answer.status, body: await answer.json() };
  };
  t.match(await send('other', '1'), { status: 400, body: { code: 21612 } });
  t.equal((await send('acme', '2')).status, 201);
});
