// Asking for permits: what shares a frame, what the answers become, who waits, who gives up.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { FairleadClientError, ImpededError } from '../../src/client/index.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import type { ClientFrame } from './fake-daemon.ts';
import { failure, gated, grantAll, LEASE_MS, permitOf } from './fake-gate.ts';

t.test('asks of one turn share a frame; releases too', async (t) => {
  const { daemon, gate } = await gated(t);
  const asked = [
    gate.acquire('calls.create'),
    gate.acquire('calls.create', { tenant: 'acme', weight: 3, leaseMs: 5000, waitMs: 0 }),
    gate.acquire('sms', { mode: 'reject' }),
  ];
  const frame = await daemon.frame(KIND.acquire);
  t.strictSame(frame.fields, [
    [
      ['calls.create', null],
      ['calls.create', 'acme', { weight: 3, leaseMs: 5000, waitMs: 0 }],
      ['sms', null, { mode: 0 }],
    ],
  ]);
  grantAll(frame);
  const permits = await Promise.all(asked);
  t.strictSame(
    permits.map(({ id, resource, tenant, used, limit }) => [id, resource, tenant, used, limit]),
    [
      [permitOf(1).toString('hex'), 'calls.create', undefined, 1, 10],
      [permitOf(2).toString('hex'), 'calls.create', 'acme', 2, 10],
      [permitOf(3).toString('hex'), 'sms', undefined, 3, 10],
    ],
  );
  t.equal(gate.held, 3);
  const released = [...permits, ...permits].map((permit) => permit.release());
  const back = await daemon.frame(KIND.release);
  t.strictSame(back.fields, [[permitOf(1), permitOf(2), permitOf(3)]], 'each once');
  back.link.ok(back.id, 3, 0);
  await Promise.all(released);
  t.equal(gate.held, 0);
  t.notOk(permits[0]?.isHeld);
  t.notOk(permits[0]?.signal.aborted, 'a release stops nobody');
});

t.test('what failed is told; what was told to stop has not failed', async (t) => {
  const { daemon, gate } = await gated(t);
  const give = async () => grantAll(await daemon.frame(KIND.acquire));
  const asked = [gate.acquire('calls'), gate.acquire('calls'), gate.acquire('calls')];
  await give();
  const [first, second, third] = await Promise.all(asked);
  const released = [first?.release(), second?.release({ failed: true }), third?.release({})];
  void second?.release();
  const back = await daemon.frame(KIND.release);
  t.strictSame(back.fields, [[permitOf(1), permitOf(2), permitOf(3)], [1]]);
  back.link.ok(back.id, 3, 0);
  await Promise.all(released);

  const stop = new AbortController();
  const options = { signal: stop.signal };
  const runs = [
    gate.run('calls', async () => 'done'),
    gate.run('calls', async () => {
      throw new Error('broken');
    }),
    gate.run('calls', options, async (permit) => {
      stop.abort(new Error('enough'));
      throw permit.signal.reason;
    }),
  ];
  const ended = Promise.allSettled(runs);
  await give();
  const after = await daemon.frame(KIND.release);
  t.strictSame(after.fields, [[permitOf(1), permitOf(2), permitOf(3)], [1]]);
  after.link.ok(after.id, 3, 0);
  const [done, broken, stopped] = await ended;
  t.match(done, { value: 'done' });
  t.match(broken, { reason: { message: 'broken' } });
  t.match(stopped, { reason: { message: 'enough' } });
});

t.test('a frame has at most 1,000 entries, and few are unanswered', async (t) => {
  const { daemon, gate } = await gated(t);
  const asked = Array.from({ length: 9_500 }, () => gate.acquire('sms'));
  const frames: ClientFrame[] = [];
  for (let count = 0; count < 8; count += 1) frames.push(await daemon.frame(KIND.acquire));
  await sleep(20);
  t.equal(daemon.count(KIND.acquire), 0, 'the rest waits for an answer');
  for (const frame of frames) grantAll(frame);
  const ninth = await daemon.frame(KIND.acquire);
  const last = await daemon.frame(KIND.acquire);
  t.strictSame(
    [...frames, ninth, last].map(({ fields }) => (fields[0] as unknown[]).length),
    [...Array(9).fill(1000), 500],
  );
  grantAll(ninth);
  grantAll(last);
  t.equal((await Promise.all(asked)).length, 9_500);
});

t.test('impeded: a typed error with everything that the daemon said', async (t) => {
  const { daemon, gate } = await gated(t);
  const asked = failure(gate.acquire('sms'));
  const frame = await daemon.frame(KIND.acquire);
  frame.link.ok(frame.id, [[null, 4003, 250, 7, 7, 1_250]]);
  const error = await asked;
  t.ok(error instanceof ImpededError);
  t.equal((error as Error).name, 'ImpededError');
  t.ok(error instanceof FairleadClientError);
  t.match(error, {
    ...{ error: 'wouldWaitTooLong', code: 4003, retryable: true, retryAfterMs: 250 },
    ...{ used: 7, limit: 7, estimateMs: 1_250, maybeAccepted: false },
  });
});

t.test('who waits is told its place, and later gets its permit or a refusal', async (t) => {
  const { daemon, gate } = await gated(t);
  const places: unknown[] = [];
  const onWait = (place: unknown): unknown => places.push(place);
  const first = gate.acquire('sms', { onWait });
  const second = failure(gate.acquire('sms', { onWait }));
  const frame = await daemon.frame(KIND.acquire);
  frame.link.ok(frame.id, [
    [null, 0, 1, 5, 5, 1, 40],
    [null, 0, 2, 5, null, 2, 0],
  ]);
  frame.link.event('permit', [[2, null, 4007, 100]]);
  t.match(await second, { error: 'waitOver', code: 4007, retryAfterMs: 100 });
  frame.link.event('other', 'of a later daemon');
  frame.link.event('permit', [[1, permitOf(1), LEASE_MS]]);
  t.equal((await first).id, permitOf(1).toString('hex'));
  t.strictSame(places, [
    { position: 1, estimateMs: 40, used: 5, limit: 5 },
    { position: 2, estimateMs: undefined, used: 5, limit: undefined },
  ]);
});

t.test(
  'a signal gives up the wait by its ticket; a permit that crosses is given back',
  async (t) => {
    const { daemon, gate } = await gated(t);
    const controller = new AbortController();
    const asked = failure(gate.acquire('sms', { signal: controller.signal }));
    const frame = await daemon.frame(KIND.acquire);
    frame.link.ok(frame.id, [[null, 0, 5, 5, 5, 1, 0]]);
    await sleep(10);
    const reason = new Error('no more');
    controller.abort(reason);
    t.equal(await asked, reason);
    const given = await daemon.frame(KIND.release);
    t.strictSame(given.fields, [[5]]);
    frame.link.event('permit', [[5, permitOf(4), LEASE_MS]]);
    const back = await daemon.frame(KIND.release);
    t.strictSame(back.fields, [[permitOf(4)]]);
    t.equal(gate.held, 0);
  },
);

t.test('a signal before the answer: what comes is given back', async (t) => {
  const { daemon, gate } = await gated(t);
  const controller = new AbortController();
  const { signal } = controller;
  const asked = [gate.acquire('a', { signal }), gate.acquire('b', { signal })].map(failure);
  const frame = await daemon.frame(KIND.acquire);
  controller.abort();
  t.match(await Promise.all(asked), [{ name: 'AbortError' }, { name: 'AbortError' }]);
  frame.link.ok(frame.id, [
    [permitOf(1), LEASE_MS, 1, 5],
    [null, 0, 3, 5, 5, 1, 0],
  ]);
  const back = await daemon.frame(KIND.release);
  t.strictSame(back.fields, [[permitOf(1), 3]]);
  t.match(await failure(gate.acquire('c', { signal })), { name: 'AbortError' });
});

t.test('a fault of one ask does not refuse its neighbours in the frame', async (t) => {
  const { daemon, gate } = await gated(t);
  const good = [gate.acquire('a'), gate.acquire('c')];
  const bad = failure(gate.acquire('b', { tenant: 'other' }));
  const frame = await daemon.frame(KIND.acquire);
  frame.link.error(frame.id, 2005, 'entry 2: the token is of another tenant', { index: 2 });
  t.match(await bad, { error: 'tenantForbidden' });
  const again = await daemon.frame(KIND.acquire);
  t.strictSame(again.fields, [
    [
      ['a', null],
      ['c', null],
    ],
  ]);
  grantAll(again);
  t.equal((await Promise.all(good)).length, 2);
});

t.test('wrong options are refused before they share a frame', async (t) => {
  const { daemon, gate } = await gated(t);
  const cases: [string, Record<string, unknown>, string][] = [
    ['a space in a tenant', { tenant: 'a b' }, 'invalidName'],
    ['no seat', { weight: 0 }, 'invalidOption'],
    ['too many seats', { weight: 1001 }, 'invalidOption'],
    ['a lease below a second', { leaseMs: 999 }, 'invalidOption'],
    ['a wait of a day', { waitMs: 86_400_000 }, 'invalidOption'],
    ['a mode that is none', { mode: 'hope' }, 'invalidOption'],
  ];
  for (const [name, options, error] of cases) {
    t.match(await failure(gate.acquire('sms', options)), { error }, name);
  }
  t.match(await failure(gate.acquire('')), { error: 'invalidName' });
  t.equal(daemon.count(KIND.acquire), 0);
});

t.test('silence of the daemon has an end; what is granted later is given back', async (t) => {
  const { daemon, gate } = await gated(t);
  const asked = failure(gate.acquire('sms', { answerMs: 30 }));
  const frame = await daemon.frame(KIND.acquire);
  t.match(await asked, { error: 'connectTimeout', retryable: true });
  grantAll(frame);
  const back = await daemon.frame(KIND.release);
  t.strictSame(back.fields, [[permitOf(1)]]);
});

t.test('run: the permit ends with the work, whatever becomes of it', async (t) => {
  const { daemon, client } = await gated(t);
  const gate = client.gate({ tenant: 'acme', weight: 2 });
  const result = gate.run('sms', ({ signal, isHeld }) => [signal.aborted, isHeld]);
  const frame = await daemon.frame(KIND.acquire);
  t.strictSame(frame.fields, [[['sms', 'acme', { weight: 2 }]]], 'defaults of the view');
  grantAll(frame);
  const back = await daemon.frame(KIND.release);
  back.link.ok(back.id, 1, 0);
  t.strictSame(await result, [false, true]);
  const failed = gate.run('sms', { weight: 1 }, async () => {
    throw new Error('of the work');
  });
  const second = await daemon.frame(KIND.acquire);
  t.strictSame(second.fields, [[['sms', 'acme', { weight: 1 }]]], 'an option goes before them');
  grantAll(second, 2);
  const late = await daemon.frame(KIND.release);
  late.link.ok(late.id, 0, 1);
  await t.rejects(failed, new Error('of the work'));
});

t.test('await using: the permit ends with its block', async (t) => {
  const { daemon, gate } = await gated(t);
  const block = async (): Promise<string> => {
    await using permit = await gate.acquire('sms');
    return permit.id;
  };
  const done = block();
  grantAll(await daemon.frame(KIND.acquire));
  const back = await daemon.frame(KIND.release);
  back.link.ok(back.id, 1, 0);
  t.equal(await done, permitOf(1).toString('hex'));
});

t.test('what is released in a turn comes before what is asked for in it', async (t) => {
  const { daemon, gate } = await gated(t);
  const asked = gate.acquire('sms');
  grantAll(await daemon.frame(KIND.acquire));
  const permit = await asked;
  const next = gate.acquire('sms');
  void permit.release();
  const [first] = await Promise.race([
    daemon.frame(KIND.release).then((frame) => [frame]),
    daemon.frame(KIND.acquire).then((frame) => [frame]),
  ]);
  t.equal(first?.kind, KIND.release);
  next.catch(() => {});
});
