// Leases: renewed together, claimed on the next connection, and what holders are told when.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Gate, Permit } from '../../src/client/index.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import type { FakeDaemon } from './fake-daemon.ts';
import { failure, gated, grantAll, permitOf } from './fake-gate.ts';

/** Long enough that a host that stalls is not taken for one that is late. */
const SHORT_MS = 3000;

/** Permits of one frame, numbered from 1. */
async function held(daemon: FakeDaemon, gate: Gate, count: number, leaseMs = SHORT_MS) {
  const asked = Array.from({ length: count }, () => gate.acquire('sms'));
  grantAll(await daemon.frame(KIND.acquire), 1, leaseMs);
  return await Promise.all(asked);
}

const aborted = ({ signal }: Permit): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => resolve(signal.reason));
  });

t.test('permits are renewed together at about a third of their lease', async (t) => {
  const { daemon, gate } = await gated(t);
  const startMs = performance.now();
  const permits = await held(daemon, gate, 3);
  const frame = await daemon.frame(KIND.renew);
  const afterMs = performance.now() - startMs;
  t.ok(afterMs > SHORT_MS / 5 && afterMs < SHORT_MS / 2, `after ${afterMs} ms`);
  t.strictSame(frame.fields, [[permitOf(1), permitOf(2), permitOf(3)], SHORT_MS]);
  frame.link.ok(frame.id, [SHORT_MS, SHORT_MS, SHORT_MS]);
  const again = await daemon.frame(KIND.renew);
  t.strictSame(again.fields, frame.fields, 'again and again');
  again.link.ok(again.id, [SHORT_MS, SHORT_MS, SHORT_MS]);
  t.ok(performance.now() - startMs > (2 * SHORT_MS) / 4);
  t.notOk(permits.some(({ signal }) => signal.aborted));
});

t.test('a lease that is not prolonged: the holder is told before it ends', async (t) => {
  const { daemon, gate } = await gated(t);
  const startMs = performance.now();
  const [permit] = (await held(daemon, gate, 1)) as [Permit];
  t.match(await aborted(permit), { error: 'leaseOver', retryable: true });
  const afterMs = performance.now() - startMs;
  t.ok(afterMs < 0.8 * SHORT_MS && afterMs > 0.6 * SHORT_MS, `after ${afterMs} ms`);
  t.notOk(permit.isHeld);
  t.equal(gate.held, 1, 'its holder has not ended');
  void permit.release();
  const back = await daemon.frame(KIND.release);
  t.strictSame(back.fields, [[permitOf(1)]]);
});

t.test('a permit that is gone: its holder is told, and there is nothing to release', async (t) => {
  const { daemon, gate } = await gated(t);
  const [one, two] = (await held(daemon, gate, 2)) as [Permit, Permit];
  const frame = await daemon.frame(KIND.renew);
  frame.link.ok(frame.id, [0, SHORT_MS]);
  t.match(await aborted(one), { error: 'permitGone', code: 4005 });
  t.notOk(two.signal.aborted);
  await one.release();
  t.equal(gate.held, 1);
  void two.release();
  const back = await daemon.frame(KIND.release);
  t.strictSame(back.fields, [[permitOf(2)]]);
});

t.test('a renewal that is refused for now is tried again before the lease ends', async (t) => {
  const { daemon, gate } = await gated(t);
  const [permit] = (await held(daemon, gate, 1)) as [Permit];
  const frame = await daemon.frame(KIND.renew);
  frame.link.error(frame.id, 1010, 'too much', { retryAfterMs: 50 });
  const again = await daemon.frame(KIND.renew);
  again.link.ok(again.id, [SHORT_MS]);
  await sleep(SHORT_MS / 2);
  t.notOk(permit.signal.aborted);
});

t.test("the caller's signal: the lease becomes the last one, until the holder ends", async (t) => {
  const { daemon, gate } = await gated(t);
  const controller = new AbortController();
  const asked = gate.acquire('sms', { signal: controller.signal });
  grantAll(await daemon.frame(KIND.acquire), 1, SHORT_MS);
  const permit = await asked;
  const reason = new Error('stop');
  controller.abort(reason);
  t.equal(permit.signal.reason, reason);
  const last = await daemon.frame(KIND.renew);
  t.strictSame(last.fields, [[permitOf(1)], SHORT_MS, 1]);
  last.link.ok(last.id, [SHORT_MS]);
  await sleep(SHORT_MS / 2);
  t.equal(daemon.count(KIND.renew), 0, 'it is not renewed any more');
  t.equal(gate.held, 1);
  await sleep(SHORT_MS * 0.7);
  t.equal(gate.held, 0, 'its lease is over');
  void permit.release();
  await daemon.frame(KIND.release);
});

t.test('a new connection: what is held is claimed before anything else', async (t) => {
  const { daemon, client, gate } = await gated(t);
  client.subscribe('sms', {}, () => {});
  const controller = new AbortController();
  const [one, two, three] = (await held(daemon, gate, 3, 30_000)) as [Permit, Permit, Permit];
  const ending = gate.acquire('sms', { signal: controller.signal });
  grantAll(await daemon.frame(KIND.acquire), 4, 30_000);
  await ending;
  controller.abort();
  await daemon.frame(KIND.renew);
  void three.release();
  await daemon.frame(KIND.release);
  daemon.links[0]?.socket.terminate();
  const waiting = gate.acquire('later');
  const claim = await daemon.frame(KIND.renew);
  t.strictSame(claim.fields, [[permitOf(1), permitOf(2)], 30_000, 2]);
  const last = await daemon.frame(KIND.renew);
  t.strictSame(last.fields, [[permitOf(4)], 30_000, 3], 'a claim that stays the last lease');
  claim.link.ok(claim.id, [30_000, 0]);
  last.link.ok(last.id, [20_000]);
  t.match(await aborted(two), { error: 'permitGone' });
  t.notOk(one.signal.aborted);
  const again = await daemon.frame(KIND.release);
  t.strictSame(again.fields, [[permitOf(3)]], 'a release without an answer is sent again');
  const next = await daemon.frame(KIND.acquire);
  grantAll(next, 9);
  await waiting;
  t.strictSame(next.link.kinds.slice(0, 3), [KIND.renew, KIND.renew, KIND.release]);
});

t.test(
  'who waited when the connection ended asks again, for what is left of its time',
  async (t) => {
    const { daemon, gate } = await gated(t);
    const timed = gate.acquire('sms', { waitMs: 10_000 });
    const endless = gate.acquire('sms');
    const frame = await daemon.frame(KIND.acquire);
    frame.link.ok(frame.id, [
      [null, 0, 1, 5, 5, 1, 40],
      [null, 0, 2, 5, 5, 2, 40],
    ]);
    const unanswered = gate.acquire('other');
    await daemon.frame(KIND.acquire);
    frame.link.socket.terminate();
    const again = await daemon.frame(KIND.acquire);
    const [first, second, third] = again.fields[0] as [string, null, { waitMs: number }][];
    const waitMs = first?.[2].waitMs ?? 0;
    t.ok(waitMs > 5000 && waitMs < 10_000, `${waitMs} ms are left`);
    t.strictSame(
      [second, third],
      [
        ['sms', null],
        ['other', null],
      ],
    );
    grantAll(again);
    await Promise.all([timed, endless, unanswered]);
  },
);

t.test(
  'a daemon that goes away: asks wait for the next one, permits and releases go on',
  async (t) => {
    const { daemon, gate } = await gated(t);
    const [permit] = (await held(daemon, gate, 1, 30_000)) as [Permit];
    const waiting = gate.acquire('sms');
    const frame = await daemon.frame(KIND.acquire);
    frame.link.ok(frame.id, [[null, 0, 7, 5, 5, 1, 40]]);
    await sleep(10);
    frame.link.goAway('restart', 0);
    frame.link.event('permit', [[7, null, 4009, 1000]]);
    void permit.release();
    const back = await daemon.frame(KIND.release);
    t.equal(back.link, frame.link);
    back.link.ok(back.id, 1, 0);
    const again = await daemon.frame(KIND.acquire);
    t.not(again.link, frame.link);
    grantAll(again, 2);
    await waiting;
  },
);

t.test('told late: a permit is handed out when it is certain that it is one', async (t) => {
  const { daemon, gate } = await gated(t);
  const asked = gate.acquire('sms');
  const lost = gate.acquire('sms');
  const frame = await daemon.frame(KIND.acquire);
  frame.link.ok(frame.id, [
    [null, 0, 1, 5, 5, 1, 40],
    [null, 0, 2, 5, 5, 2, 40],
  ]);
  await sleep(0.6 * SHORT_MS);
  // It may have left the daemon any time since the answer.
  frame.link.event('permit', [
    [1, permitOf(1), SHORT_MS],
    [2, permitOf(2), SHORT_MS],
  ]);
  const sure = await daemon.frame(KIND.renew);
  t.strictSame(sure.fields, [[permitOf(1), permitOf(2)], SHORT_MS]);
  sure.link.ok(sure.id, [SHORT_MS, 0]);
  const permit = await asked;
  t.ok(permit.isHeld);
  const again = await daemon.frame(KIND.acquire);
  t.strictSame(again.fields, [[['sms', null]]], 'what is gone is asked for again');
  grantAll(again, 3);
  t.equal((await lost).id, permitOf(3).toString('hex'));
});

t.test('close: holders are told, waited for, and their releases arrive', async (t) => {
  const { daemon, client, gate } = await gated(t);
  const [permit, stubborn] = (await held(daemon, gate, 2, 30_000)) as [Permit, Permit];
  const waiting = failure(gate.acquire('sms'));
  await daemon.frame(KIND.acquire);
  const closed = client.close(2000);
  t.match(await aborted(permit), { error: 'clientClosed' });
  t.match(await waiting, { error: 'clientClosed' });
  t.match(await failure(gate.acquire('sms')), { error: 'clientClosed' });
  const last = await daemon.frame(KIND.renew);
  t.strictSame(last.fields, [[permitOf(1), permitOf(2)], 30_000, 1]);
  last.link.ok(last.id, [30_000, 30_000]);
  await permit.release().catch(() => {});
  await stubborn.release();
  const back = await daemon.frame(KIND.release);
  back.link.ok(back.id, 2, 0);
  await closed;
  t.equal(gate.held, 0);
});

t.test('a client that ends at once tells its holders', async (t) => {
  const { daemon, client, gate } = await gated(t);
  const [permit] = (await held(daemon, gate, 1, 30_000)) as [Permit];
  const idle = daemon.client(t);
  await idle.close(0);
  const closed = client.close(0);
  t.match(await aborted(permit), { error: 'clientClosed' });
  await closed;
  await permit.release();
});
