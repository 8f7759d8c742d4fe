// The gate of a real daemon: frames, policies changed live, tenants kept apart, REST and metrics.
import t, { type Test } from 'tap';
import { ERRORS } from '../../src/errors.ts';
import { RENEW_FLAG } from '../../src/protocol/frames.ts';
import { GateClient, RefusedFrame } from '../support/gate-client.ts';
import { auth, start } from '../support/in-process-daemon.ts';

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const codeOf = async (asked: Promise<unknown>): Promise<number | undefined> => {
  try {
    await asked;
  } catch (error) {
    if (error instanceof RefusedFrame) return error.code;
    throw error;
  }
  return undefined;
};

/** A daemon, clients by tenant (empty: the platform), and an operator. */
async function running(t: Test, more: Readonly<Record<string, unknown>> = {}) {
  const daemon = await start(t.testdir(), more);
  t.teardown(() => daemon.stop());
  const { url } = daemon;
  const clients: GateClient[] = [];
  const connect = async (tenant = '', scope = 'gate'): Promise<GateClient> => {
    const token = await auth.issueToken({ tenant: tenant || undefined, scope, ttlSec: 600 });
    const client = await GateClient.open(url, token);
    clients.push(client);
    return client;
  };
  const token = await auth.issueToken({ scope: 'platform', ttlSec: 600 });
  const headers = { authorization: `Bearer ${token}` };
  const call = async (method: string, path: string, body?: object) => {
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
    const answer = await fetch(`${url}/v1/${path}`, init);
    const text = await answer.text();
    const json = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    return { status: answer.status, ...json } as Record<string, unknown> & { status: number };
  };
  const put = async (path: string, body: object) => {
    const { status } = await call('PUT', path, body);
    if (status >= 300) throw new Error(`PUT ${path}: ${status}`);
  };
  const metric = async (line: string): Promise<number | undefined> => {
    const text = await (await fetch(`${url}/metrics`, { headers })).text();
    const [, value] =
      new RegExp(`^${line.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(text) ?? [];
    return value === undefined ? undefined : Number(value);
  };
  return { daemon, url, connect, call, put, metric };
}

t.test('permits up to the limit, and one for each that is given back', async (t) => {
  const { connect, put } = await running(t);
  await put('resources/calls', { tenantLimit: 2 });
  const client = await connect('acme');
  const answers = await client.acquire(
    { resource: 'calls' },
    { resource: 'calls', options: { leaseMs: 5_000 } },
    { resource: 'calls' },
    { resource: 'nowhere' },
  );
  t.match(answers, [
    { kind: 'granted', leaseMs: 30_000, used: 1, limit: 2 },
    { kind: 'granted', leaseMs: 5_000, used: 2, limit: 2 },
    { kind: 'impeded', code: ERRORS.concurrencyLimit.code, used: 2, limit: 2 },
    { kind: 'impeded', code: ERRORS.unknownResource.code },
  ]);
  const permits = answers.flatMap((each) => (each.kind === 'granted' ? [each.permit] : []));
  const [first = new Uint8Array()] = permits;
  t.strictSame(await client.release(first), { released: 1, gone: 0 });
  t.strictSame(await client.release(first), { released: 0, gone: 1 }, 'once');
  await client.take('calls');
  t.equal((await client.acquire({ resource: 'calls' }))[0]?.kind, 'impeded');
  const other = await connect('beta');
  await other.take('calls', { options: { weight: 2 } });
  t.equal((await other.acquire({ resource: 'calls' }))[0]?.kind, 'impeded', 'a weight is seats');
});

t.test('all caps have to have room', async (t) => {
  const { connect, put, call } = await running(t);
  await put('resources/a', { limit: 3 });
  await put('resources/b', {});
  await put('tenants/acme', { concurrencyMax: 2 });
  const [acme, beta] = [await connect('acme'), await connect('beta')];
  const held = await acme.take('a');
  await acme.take('b');
  t.match(await call('DELETE', 'resources/b'), { status: 409, code: 3011 });
  t.match(await acme.acquire({ resource: 'b' }), [{ code: ERRORS.concurrencyLimit.code }]);
  await beta.take('a', { options: { weight: 2 } });
  t.match(await beta.acquire({ resource: 'a' }), [{ code: ERRORS.concurrencyLimit.code }]);
  await beta.take('b');
  await acme.release(held);
  await beta.take('a');
});

t.test('who waits is told in order, and a policy acts at once', async (t) => {
  const { connect, put } = await running(t);
  await put('resources/calls', { tenantLimit: 1, mode: 'queue' });
  const client = await connect('acme');
  const held = await client.take('calls');
  const asked = await client.acquire({ resource: 'calls' }, { resource: 'calls' });
  t.match(asked, [
    { kind: 'waiting', ticket: 1, position: 1, used: 1, limit: 1 },
    { kind: 'waiting', ticket: 2, position: 2 },
  ]);
  t.match(await client.acquire({ resource: 'calls', options: { waitMs: 0 } }), [
    { kind: 'impeded' },
  ]);
  t.match(await client.acquire({ resource: 'calls', options: { mode: 0 } }), [{ kind: 'impeded' }]);
  await client.release(held);
  const first = await client.news();
  t.match(first, { ticket: 1, leaseMs: 30_000 });
  await put('policies/calls/acme', { limit: 2 });
  t.match(await client.news(), { ticket: 2, leaseMs: 30_000 }, 'raised: let in at once');
  await put('policies/calls/acme', { limit: 1 });
  const third = await client.queue('calls');
  t.equal(third, 3);
  if (first.permit === undefined) return;
  t.strictSame(await client.release(first.permit), { released: 1, gone: 0 });
  await wait(50);
  t.equal(client.untaken, 0, 'lowered: one left of two, nobody is let in and nobody sent away');
  t.strictSame(await client.release(third), { released: 1, gone: 0 }, 'given up by its ticket');
  t.strictSame(await client.release(third), { released: 0, gone: 1 });
});

t.test('a wait ends: with its time, or refused before it begins', async (t) => {
  const { connect, put } = await running(t);
  await put('resources/calls', { tenantLimit: 1, mode: 'queue', waitMs: 300, waitersMax: 1 });
  const client = await connect('acme');
  await client.take('calls');
  const ticket = await client.queue('calls');
  t.match(await client.acquire({ resource: 'calls' }), [{ code: ERRORS.waitersFull.code }]);
  const began = performance.now();
  t.match(await client.news(), { ticket, permit: undefined, code: ERRORS.waitOver.code });
  t.ok(performance.now() - began < 2_000);
});

t.test('a lease ends unless it is renewed', async (t) => {
  const { connect, put } = await running(t);
  await put('resources/calls', { tenantLimit: 2, leaseMs: 1_000 });
  const client = await connect('acme');
  const [kept, left] = [await client.take('calls'), await client.take('calls')];
  await wait(600);
  t.strictSame(await client.renew([kept], 2_000), [2_000]);
  await wait(700);
  t.strictSame(await client.renew([kept, left], 1_000), [1_000, 0], 'one is gone');
  t.strictSame(await client.release(left), { released: 0, gone: 1 });
  await client.take('calls');
  const finishing = await client.renew([kept], 1_500, RENEW_FLAG.finishing);
  t.ok((finishing[0] ?? 0) > 0);
  const again = await client.renew([kept], 60_000);
  t.ok((again[0] ?? 0) <= 1_500, 'the last one stays the last');
});

t.test('permits of a dropped line end after the grace, unless they are claimed', async (t) => {
  const { connect, put } = await running(t, { 'gate.graceMs': 700 });
  await put('resources/calls', { tenantLimit: 2 });
  await put('resources/queued', { tenantLimit: 1, mode: 'queue' });
  const [first, watcher] = [await connect('acme'), await connect('acme')];
  const [kept, lost] = [await first.take('calls'), await first.take('calls')];
  const one = await watcher.take('queued');
  await first.queue('queued');
  const ticket = await watcher.queue('queued');
  await first.drop();
  const second = await connect('acme');
  t.strictSame(await second.renew([kept], 20_000, RENEW_FLAG.claim), [20_000]);
  t.match(await second.acquire({ resource: 'calls' }), [{ kind: 'impeded' }], 'both still count');
  await wait(1_000);
  t.strictSame(await second.renew([kept, lost], 20_000), [20_000, 0]);
  await second.take('calls');
  await watcher.release(one);
  t.match(await watcher.news(), { ticket }, 'its waiter was gone at once');
});

t.test('tenants are kept apart', async (t) => {
  const { connect, put } = await running(t);
  await put('resources/calls', {});
  const [acme, beta, platform] = [await connect('acme'), await connect('beta'), await connect()];
  const permit = await acme.take('calls');
  t.strictSame(await beta.release(permit), { released: 0, gone: 1 });
  t.strictSame(await beta.renew([permit], 5_000, RENEW_FLAG.claim), [0]);
  t.strictSame(await acme.renew([permit], 5_000), [5_000], 'it was not touched');
  const foreign = acme.acquire({ resource: 'calls' }, { resource: 'calls', tenant: 'beta' });
  t.equal(await codeOf(foreign), ERRORS.tenantForbidden.code);
  await acme.take('calls', { tenant: 'acme' });
  const named = await platform.take('calls', { tenant: 'acme' });
  t.strictSame(await platform.release(named), { released: 1, gone: 0 });
  t.equal(
    await codeOf((await connect('acme', 'publish')).acquire({ resource: 'calls' })),
    ERRORS.scopeMissing.code,
  );
});

t.test('unknown resources are made where that is configured', async (t) => {
  const { connect, call } = await running(t, { 'gate.autoCreateResources': true });
  const client = await connect('acme');
  const answers = await client.acquire({ resource: 'new' }, { resource: 'newer' });
  t.match(answers, [{ kind: 'granted' }, { kind: 'granted' }]);
  t.match(await call('GET', 'resources/newer'), { status: 200, limit: null });
  t.match(await call('GET', 'audit?kind=resource&name=new'), { items: [{ actor: 'daemon' }] });
});

t.test('what an operator sees', async (t) => {
  const { connect, put, call, metric } = await running(t);
  await put('resources/calls', { tenantLimit: 2, limit: 9, mode: 'queue' });
  await put('policies/calls/beta', { limit: 5, floor: 1, weight: 7 });
  const [acme, beta] = [await connect('acme'), await connect('beta')];
  const permit = await acme.take('calls', { options: { weight: 2 } });
  await acme.queue('calls');
  await beta.take('calls');
  await acme.acquire({ resource: 'calls', options: { waitMs: 0 } });
  t.match(await call('GET', 'gate'), {
    status: 200,
    permits: 2,
    seats: 4,
    waiting: 1,
    granted: Number,
    recoveringUntilMs: null,
    impeded: { unknownResource: 0 },
  });
  const list = await call('GET', 'gate/keys?resource=calls&limit=1');
  t.match(list, { items: [{ resource: 'calls' }], cursor: String });
  const rest = await call('GET', `gate/keys?resource=calls&limit=10&cursor=${list.cursor}`);
  const keys = [...(list.items as object[]), ...(rest.items as object[])];
  t.match(
    keys.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b))),
    [
      { tenant: 'acme', used: 2, limit: 2, waiting: 1, mode: 'queue', permits: 1 },
      { tenant: 'beta', used: 1, limit: 5, waiting: 0, floor: 1, weight: 7 },
    ],
  );
  t.match(await call('GET', 'gate/keys?tenant=beta'), { items: [{ tenant: 'beta' }] });
  const own = await call('GET', 'gate/keys?tenant=');
  t.match(own, { items: [{ resource: 'fairlead.api', tenant: '', used: 1 }] }, 'this very request');
  t.match(await call('GET', 'gate/keys/calls/acme'), {
    status: 200,
    known: true,
    waiting: 1,
    blockedBy: 'key',
    chain: [
      { cap: 'key', used: 2, limit: 2 },
      { cap: 'tenant', used: 2, limit: null },
      { cap: 'resource', used: 3, limit: 9 },
    ],
  });
  t.match(await call('GET', 'gate/keys/calls'), { tenant: '', chain: [{ used: 0 }] });
  t.match(await call('GET', 'gate/keys/nothing/acme'), { status: 404, code: 4001 });
  for (const odd of ['a%20b/acme', 'calls/a%2Fb', `calls/${'x'.repeat(129)}`, '%00', '%C3%A4']) {
    t.match(await call('GET', `gate/keys/${odd}`), { status: 400, code: 1008 }, odd);
  }
  t.match(await call('GET', 'gate/top?by=used&limit=1'), { items: [{ tenant: 'acme', used: 2 }] });
  t.match(await call('GET', 'gate/top?by=size'), { status: 400 });
  t.equal(await metric('fairlead_gate_permits'), 2);
  t.equal(await metric('fairlead_gate_waiting'), 1);
  t.equal(await metric('fairlead_gate_admitted_total'), 0);
  const released = (await metric('fairlead_gate_released_total')) ?? 0;
  await acme.release(permit);
  await acme.news();
  t.equal(await metric('fairlead_gate_admitted_total'), 1);
  t.equal(await metric('fairlead_gate_released_total'), released + 1);
  t.equal(await metric('fairlead_gate_local_permits'), 0, 'a scrape is not counted');
  const impeded = 'fairlead_gate_impeded_total{code="4003",error="wouldWaitTooLong"}';
  const limit = 'fairlead_gate_impeded_total{code="4002",error="concurrencyLimit"}';
  t.equal(((await metric(impeded)) ?? 0) + ((await metric(limit)) ?? 0), 1);
  t.ok(((await metric('fairlead_gate_flush_seconds_count')) ?? 0) >= 3);
});

t.test('the REST interface runs behind it', async (t) => {
  const { call, put, url } = await running(t);
  await put('resources/fairlead.api', { tenantLimit: 0 });
  const refused = await call('GET', 'sets');
  t.match(refused, { status: 429, code: 4002, details: { used: 0, limit: 0 } });
  t.equal((await fetch(`${url}/livez`)).status, 200, 'health is not counted');
  await put('resources/fairlead.api', { tenantLimit: 3 });
  for (let at = 0; at < 20; at += 1) t.equal((await call('GET', 'sets')).status, 200);
  t.equal((await call('GET', 'nothing')).status, 404);
  t.match(await call('GET', 'gate'), { localPermits: 1 }, 'each was counted down');
});

t.test('the account form has its own code and headers', async (t) => {
  const { call, put, url } = await running(t);
  const sid = `AC${'7'.repeat(32)}`;
  const account = await call('PUT', `accounts/${sid}`, { tenant: 'acme' });
  await put('policies/fairlead.api/acme', { limit: 1 });
  const basic = Buffer.from(`${sid}:${account.primaryToken}`).toString('base64');
  const show = () =>
    fetch(`${url}/2010-04-01/Accounts/${sid}.json`, {
      headers: { authorization: `Basic ${basic}` },
    });
  const good = await show();
  t.equal(good.status, 200);
  t.equal(good.headers.get('concurrent-requests'), '1');
  t.equal(good.headers.get('concurrent-requests-limit'), '1');
  t.equal(good.headers.get('concurrent-requests-remaining'), '0');
  await put('policies/fairlead.api/acme', { limit: 0 });
  const refused = await show();
  t.equal(refused.status, 429);
  t.ok(Number(refused.headers.get('retry-after')) >= 1);
  t.equal(refused.headers.get('concurrent-requests-remaining'), '0');
  t.match(await refused.json(), { code: 20429, status: 429 });
  t.equal((await call('GET', 'sets')).status, 200, 'others are not touched');
  await put('policies/fairlead.api/acme', { limit: 1 });
  t.equal((await show()).status, 200);
});

t.test('a request to the REST interface may wait for its turn', async (t) => {
  const { call, put } = await running(t);
  await put('resources/fairlead.api', { tenantLimit: 1, mode: 'queue' });
  const list = async () => (await call('GET', 'sets')).status;
  t.strictSame(await Promise.all(Array.from({ length: 20 }, list)), Array(20).fill(200));
  const { queued, admitted, waiting } = await call('GET', 'gate');
  t.equal(queued, admitted, 'all that waited were let in');
  t.equal(waiting, 0);
});

t.test('nobody is shut out of the daemon’s own interface by permits or limits', async (t) => {
  const { connect, call } = await running(t);
  const code = ERRORS.unknownResource.code;
  for (const client of [await connect('acme'), await connect()]) {
    t.match(await client.acquire({ resource: 'fairlead.api' }), [{ kind: 'impeded', code }]);
  }
  const shut = await call('PUT', 'resources/fairlead.api', { limit: 0 });
  t.match(shut, { status: 200, limit: 0 });
  t.match(await call('GET', 'sets'), { status: 429 });
  t.match(await call('GET', 'gate'), { status: 200, permits: 0 });
  t.match(await call('PUT', 'resources/fairlead.api', {}), { status: 200, limit: null });
  t.match(await call('GET', 'sets'), { status: 200 });
});
