// What permits are after the end of a daemon: in order, by kill -9, and where answers did not wait for the disk.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ERRORS } from '../../src/errors.ts';
import { RENEW_FLAG } from '../../src/protocol/frames.ts';
import { BuiltDaemon, freePort } from '../crash/daemon-process.ts';
import { GateClient } from '../support/gate-client.ts';
import { auth, start } from '../support/in-process-daemon.ts';

const token = (tenant: string) => auth.issueToken({ tenant, scope: 'gate', ttlSec: 600 });
const platform = auth.issueToken({ scope: 'platform', ttlSec: 600 });

async function put(url: string, path: string, body: object, bearer?: string): Promise<void> {
  const headers = { authorization: `Bearer ${bearer ?? (await platform)}` };
  const init = { method: 'PUT', headers, body: JSON.stringify(body) };
  const { status } = await fetch(`${url}/v1/${path}`, init);
  if (status >= 300) throw new Error(`PUT ${path}: ${status}`);
}

async function gate(url: string, bearer?: string): Promise<Record<string, number | null>> {
  const headers = { authorization: `Bearer ${bearer ?? (await platform)}` };
  return (await (await fetch(`${url}/v1/gate`, { headers })).json()) as Record<string, number>;
}

for (const durability of ['strict', 'relaxed']) {
  t.test(`${durability}: a stop in order keeps what is held`, async (t) => {
    const dir = t.testdir();
    const options = { 'gate.durability': durability, 'gate.graceMs': 100 };
    const first = await start(dir, options);
    await put(first.url, 'resources/calls', { tenantLimit: 2 });
    await put(first.url, 'resources/queued', { tenantLimit: 1, mode: 'queue' });
    const before = await GateClient.open(first.url, await token('acme'));
    const [kept, released] = [await before.take('calls'), await before.take('calls')];
    await before.take('queued');
    const ticket = await before.queue('queued');
    await before.release(released);
    const waiter = before.news();
    await Promise.all([first.stop(), waiter]);
    t.match(await waiter, { ticket, permit: undefined, code: ERRORS.gateRecovering.code });

    // The daemon closed the line itself: the holder has its lease, and not only the grace.
    await new Promise((resolve) => setTimeout(resolve, 250));
    const second = await start(dir, options);
    t.teardown(() => second.stop());
    t.match(await gate(second.url), { permits: 2, recoveringUntilMs: null });
    const after = await GateClient.open(second.url, await token('acme'));
    await after.take('calls');
    t.match(await after.acquire({ resource: 'calls' }), [{ code: ERRORS.concurrencyLimit.code }]);
    t.strictSame(await after.renew([kept, released], 9_000, RENEW_FLAG.claim), [9_000, 0]);
    t.strictSame(await after.release(kept), { released: 1, gone: 0 });
  });
}

/** The build on a folder that stays, killed at the end. */
async function devDaemon(t: Test, dataDir: string, ...settings: string[]): Promise<BuiltDaemon> {
  const daemon = await BuiltDaemon.start({ dataDir, port: await freePort(), settings });
  t.teardown(() => daemon.end());
  return daemon;
}

t.test('kill -9 with permits held: all of them count until their leases end', async (t) => {
  const dir = join(t.testdir(), 'data');
  const first = await devDaemon(t, dir);
  await put(first.url, 'resources/calls', { tenantLimit: 50 }, first.token);
  const before = await GateClient.open(first.url, first.token);
  const entries = Array.from({ length: 40 }, (_, at) => {
    const options = { leaseMs: at < 10 ? 1_000 : 60_000 };
    return { resource: 'calls', tenant: 'acme', options };
  });
  const permits = (await before.acquire(...entries)).map((answer) => {
    if (answer.kind !== 'granted') throw new Error(`not granted: ${answer.kind}`);
    return answer.permit;
  });
  await before.release(...permits.slice(30));
  await first.kill();
  const killed = performance.now();

  const second = await devDaemon(t, dir);
  const after = await GateClient.open(second.url, second.token);
  const held = await gate(second.url, second.token);
  t.ok(
    held.permits === 30 || held.permits === 20,
    `${held.permits}: all, or less the short leases`,
  );
  t.strictSame(await after.release(...permits.slice(30)), { released: 0, gone: 10 });
  const left = Math.max(0, 1_300 - (performance.now() - killed));
  await new Promise((resolve) => setTimeout(resolve, left));
  const claimed = await after.renew(permits.slice(0, 30), 30_000, RENEW_FLAG.claim);
  t.strictSame(claimed.slice(0, 10), Array(10).fill(0), 'short leases are over');
  t.strictSame(claimed.slice(10), Array(20).fill(30_000));
  const more = await after.acquire(
    ...Array.from({ length: 40 }, () => ({ resource: 'calls', tenant: 'acme' })),
  );
  t.equal(more.filter(({ kind }) => kind === 'granted').length, 30, 'up to the limit and no more');
  t.strictSame(await after.release(...permits.slice(10, 30)), { released: 20, gone: 0 });
});

t.test('relaxed: after kill -9 none is given until the longest lease is over', async (t) => {
  const dir = join(t.testdir(), 'data');
  const relaxed = ['gate.durability=relaxed'];
  const first = await devDaemon(t, dir, ...relaxed);
  const before = await GateClient.open(first.url, first.token);
  await before.take('calls', { tenant: 'acme', options: { leaseMs: 6_000 } });
  await first.kill();
  const second = await devDaemon(t, dir, ...relaxed);
  const after = await GateClient.open(second.url, second.token);
  const { recoveringUntilMs } = await gate(second.url, second.token);
  const leftMs = (recoveringUntilMs ?? 0) - Date.now();
  t.ok(leftMs > 0 && leftMs <= 31_000, `${leftMs}`);
  t.match(await after.acquire({ resource: 'calls', tenant: 'acme' }), [
    { kind: 'impeded', code: ERRORS.gateRecovering.code, retryAfterMs: Number },
  ]);
  const headers = { authorization: `Bearer ${second.token}` };
  t.equal((await fetch(`${second.url}/v1/sets`, { headers })).status, 200, 'operators get in');
  t.equal(await second.stop(), 0);
  rmSync(dir, { recursive: true });
});

t.test('SIGTERM: no more permits, waiters are told, releases go on', async (t) => {
  const daemon = await devDaemon(t, join(t.testdir(), 'data'));
  await put(daemon.url, 'resources/calls', { tenantLimit: 1, mode: 'queue' }, daemon.token);
  await put(daemon.url, 'destinations/d', {}, daemon.token);
  const client = await GateClient.open(daemon.url, daemon.token);
  await client.take('calls', { tenant: 'acme' });
  const ticket = await client.queue('calls', { tenant: 'acme' });
  const news = client.news();
  const ended = daemon.stop();
  t.match(await news, { ticket, permit: undefined, code: ERRORS.gateRecovering.code });
  t.equal(await ended, 0);
});
