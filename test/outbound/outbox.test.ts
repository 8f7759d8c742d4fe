// When items are sent, again, or not any more: with virtual time and endpoints that do as told.
import t from 'tap';
import { FairleadError } from '../../src/errors.ts';
import { DEFAULT_SCHEDULE, OutboxWorld } from './outbox-world.ts';

const HOUR_MS = 3_600_000;
const URL_A = 'https://a.test/hook';

t.test('an item is sent at once and is gone', async (t) => {
  const world = new OutboxWorld();
  t.strictSame(await world.outbox.put([world.item('m1'), world.item('m2')]), []);
  await world.pass(10);
  t.strictSame(
    world.arrivals.map(({ id }) => id),
    ['m1', 'm2'],
  );
  t.match(world.outbox.numbers, { waiting: 0, failed: 0, bytes: 0, taken: 2, delivered: 2 });
  world.crash();
  t.match(world.outbox.numbers, { waiting: 0, failed: 0 }, 'nothing is left on the disk');
  await world.pass(HOUR_MS);
  t.equal(world.arrivals.length, 2);
});

t.test('the schedule, and the end of it', async (t) => {
  const world = new OutboxWorld({ more: { random: () => 0.5 } });
  world.behave = () => ({ status: 500 });
  const startMs = world.nowMs;
  await world.outbox.put([world.item('m1')]);
  await world.pass(100 * HOUR_MS);
  let dueMs = startMs;
  const expected = DEFAULT_SCHEDULE.retryMs.map((wait) => {
    dueMs += wait;
    return dueMs;
  });
  const late = world.arrivals.map(({ atMs }, index) => atMs - (expected[index] as number));
  t.equal(world.arrivals.length, 10);
  // The breaker's wait is shorter than each of these, and each attempt took a millisecond.
  t.ok(
    late.every((ms) => ms >= 0 && ms <= 20),
    late.join(),
  );
  t.match(world.outbox.numbers, { waiting: 0, failed: 1, failedForGood: 1, attempts: 10 });
});

t.test('a first wait is kept, also over a restart; a replay is sent at once', async (t) => {
  const schedule = { retryMs: [60_000], jitter: 0 };
  const world = new OutboxWorld({ more: { schedule } });
  world.behave = () => ({ status: 500 });
  const startMs = world.nowMs;
  await world.outbox.put([world.item('m1')]);
  await world.pass(30_000);
  t.equal(world.arrivals.length, 0);
  world.crash();
  await world.pass(29_990);
  t.equal(world.arrivals.length, 0);
  await world.pass(20);
  t.strictSame(
    world.arrivals.map(({ atMs }) => atMs - startMs),
    [60_000],
  );
  t.match(world.outbox.numbers, { waiting: 0, failed: 1 });
  world.behave = () => ({});
  await world.outbox.items.replay([world.outbox.items.find('m1')]);
  world.outbox.pump();
  await world.pass(10);
  t.equal(world.arrivals.length, 2);
});

t.test('waits vary by a fifth', async (t) => {
  for (const [random, factor] of [
    [0, 0.8],
    [0.999_999, 1.2],
  ] as const) {
    const world = new OutboxWorld({ more: { random: () => random } });
    world.behave = () => ({ status: 503 });
    await world.outbox.put([world.item('m1')]);
    await world.pass(600_000);
    const [first, second, third] = world.arrivals.map(({ atMs }) => atMs);
    const near = (one = 0, other = 0, ms = 0) => Math.abs(one - other - ms) < 20;
    t.ok(near(second, first, 5_000 * factor));
    t.ok(near(third, second, 300_000 * factor));
  }
});

t.test('Retry-After is honoured, as seconds and as a date, up to a day', async (t) => {
  const world = new OutboxWorld();
  const asked = (retryAfter: string) => {
    world.behave = () => ({ status: 503, retryAfter });
  };
  asked('120');
  await world.outbox.put([world.item('m1')]);
  await world.pass(119_000);
  t.equal(world.arrivals.length, 1);
  t.strictSame(await world.outbox.put([world.item('m2')]), []);
  await world.pass(500);
  t.equal(world.arrivals.length, 1, 'the endpoint is left alone, not only the item');
  asked(new Date(world.nowMs + 700_000).toUTCString());
  await world.pass(2_000);
  t.equal(world.arrivals.length, 3);
  const before = world.arrivals.length;
  await world.pass(690_000);
  t.equal(world.arrivals.length, before);
  world.behave = () => ({});
  await world.pass(24 * HOUR_MS);
  t.match(world.outbox.numbers, { waiting: 0, delivered: 2 });

  const far = new OutboxWorld();
  far.behave = () => ({ status: 429, retryAfter: '9999999999' });
  await far.outbox.put([far.item('m1')]);
  await far.pass(24 * HOUR_MS + 1_000);
  t.equal(far.arrivals.length, 2);
});

t.test('410 ends an endpoint until it is enabled', async (t) => {
  const world = new OutboxWorld();
  let status = 410;
  world.behave = (url) => (url === URL_A ? { status } : {});
  const items = Array.from({ length: 2_500 }, (_, at) => world.item(`m${at}`));
  await world.outbox.put([...items, world.item('other', { url: 'https://b.test/' })]);
  await world.pass(10);
  t.ok(world.arrivals.filter(({ url }) => url === URL_A).length <= 8);
  t.match(world.outbox.numbers, { waiting: 0, failed: 2_500, disabledEndpoints: 1, delivered: 1 });
  t.strictSame(
    await world.outbox.put([
      world.item('n1', { url: `${URL_A}?x=1` }),
      world.item('n2', { url: 'https://b.test/' }),
    ]),
    [{ id: 'n1', reason: 'endpointDisabled' }],
    'its query is no part of an endpoint; items for others are taken',
  );
  world.crash();
  t.match(world.outbox.numbers, { failed: 2_500, disabledEndpoints: 1 }, 'also after a restart');
  t.strictSame((await world.outbox.put([world.item('n3')])).length, 1);
  const endpoint = world.outbox.items.endpointOf(URL_A);
  t.equal(endpoint.state, 'disabled');
  status = 200;
  await world.outbox.items.enable(endpoint);
  await world.pass(10);
  t.match(world.outbox.numbers, { failed: 2_500, disabledEndpoints: 0 });
  const slots = [...world.outbox.items.failedOf(endpoint)];
  t.equal(await world.outbox.items.replay(slots), 2_500);
  world.outbox.pump();
  await world.pass(1_000);
  t.match(world.outbox.numbers, { waiting: 0, failed: 0, bytes: 0 });
  world.crash();
  t.match(world.outbox.numbers, { waiting: 0, failed: 0, disabledEndpoints: 0 });
});

t.test('items of a stream go one after another', async (t) => {
  const world = new OutboxWorld();
  let status = 500;
  world.behave = (_, id) => ({ status: id === 's1' ? status : 200, ms: 50 });
  const item = (id: string, stream: string | null) => world.item(id, { stream });
  await world.outbox.put([item('s1', 's'), item('s2', 's'), item('r1', 'r'), item('x', null)]);
  await world.outbox.put([item('s3', 's')]);
  await world.pass(4_000);
  const ids = () => world.arrivals.map(({ id }) => id);
  t.strictSame(ids(), ['s1', 'r1', 'x']);
  status = 200;
  await world.pass(3_000);
  t.strictSame(ids(), ['s1', 'r1', 'x', 's1', 's2', 's3']);
  const times = world.arrivals.slice(3).map(({ atMs }) => atMs);
  t.ok((times[1] ?? 0) - (times[0] ?? 0) >= 50, 'after the answer to the one before');

  world.behave = (_, id) => ({ status: id === 'f1' ? 500 : 200 });
  await world.outbox.put([item('f1', 'f'), item('f2', 'f')]);
  await world.pass(200 * HOUR_MS);
  t.equal(ids().filter((id) => id === 'f1').length, 10);
  t.equal(ids().at(-1), 'f2', 'the next goes when the one before has failed for good');
});

t.test('an endpoint that wants less gets less, and more again', async (t) => {
  const world = new OutboxWorld();
  world.behave = () => ({ ms: 10 });
  const items = (count: number, from: number) =>
    Array.from({ length: count }, (_, at) => world.item(`m${from + at}`));
  await world.outbox.put(items(100, 0));
  await world.pass(1_000);
  t.equal(world.most.get(URL_A), 8);
  const endpoint = world.outbox.items.endpointOf(URL_A);
  world.behave = () => ({ status: 429, ms: 10 });
  await world.outbox.put(items(1, 100));
  await world.pass(100);
  t.equal(endpoint.concurrency, 4);
  t.equal(endpoint.state, 'slow');
  world.most.clear();
  world.behave = () => ({ ms: 10 });
  await world.outbox.put(items(4, 200));
  await world.pass(10_000);
  t.equal(world.most.get(URL_A), 4);
  await world.outbox.put(items(60, 300));
  await world.pass(10_000);
  t.equal(endpoint.concurrency, 8);
  t.equal(endpoint.state, 'open');
});

t.test(
  'an endpoint that is down is probed one at a time, and nothing waits longer for it',
  async (t) => {
    const world = new OutboxWorld();
    world.behave = (url) => (url === URL_A ? { error: 'refused' } : {});
    await world.outbox.put(Array.from({ length: 500 }, (_, at) => world.item(`m${at}`)));
    await world.pass(60_000);
    const endpoint = world.outbox.items.endpointOf(URL_A);
    t.equal(endpoint.state, 'failing');
    const during = world.arrivals.length;
    t.ok(during < 30, `${during} attempts in the first minute, not 500 or 1000`);
    await world.pass(600_000);
    t.ok(world.arrivals.length - during <= 14, 'one a minute then');
    await world.outbox.put([world.item('other', { url: 'https://b.test/' })]);
    await world.settle();
    t.equal(world.arrivals.at(-1)?.id, 'other', 'another endpoint is sent to at once');
    world.behave = () => ({});
    await world.pass(61_000);
    await world.pass(HOUR_MS);
    t.match(world.outbox.numbers, { waiting: 0, failed: 0, delivered: 501 });
    const attempts = new Map<string, number>();
    for (const { id } of world.arrivals) attempts.set(id, (attempts.get(id) ?? 0) + 1);
    t.ok(
      [...attempts.values()].every((count) => count <= 4),
      'those that waited were not used up',
    );
  },
);

t.test('what waits for an endpoint that never comes back fails in the end', async (t) => {
  const schedule = { retryMs: [0, 60_000, 600_000], jitter: 0 };
  const world = new OutboxWorld({ more: { schedule, failedKeepMs: 3 * HOUR_MS } });
  world.behave = () => ({ error: 'refused' });
  await world.outbox.put(Array.from({ length: 3_000 }, (_, at) => world.item(`m${at}`)));
  await world.pass(600_000);
  t.match(world.outbox.numbers, { waiting: 3_000 });
  await world.pass(130_000);
  t.match(world.outbox.numbers, { waiting: 0, failed: 3_000 });
  t.ok(world.arrivals.length < 40, 'although there was no attempt for most');
  await world.pass(3 * HOUR_MS);
  t.match(world.outbox.numbers, { waiting: 0, failed: 0, dropped: 3_000, bytes: 0 });
});

t.test('endpoints that hang leave the others their share', async (t) => {
  const world = new OutboxWorld();
  world.behave = (url) => (url.startsWith('https://hang') ? { error: 'timeout' } : {});
  const hanging = Array.from({ length: 3_000 }, (_, at) =>
    world.item(`h${at}`, { url: `https://hang${at}.test/` }),
  );
  await world.outbox.put([world.item('warm')]);
  await world.pass(10);
  await world.outbox.put(hanging);
  await world.settle();
  t.equal(world.outbox.numbers.inFlight, 1_024, 'half of all');
  await world.outbox.put([world.item('m1')]);
  await world.settle();
  t.equal(world.arrivals.at(-1)?.id, 'm1');
  const one = world.outbox.items.endpointOf('https://hang0.test/');
  await world.pass(16_000);
  t.equal(one.concurrency, 1);
});

t.test('bounds', async (t) => {
  const world = new OutboxWorld({ more: { itemsMax: 10, itemsPerEndpointMax: 6, failedMax: 3 } });
  world.behave = () => ({ error: 'refused' });
  const items = (name: string, count: number, url: string) =>
    Array.from({ length: count }, (_, at) => world.item(`${name}${at}`, { url }));
  const refused = await world.outbox.put(items('a', 8, URL_A));
  t.strictSame(refused, [
    { id: 'a6', reason: 'outboxFull' },
    { id: 'a7', reason: 'outboxFull' },
  ]);
  const full = await world.outbox.put(items('b', 5, 'https://b.test/')).then(
    () => undefined,
    (error: unknown) => error,
  );
  t.ok(full instanceof FairleadError && full.code === 3032);
  t.match(full, { details: { retryAfterMs: 1_000 } });
  t.match(world.outbox.numbers, { waiting: 6 }, 'nothing was taken');
  t.strictSame(await world.outbox.put(items('b', 4, 'https://b.test/')), []);
  t.strictSame(await world.outbox.put(items('a', 3, URL_A)), [], 'known ids are taken already');
  t.match(world.outbox.numbers, { waiting: 10 });
  await world.pass(400 * HOUR_MS);
  t.equal(world.outbox.numbers.waiting, 0);
  t.ok(world.outbox.numbers.failed <= 3);
  t.equal(world.outbox.numbers.dropped + world.outbox.numbers.failed, 10);
});

t.test('an id is taken once, also in one call and before it is stored', async (t) => {
  const world = new OutboxWorld();
  world.behave = () => ({ status: 500 });
  await Promise.all([
    world.outbox.put([world.item('m1'), world.item('m1')]),
    world.outbox.put([world.item('m1')]),
  ]);
  world.crash();
  await world.outbox.put([world.item('m1'), world.item('m2')]);
  t.equal(world.outbox.numbers.waiting, 2);
});

t.test('writes of others are in the same transaction', async (t) => {
  const world = new OutboxWorld();
  const key = Uint8Array.of(4, 1);
  const put = world.outbox.put([world.item('m1')], (writes) => writes.put(key, Buffer.from('x')));
  await put;
  t.equal(String(world.environment.get(key)), 'x');
  t.equal(world.environment.commits, 1);
  await world.outbox.put([], (writes) => writes.remove(key));
  t.equal(world.environment.get(key), undefined);
});

t.test('an item that cannot be sent fails at once', async (t) => {
  const world = new OutboxWorld({
    more: { keys: { standardKeys: () => [], formToken: () => undefined } },
  });
  await world.outbox.put([
    world.item('m1'),
    world.item('m2', { signing: { kind: 'form', account: 'AC1' } }),
  ]);
  await world.pass(10);
  t.match(world.outbox.numbers, { failed: 2, waiting: 0 });
  t.equal(world.arrivals.length, 0);
});

t.test('stopping', async (t) => {
  const world = new OutboxWorld();
  world.behave = () => ({ ms: 1_000 });
  await world.outbox.put(Array.from({ length: 20 }, (_, at) => world.item(`m${at}`)));
  const stopped = world.outbox.stop(60_000);
  await world.pass(2_000);
  await stopped;
  t.equal(world.arrivals.length, 8, 'no more were begun');
  const late = await world.outbox.put([world.item('late')]).catch((error: FairleadError) => error);
  t.match(late, { code: 1011 });
  world.crash();
  t.match(world.outbox.numbers, { waiting: 12 });
});
