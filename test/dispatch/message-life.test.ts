// What becomes of messages, as REST tells and changes it: scheduled, cancelled, expired, tried again,
// dead letters, receipts, traces, redacted, erased.
import t, { type Test } from 'tap';
import type { Outcome } from '../../src/client/index.ts';
import { MessageApi, nameIn } from '../support/message-api.ts';

const api = await MessageApi.start(t, { shards: 2 });
const [near, far] = [nameIn(0, 'sms'), nameIn(1, 'sms')];

/** A destination of the test's own, on the second shard. */
async function destinationOf(t: Test, fields: object = {}): Promise<string> {
  const name = nameIn(1, `${t.name.replace(/\W+/g, '-')}-`);
  const { status } = await api.call(`PUT /v1/destinations/${name}`, fields);
  t.equal(status, 201);
  return name;
}

for (const name of [near, far]) await api.call(`PUT /v1/destinations/${name}`, {});

t.test('a scheduled message waits for its time, or is cancelled before', async (t) => {
  const destination = await destinationOf(t);
  const gateway = await api.gateway(destination, () => 'delivered');
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  const later = await api.send({ destination, tenant: 'acme', sendAt });
  const soonMs = Date.now() + 300;
  const soon = await api.send({ destination, tenant: 'acme', sendAt: soonMs });
  const { body } = await api.call(`GET /v1/messages/${later}`);
  t.match(body, { status: 'scheduled', dueMs: new Date(sendAt).getTime(), endedMs: null });
  const delivered = await api.until(soon, 'delivered');
  t.ok(delivered.endedMs >= soonMs, 'not before its time');

  t.match(await api.call(`POST /v1/messages/${later}/cancel?tenant=globex`), { status: 404 });
  const cancelled = await api.call(`POST /v1/messages/${later.toUpperCase()}/cancel`);
  t.strictSame(cancelled.body, { id: later, status: 'cancelled' });
  t.match(await api.until(later, 'cancelled'), { attempts: 0, code: null, dueMs: null });
  t.match(await api.call(`POST /v1/messages/${later}/cancel`), {
    status: 409,
    body: { code: 3020, message: new RegExp(`^${later}: The message has already ended`) },
  });
  t.match(await api.call('POST /v1/messages/1/cancel'), { status: 400, body: { code: 1015 } });
  t.match(await api.call(`POST /v1/messages/ffff${later.slice(4)}/cancel`), { status: 404 });
  await gateway.close();
});

t.test('what waits of a tenant or sender is cancelled on all shards', async (t) => {
  const send = (destination: string, more: object) =>
    api.send({ destination, tenant: 'wide', ...more });
  const kept = await send(near, { tenant: 'other', sender: 's1' });
  await Promise.all([
    send(near, { sender: 's1' }),
    send(far, { sender: 's1' }),
    send(far, { sender: 's1', sendAt: Date.now() + 60_000 }),
    send(far, { sender: 's2' }),
  ]);
  const cancel = (body: object) => api.call('POST /v1/messages/cancel', body);
  t.strictSame((await cancel({ tenant: 'wide', sender: 's1' })).body, { cancelled: 3 });
  t.strictSame((await cancel({ destination: near, tenant: 'wide' })).body, { cancelled: 0 });
  t.strictSame((await cancel({ tenant: 'wide' })).body, { cancelled: 1 });
  t.match(await cancel({ destination: 'nowhere' }), { status: 404, body: { code: 3001 } });
  t.match(await cancel({}), {
    status: 400,
    body: { message: 'The body names destination, tenant or sender, received none of them.' },
  });
  t.match(await cancel({ tenants: 'wide' }), { body: { message: /did you mean tenant\?/ } });
  t.equal((await api.call(`GET /v1/messages/${kept}`)).body.status, 'queued');
});

t.test('a message whose validity is over expires', async (t) => {
  const destination = await destinationOf(t, { paused: true });
  const id = await api.send({ destination, tenant: 'acme', validityMs: 50 });
  const expired = await api.until(id, 'expired');
  t.match(expired, { code: 3026, attempts: 0, deadLetter: false });
  t.ok(expired.endedMs >= expired.expiresMs);
});

t.test(
  'a message expires by the validity of its destination, also where nothing is sent',
  async (t) => {
    const destination = await destinationOf(t, { paused: true, validityMs: 200 });
    const id = await api.send({ destination, tenant: 'acme' });
    const expired = await api.until(id, 'expired');
    t.match(expired, { code: 3026, attempts: 0, deadLetter: false });
    t.ok(expired.endedMs >= expired.expiresMs);
  },
);

t.test('a dead letter is replayed and delivered, or purged', async (t) => {
  const destination = await destinationOf(t, { attemptsMax: 2, retryBaseMs: 1, retryMaxMs: 1 });
  let outcome: Outcome['outcome'] = 'retry';
  const gateway = await api.gateway(destination, () =>
    outcome === 'retry' ? { outcome, retryAfterMs: 1 } : outcome,
  );
  const ids: string[] = [];
  for (const tenant of ['acme', 'acme', 'globex'])
    ids.push(await api.send({ destination, tenant }));
  const [first = '', second = '', third = ''] = ids;
  for (const id of ids) await api.until(id, 'failed');
  const dead = (await api.call(`GET /v1/dead-letters/${first}?trace=true`)).body;
  t.match(dead, { deadLetter: true, reason: 'attemptsExhausted', code: 3024, attempts: 2 });
  t.match(dead.trace.at(-1), { state: 'failed', reason: 'attemptsExhausted' });
  const listed = async (query: string): Promise<string[]> => {
    const { body } = await api.call(`GET /v1/dead-letters${query}`);
    return body.items.map(({ id }: { id: string }) => id);
  };
  t.strictSame((await listed('')).sort(), [...ids].sort());
  t.strictSame(await listed(`?destination=${destination}&tenant=globex`), [third]);
  t.strictSame(await listed(`?destination=${near}`), []);
  t.equal((await listed('?limit=1')).length, 1);

  outcome = 'delivered';
  const post = (verb: string, body: object) => api.call(`POST /v1/dead-letters/${verb}`, body);
  const stranger = `0000${'0'.repeat(28)}`;
  const some = await post('replay', {
    ids: [first, first, third, stranger, `ffff${'0'.repeat(28)}`],
    tenant: 'acme',
  });
  t.strictSame(some.body, { replayed: 1, unknown: 3 });
  t.match(await api.until(first, 'delivered'), { deadLetter: false, attempts: 1 });
  t.match(await api.call(`GET /v1/dead-letters/${first}`), {
    status: 404,
    body: { code: 3019, message: `${first}: It is no dead letter.` },
  });
  t.strictSame((await post('purge', { tenant: 'acme' })).body, { purged: 1, unknown: 0 });
  t.match((await api.call(`GET /v1/messages/${second}`)).body, {
    status: 'failed',
    deadLetter: false,
  });
  t.strictSame((await post('replay', { destination })).body, { replayed: 1, unknown: 0 });
  await api.until(third, 'delivered');
  t.match(await post('purge', {}), {
    status: 400,
    body: { message: /ids, destination or tenant/ },
  });
  t.match(await post('purge', { ids: ['x'] }), {
    status: 400,
    body: { message: /ids\.0: is the id/ },
  });
  t.match(await post('replay', { ids, destination }), { status: 400 });
  await gateway.close();
});

t.test('dead letters outlive a restart', async (t) => {
  const destination = await destinationOf(t, { attemptsMax: 1 });
  const gateway = await api.gateway(destination, () => ({ outcome: 'retry', retryAfterMs: 1 }));
  const id = await api.send({ destination, tenant: 'acme', idempotencyKey: 'dead-1' });
  await api.until(id, 'failed');
  await gateway.close();
  await api.restart();
  t.match((await api.call(`GET /v1/dead-letters/${id}`)).body, { deadLetter: true, attempts: 1 });
  const again = await api.call('POST /v1/messages', {
    destination,
    tenant: 'acme',
    payload: 'x',
    idempotencyKey: 'dead-1',
  });
  t.strictSame(again.body, { id, repeated: true });
  t.match((await api.call('POST /v1/dead-letters/replay', { ids: [id] })).body, { replayed: 1 });
  t.equal((await api.until(id, 'queued')).deadLetter, false);
});

t.test('a dead letter is not replayed into a destination that was deleted', async (t) => {
  const destination = await destinationOf(t, { attemptsMax: 1 });
  const gateway = await api.gateway(destination, () => ({ outcome: 'retry', retryAfterMs: 1 }));
  const id = await api.send({ destination, tenant: 'acme' });
  await api.until(id, 'failed');
  await gateway.close();
  t.match(await api.call(`DELETE /v1/destinations/${destination}`), { status: 204 });
  const replay = (body: object) => api.call('POST /v1/dead-letters/replay', body);
  t.strictSame((await replay({ ids: [id] })).body, { replayed: 0, unknown: 1 });
  t.strictSame((await replay({ destination })).body, { replayed: 0, unknown: 1 });
  await api.call(`PUT /v1/destinations/${destination}`, {});
  t.strictSame((await replay({ destination })).body, { replayed: 1, unknown: 0 });
  t.equal((await api.call(`GET /v1/messages/${id}`)).body.status, 'queued');
});

t.test('receipts of a gateway show, with their code', async (t) => {
  const destination = await destinationOf(t);
  const gateway = await api.gateway(destination, () => 'sent');
  const ids = [];
  for (let at = 0; at < 2; at += 1) ids.push(await api.send({ destination, tenant: 'acme' }));
  const [good = '', bad = ''] = ids;
  await api.until(good, 'sent');
  await api.until(bad, 'sent');
  const told = await gateway.receipt([
    { id: good, status: 'delivered' },
    { id: bad, status: 'undelivered', code: 27 },
  ]);
  t.strictSame(told, { applied: 2, unknown: 0 });
  t.match(await api.until(good, 'delivered'), { code: null });
  t.match(await api.until(bad, 'undelivered'), { code: 27, attempts: 1 });
  await gateway.close();
});

t.test('a trace tells every state with its time', async (t) => {
  const destination = await destinationOf(t, { retryBaseMs: 1, retryMaxMs: 1, retryJitter: 0 });
  let attempts = 0;
  const gateway = await api.gateway(destination, () => {
    attempts += 1;
    return attempts === 1 ? { outcome: 'retry', retryAfterMs: 20 } : 'sent';
  });
  const id = await api.send({ destination, tenant: 'acme', sender: 's1', orderKey: 'o1' });
  await api.until(id, 'sent');
  await gateway.receipt([{ id, status: 'delivered' }]);
  const { body } = await api.call(`GET /v1/messages/${id}?trace=true`);
  t.equal(body.traceTruncated, false);
  const queue = { destination, tenant: 'acme', sender: 's1', orderKey: 'o1', level: 0 };
  t.match(body.trace, [
    { state: 'accepted', atMs: body.acceptedMs, queue },
    { state: 'queued', queue },
    { state: 'sending', attempt: 1, score: Number, gateway: { connection: Number } },
    { state: 'queued', reason: 'retry', dueMs: Number },
    { state: 'sending', attempt: 2 },
    { state: 'sent' },
    { state: 'delivered' },
  ]);
  const times = body.trace.map(({ atMs }: { atMs: number }) => atMs);
  t.strictSame(
    times,
    times.toSorted((a: number, b: number) => a - b),
  );
  t.notOk('trace' in (await api.call(`GET /v1/messages/${id}`)).body);
  await gateway.close();
});

t.test('redaction takes out what a message said, once it has ended', async (t) => {
  const destination = await destinationOf(t, { paused: true });
  const message = {
    destination,
    tenant: 'acme',
    sender: 's1',
    recipient: 'r1',
    payload: 'secret',
    callbackUrl: 'https://acme.example/',
    tag: 'g1',
  };
  const id = await api.send(message);
  t.match(await api.call(`POST /v1/messages/${id}/redact`), { status: 409, body: { code: 3027 } });
  await api.call(`POST /v1/messages/${id}/cancel`);
  t.strictSame((await api.call(`POST /v1/messages/${id}/redact`)).body, { id, redacted: true });
  const redacted = (await api.call(`GET /v1/messages/${id}`)).body;
  t.match(redacted, {
    status: 'cancelled',
    redacted: true,
    tenant: 'acme',
    sender: 's1',
    tag: 'g1',
  });
  t.match(redacted, { payload: null, recipient: null, callbackUrl: null });
  await api.restart();
  t.match((await api.call(`GET /v1/messages/${id}`)).body, { redacted: true, payload: null });
});

t.test('a tenant is erased from all shards; what is in flight is waited for', async (t) => {
  const destination = await destinationOf(t, { attemptsMax: 1 });
  await api.call('PUT /v1/tenants/leaver', { weight: 7 });
  const mine = { tenant: 'leaver', recipient: 'r1', payload: 'secret' };
  const waiting = await api.send({ ...mine, destination: near });
  const scheduled = await api.send({ ...mine, destination: far, sendAt: Date.now() + 60_000 });
  const dead = await api.send({ ...mine, destination });
  let settle: (outcome: 'sent') => void = () => {};
  const taken: string[] = [];
  const gateway = await api.gateway(destination, ({ id }) => {
    taken.push(id);
    if (id === dead) return { outcome: 'retry', retryAfterMs: 1 };
    return new Promise((resolve) => {
      settle = resolve;
    });
  });
  await api.until(dead, 'failed');
  const flying = await api.send({ ...mine, destination });
  const other = await api.send({ destination: near, tenant: 'stayer', payload: 'mine' });
  await api.until(flying, 'sending');

  const erase = (body?: object) => api.call('POST /v1/tenants/leaver/erase', body);
  const first = await erase({ waitMs: 0 });
  const counts = { tenant: 'leaver', cancelled: 2, purged: 1, redacted: 3, left: 1 };
  t.strictSame(first.body, { ...counts, entityStays: true });
  setTimeout(() => settle('sent'), 300);
  t.match((await erase()).body, { cancelled: 0, purged: 0, redacted: 1, left: 0 });
  t.match((await erase()).body, { cancelled: 0, purged: 0, redacted: 0, left: 0 });
  for (const id of [waiting, scheduled, dead, flying]) {
    const { body } = await api.call(`GET /v1/messages/${id}`);
    t.match(body, { payload: null, recipient: null, redacted: true, deadLetter: false });
  }
  t.match((await api.call(`GET /v1/messages/${other}`)).body, {
    payload: 'mine',
    status: 'queued',
  });
  t.match((await api.call('GET /v1/tenants/leaver')).body, { weight: 7 });
  t.equal((await api.call('POST /v1/tenants/nobody/erase', {})).body.entityStays, false);
  t.match(await erase({ waitMs: 25_001 }), {
    status: 400,
    body: { message: /waitMs: is at most/ },
  });
  t.match(await erase({ wait: 1 }), { status: 400, body: { message: /it has waitMs/ } });
  await gateway.close();
});
