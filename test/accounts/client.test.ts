// The public Node client of that form against a real daemon: nothing of it is changed but the address.
import t from 'tap';
import twilio from 'twilio';
import RestException from 'twilio/lib/base/RestException.js';
import { AccountApi, type TestAccount } from './account-api.ts';

const to = '+4915112345678';
const from = '+49301234567';
const PAGED = 260;

function clientOf(api: AccountApi, account: TestAccount = api.acme) {
  const client = twilio(account.sid, account.token);
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

t.test('sends, reads, redacts, deletes', async (t) => {
  const api = await AccountApi.start(t);
  const client = clientOf(api);
  const body = 'Hellö → “you” 🎉';
  const statusCallback = 'https://acme.example/status';
  const made = await client.messages.create({ to, from, body, statusCallback, smartEncoded: true });
  t.match(made, {
    to,
    from,
    body,
    status: 'queued',
    direction: 'outbound-api',
    errorCode: undefined,
  });
  t.equal(made.numSegments, '1');
  t.ok(Math.abs(made.dateCreated.getTime() - Date.now()) < 60_000);
  t.match(await client.messages(made.sid).fetch(), { sid: made.sid, body, status: 'queued' });
  t.strictSame(await client.messages(made.sid).media.list(), []);
  t.strictSame(await refusal(client.messages(made.sid).remove()), [20009, 409]);
  await api.api.gateway('sms', () => ({ outcome: 'failed', code: 30003 }));
  await api.api.until(made.sid.slice(2), 'failed');
  const failed = await client.messages(made.sid).fetch();
  t.match(failed, { status: 'failed', errorCode: 30003, errorMessage: /Unreachable/ });
  t.match(await client.messages(made.sid).update({ body: '' }), { body: '', status: 'failed' });
  t.equal(await client.messages(made.sid).remove(), true);
  t.strictSame(await refusal(client.messages(made.sid).fetch()), [20404, 404]);
  const account = await client.api.v2010.accounts(api.acme.sid).fetch();
  t.match(account, { friendlyName: 'acme Ltd', status: 'active', type: 'Full' });
});

t.test('schedules and cancels', async (t) => {
  const api = await AccountApi.start(t);
  const client = clientOf(api);
  const sendAt = new Date(Date.now() + 3_600_000);
  const schedule = { to, body: 'later', sendAt, scheduleType: 'fixed' as const };
  const made = await client.messages.create({ ...schedule, messagingServiceSid: api.service });
  t.match(made, { status: 'scheduled', messagingServiceSid: api.service });
  t.match(['4930', 'ACME'].includes(made.from), true);
  const cancelled = await client.messages(made.sid).update({ status: 'canceled' });
  t.equal(cancelled.status, 'canceled');
  const again = client.messages(made.sid).update({ status: 'canceled' });
  t.strictSame(await refusal(again), [30409, 409]);
});

t.test('pages over all there are', async (t) => {
  const api = await AccountApi.start(t, { shards: 2 });
  const client = clientOf(api);
  const sids: string[] = [];
  for (let sent = 0; sent < PAGED; sent += 20) {
    const some = Array.from({ length: 20 }, () => client.messages.create({ to, from, body: 'x' }));
    sids.push(...(await Promise.all(some)).map(({ sid }) => sid));
  }
  const all = await client.messages.list({ pageSize: 50 });
  t.strictSame(all.map(({ sid }) => sid).sort(), [...sids].sort());
  const times = all.map(({ dateCreated }) => dateCreated.getTime());
  t.strictSame(
    times,
    [...times].sort((a, b) => b - a),
    'the newest first',
  );
  t.equal((await client.messages.list({ limit: 75, pageSize: 20 })).length, 75);
  t.equal((await client.messages.list({ limit: 5_000 })).length, PAGED);
  const first = await client.messages.page({ pageSize: 100 });
  const second = await first.nextPage();
  const back = await second?.previousPage();
  t.strictSame(
    back?.instances.map(({ sid }) => sid),
    first.instances.map(({ sid }) => sid),
  );
  t.strictSame(await client.messages.list({ to: '+4915100000000' }), []);
  const since = new Date(Date.now() - 3_600_000);
  t.equal((await client.messages.list({ dateSentAfter: since, limit: 10 })).length, 10);
  t.equal((await client.messages.list({ dateSentBefore: since })).length, 0);
});

t.test('refusals are its exceptions', async (t) => {
  const api = await AccountApi.start(t);
  const client = clientOf(api);
  const create = (message: object) =>
    refusal(client.messages.create({ to, from, body: 'x', ...message }));
  t.strictSame(await create({ to: '12' }), [21211, 400]);
  t.strictSame(await create({ from: 'a b' }), [21212, 400]);
  t.strictSame(await create({ from: undefined }), [21603, 400]);
  t.strictSame(await create({ body: undefined }), [21602, 400]);
  t.strictSame(await create({ body: 'x'.repeat(1601) }), [21617, 400]);
  t.strictSame(await create({ mediaUrl: ['https://x.example/a.png'] }), [21620, 400]);
  t.strictSame(await create({ statusCallback: 'nowhere' }), [21609, 400]);
  t.strictSame(await create({ validityPeriod: 99_999 }), [21624, 400]);
  t.strictSame(await create({ scheduleType: 'fixed' }), [35111, 400]);
  t.strictSame(await create({ to: '+33612345678' }), [21612, 400]);
  const wrong = clientOf(api, { ...api.acme, token: 'wrong' });
  t.strictSame(await refusal(wrong.messages.list()), [20003, 401]);
  const theirs = clientOf(api, api.other);
  const foreign = theirs.api.v2010.accounts(api.acme.sid).messages.list();
  t.strictSame(await refusal(foreign), [20404, 404]);
});
