// What an operator sets acts on messages of a real daemon: pausing, draining, a pool's rate.
import t, { type Test } from 'tap';
import { connect } from '../../src/client/index.ts';
import { ERRORS } from '../../src/errors.ts';
import { auth, start } from '../support/in-process-daemon.ts';

const PATIENCE_MS = 200;

/** A daemon with the destination `sms`, a gateway that takes everything, and an operator. */
async function running(t: Test) {
  const daemon = await start(t.testdir(), { durability: 'memory' });
  const token = await auth.issueToken({ scope: 'platform publish consume', ttlSec: 60 });
  const client = connect({ url: daemon.url.replace('http', 'ws'), token });
  t.teardown(async () => {
    await client.close();
    await daemon.stop();
  });
  const call = async (method: string, path: string, body?: object): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
    return (await fetch(`${daemon.url}${path}`, init)).status;
  };
  await call('PUT', '/v1/destinations/sms', {});
  const got: string[] = [];
  client.subscribe('sms', { credit: 100 }, async ({ sender }) => {
    got.push(sender ?? '');
    return 'sent' as const;
  });
  const publish = (sender: string) =>
    client.publish('sms', { tenant: 'acme', sender, payload: 'x' }).then(
      () => 'accepted',
      (error: { code: unknown }) => error.code,
    );
  /** Waits until so many came, and a little longer for what should not come. */
  const arrived = async (count: number): Promise<string> => {
    const end = performance.now() + 5_000;
    while (got.length < count && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    return got.splice(0).sort().join(' ');
  };
  return { call, publish, arrived };
}

for (const place of ['senders/acme/1', 'tenants/acme', 'sets/default', 'destinations/sms']) {
  t.test(`${place}: pause, resume, drain`, async (t) => {
    const { call, publish, arrived } = await running(t);
    t.equal(await call('POST', `/v1/${place}/pause`), 200);
    t.equal(await publish('1'), 'accepted', 'pausing takes new work');
    t.equal(await arrived(0), '');
    t.equal(await call('POST', `/v1/${place}/drain`), 200);
    t.equal(await arrived(1), '1', 'draining sends what waits');
    t.equal(await publish('1'), ERRORS.refusingNew.code);
    t.equal(await call('POST', `/v1/${place}/resume`), 200);
    t.equal(await publish('1'), 'accepted');
    t.equal(await arrived(1), '1');
  });
}

t.test('senders of a pool share its rate', async (t) => {
  const { call, publish, arrived } = await running(t);
  await call('PUT', '/v1/pools/campaign', { ratePerSec: 20 });
  await call('PUT', '/v1/senders/acme/1', { pool: 'campaign' });
  await call('PUT', '/v1/senders/acme/2', { pool: 'campaign' });
  t.equal(await call('DELETE', '/v1/pools/campaign'), 409);
  const startMs = performance.now();
  for (let turn = 0; turn < 5; turn += 1) await Promise.all([publish('1'), publish('2')]);
  t.equal(await arrived(10), '1 1 1 1 1 2 2 2 2 2');
  const tookMs = performance.now() - startMs - PATIENCE_MS;
  // One goes at once, nine follow by 50 ms each; the core's buckets may be 5 ms early.
  t.ok(tookMs >= 440, `${tookMs} ms`);
});
