// The audit log of a real daemon: who changed what, over a restart.
import t from 'tap';
import { auth, start } from '../support/in-process-daemon.ts';

t.test('a change is recorded with the token’s subject, and survives', async (t) => {
  const dataDir = t.testdir();
  const token = await auth.issueToken({ subject: 'ops@example', scope: 'platform', ttlSec: 60 });
  const headers = { authorization: `Bearer ${token}` };
  const first = await start(dataDir);
  const put = (body: object) =>
    fetch(`${first.url}/v1/senders/acme/1`, { method: 'PUT', headers, body: JSON.stringify(body) });
  t.equal((await put({ ratePerSec: 5 })).status, 201);
  t.equal((await put({ ratePerSec: 6 })).status, 200);
  t.equal((await put({ ratePerSec: 0 })).status, 400);
  const forbidden = await fetch(`${first.url}/v1/audit`);
  t.equal(forbidden.status, 401);
  await first.stop();
  const second = await start(dataDir);
  t.teardown(() => second.stop());
  const answer = await fetch(`${second.url}/v1/audit`, { headers });
  const { items } = (await answer.json()) as { items: Record<string, unknown>[] };
  t.equal(items.length, 2, 'what was refused is no change');
  const who = { actor: 'ops@example', address: '127.0.0.1', kind: 'sender', name: 'acme/1' };
  t.match(items, [
    { ...who, sequence: 2, before: { ratePerSec: 5 }, after: { ratePerSec: 6 } },
    { ...who, sequence: 1, before: null, after: { ratePerSec: 5 } },
  ]);
  const forged = await fetch(`${second.url}/v1/audit?cursor=0`, { headers });
  t.equal(forged.status, 400, 'no change has the number 0');
  const age = Date.now() - Number(items[0]?.atMs);
  t.ok(age >= 0 && age < 60_000, 'the time is that of the change');
});
