// The gate's SDK against a real daemon in this process: limits, waiting, leases, claims.
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { connect, type Permit } from '../../src/client/index.ts';
import { FlakyLine } from '../gate/flaky-socket.ts';
import { auth, start } from '../support/in-process-daemon.ts';
import { failure } from './fake-gate.ts';

const daemon = await start(t.testdir(), { 'gate.graceMs': 5000 });
t.teardown(() => daemon.stop());
const token = await auth.issueToken({ scope: 'gate platform', ttlSec: 600 });

async function put(path: string, fields: object): Promise<void> {
  const answer = await fetch(`${daemon.url.replace(/^ws/, 'http')}/v1/${path}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify(fields),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
}

function gated(t: Test, secret = token) {
  const line = new FlakyLine();
  const client = connect({ url: daemon.url, token: secret, WebSocket: line.WebSocket });
  t.teardown(() => client.close(0));
  return { line, client, gate: client.gate({ tenant: 'acme' }) };
}

t.test('within the limit it passes, past it the refusal says how full it is', async (t) => {
  await put('resources/rejecting', { tenantLimit: 2 });
  const { gate } = gated(t);
  const [one, two] = await Promise.all([gate.acquire('rejecting'), gate.acquire('rejecting')]);
  t.strictSame([one?.used, two?.used, two?.limit], [1, 2, 2]);
  t.match(await failure(gate.acquire('rejecting')), {
    ...{ error: 'concurrencyLimit', code: 4002, used: 2, limit: 2 },
    retryAfterMs: Number,
  });
  await one?.release();
  await using three = await gate.acquire('rejecting');
  t.ok(three.isHeld);
  t.match(await failure(gate.acquire('nowhere')), { error: 'unknownResource' });
  await two?.release();
});

t.test('what waits gets its turn in order, or gives it up', async (t) => {
  await put('resources/queueing', { tenantLimit: 1, mode: 'queue', waitMs: 5000 });
  const { gate } = gated(t);
  const order: number[] = [];
  const places: number[] = [];
  const controller = new AbortController();
  const work = (number: number) => async () => {
    order.push(number);
    await sleep(5);
  };
  const onWait = ({ position }: { position: number }): unknown => places.push(position);
  const all = [0, 1, 2].map((number) => gate.run('queueing', { onWait }, work(number)));
  const given = failure(gate.run('queueing', { signal: controller.signal }, work(9)));
  all.push(gate.run('queueing', work(3)));
  controller.abort();
  t.match(await given, { name: 'AbortError' });
  await Promise.all(all);
  t.strictSame(order, [0, 1, 2, 3]);
  t.strictSame(places, [1, 2]);
  t.match(
    await gate.run('queueing', async () => await failure(gate.acquire('queueing', { waitMs: 50 }))),
    { error: 'waitOver' },
  );
});

t.test('a permit outlives its connection: it is claimed, and counts all the time', async (t) => {
  await put('resources/claimed', { tenantLimit: 1, leaseMs: 3000 });
  const { gate, line, client } = gated(t);
  const permit = await gate.acquire('claimed');
  const other = gated(t).gate;
  for (let drop = 0; drop < 3; drop += 1) {
    const lost = new Promise((resolve) => client.on('disconnected', resolve));
    line.drop();
    await lost;
    await client.whenConnected();
    t.match(await failure(other.acquire('claimed')), { error: 'concurrencyLimit' });
  }
  // Longer than the lease: it is prolonged.
  await sleep(3500);
  t.match(await failure(other.acquire('claimed')), { error: 'concurrencyLimit' });
  t.ok(permit.isHeld);
  await permit.release();
  await (await other.acquire('claimed')).release();
});

t.test('a holder that is cut off is told before somebody else gets its seat', async (t) => {
  await put('resources/cut', { tenantLimit: 1, leaseMs: 2000, mode: 'queue' });
  const { gate, line } = gated(t);
  const permit: Permit = await gate.acquire('cut');
  const told = new Promise<number>((resolve) => {
    permit.signal.addEventListener('abort', () => resolve(performance.now()));
  });
  line.isCut = true;
  line.drop();
  const next = gated(t).gate.acquire('cut');
  const gotMs = next.then(() => performance.now());
  t.ok((await told) < (await gotMs));
  t.match(permit.signal.reason, { error: 'leaseOver' });
  await (await next).release();
});

t.test("a tenant's token asks for itself only; without the scope nobody does", async (t) => {
  await put('resources/own', { tenantLimit: 5 });
  const own = await auth.issueToken({ scope: 'gate', tenant: 'acme', ttlSec: 60 });
  const { client } = gated(t, own);
  const [mine, foreign] = await Promise.allSettled([
    client.gate().acquire('own'),
    client.gate().acquire('own', { tenant: 'other' }),
  ]);
  t.equal(mine.status, 'fulfilled', 'a neighbour in the frame is not refused with it');
  t.match(foreign, { reason: { error: 'tenantForbidden' } });
  if (mine.status === 'fulfilled') await mine.value.release();
  const none = await auth.issueToken({ scope: 'publish', tenant: 'acme', ttlSec: 60 });
  t.match(await failure(gated(t, none).client.gate().acquire('own')), { error: 'scopeMissing' });
});
