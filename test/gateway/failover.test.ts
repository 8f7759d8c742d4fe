// Several gateways of a destination on a real daemon: shares, fail-over and back, rest, doubt, stop.
import t, { type Test } from 'tap';
import { MessageApi } from '../support/message-api.ts';
import { LOOPBACK, putWebhookGateway, until, WebhookPeer } from '../support/webhook-peer.ts';

async function batch(api: MessageApi, count: number, destination = 'd'): Promise<string[]> {
  const ids: string[] = [];
  for (let left = count; left > 0; left -= 1000) {
    const messages = Array.from({ length: Math.min(left, 1000) }, () => {
      return { tenant: 'acme', payload: 'x' };
    });
    const { body } = await api.call('POST /v1/messages/batch', { destination, messages });
    for (const item of body.items) ids.push(item.id);
  }
  return ids;
}

async function allSent(api: MessageApi, ids: readonly string[]): Promise<void> {
  for (const id of ids) await api.until(id, 'sent');
}

/** Two gateways of one destination, which answer after 5 ms. */
async function pair(t: Test, weights: readonly [number, number]) {
  const api = await MessageApi.start(t, LOOPBACK);
  const slow = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { status: 200 };
  };
  const one = await WebhookPeer.start(t, slow);
  const two = await WebhookPeer.start(t, slow);
  await api.call('PUT /v1/destinations/d', { retryBaseMs: 20, retryMaxMs: 100 });
  const [first, second] = weights;
  const common = { destinations: ['d'], inFlightMax: 4 };
  await putWebhookGateway(api, 'one', { ...common, url: one.url, weight: first });
  await putWebhookGateway(api, 'two', { ...common, url: two.url, weight: second });
  return { api, one, two };
}

t.test('one that dies gives way to the other, and comes back', async (t) => {
  const { api, one, two } = await pair(t, [100, 100]);
  await allSent(api, await batch(api, 50));
  t.ok(one.messages.length > 0 && two.messages.length > 0, 'both work');
  const state = async (name: string) => (await api.call(`GET /v1/gateways/${name}/state`)).body;
  await one.close();
  const ids = await batch(api, 60);
  await until('the breaker is open', async () => !(await state('one')).up);
  t.match(await state('one'), { driver: { breaker: 'open' }, lastError: { message: /./ } });
  await allSent(api, ids);
  const all = [...one.messages, ...two.messages].map(({ id }) => id);
  t.equal(all.length, new Set(all).size, 'none came twice: what was refused was never sent');
  await one.listen();
  const before = one.messages.length;
  await until(
    'it is back',
    async () => {
      await allSent(api, await batch(api, 4));
      return (await state('one')).driver.breaker === 'closed';
    },
    20_000,
  );
  await allSent(api, await batch(api, 50));
  t.ok(one.messages.length > before + 10, 'it has its share again');
  t.match(await state('one'), { up: true });
});

t.test('shares follow the weights', async (t) => {
  const { api, one, two } = await pair(t, [100, 300]);
  await api.call('POST /v1/destinations/d/pause');
  const ids = await batch(api, 400);
  // A rate below what both can do, so that both always have room.
  const limits = { ratePerSec: 200, burst: 1 };
  await api.call('PUT /v1/destinations/d', limits);
  await until('half of them', () => one.messages.length + two.messages.length >= 200);
  const [first, second] = [one.messages.length, two.messages.length];
  t.ok(Math.abs(3 * first - second) <= 8, `${first} : ${second}`);
  await api.call('PUT /v1/destinations/d', {});
  await allSent(api, ids);
});

t.test('a gateway that rests holds up its own destination only', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  let limited = true;
  const slow = await WebhookPeer.start(t, () =>
    limited ? { status: 429, headers: { 'retry-after': '5' } } : { status: 200 },
  );
  const fast = await WebhookPeer.start(t);
  for (const name of ['s', 'f']) await api.call(`PUT /v1/destinations/${name}`, { shardKey: 'k' });
  await putWebhookGateway(api, 'slow', { destinations: ['s'], url: slow.url });
  await putWebhookGateway(api, 'fast', { destinations: ['f'], url: fast.url });
  const waiting = await batch(api, 20, 's');
  await until('it is told to rest', () => slow.requests.length > 0);
  const startMs = performance.now();
  await allSent(api, await batch(api, 100, 'f'));
  const tookMs = performance.now() - startMs;
  t.ok(tookMs < 4_900, `the other took ${tookMs} ms`);
  limited = false;
  await allSent(api, waiting);
  t.equal(slow.messages.filter(({ attempt }) => attempt !== 1).length, 0, 'a rest is no attempt');
});

t.test('a request without an answer is in doubt', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  const peer = await WebhookPeer.start(t, ([message]) => {
    if (message?.attempt === 1) return message.payload === 'reset' ? 'reset' : undefined;
    return { status: 200 };
  });
  await api.call('PUT /v1/destinations/again', { retryBaseMs: 20 });
  await api.call('PUT /v1/destinations/once', { onDoubt: 'fail', shardKey: 'again' });
  const destinations = ['again', 'once'];
  const webhook = { timeoutMs: 200 };
  await putWebhookGateway(api, 'g', { destinations, url: peer.url, webhook });
  const send = (destination: string, payload: string) =>
    api.send({ destination, tenant: 'a', payload });
  for (const payload of ['silent', 'reset']) {
    t.match(await api.until(await send('again', payload), 'sent'), { attempts: 2 });
    t.match(await api.until(await send('once', payload), 'failed'), { code: 3025 });
  }
  const seen = peer.messages.map(({ attempt, maybeDuplicate }) => `${attempt} ${maybeDuplicate}`);
  t.strictSame(seen.sort(), [...Array(4).fill('1 false'), ...Array(2).fill('2 true')]);
  t.match((await api.call('GET /v1/gateways/g/state')).body, { outcomes: { doubt: 4 } });
});

t.test('a lease that ends before the time-out ends the attempt', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  const peer = await WebhookPeer.start(t, ([message]) =>
    message?.attempt === 1 ? undefined : { status: 200 },
  );
  await api.call('PUT /v1/destinations/d', { leaseMs: 1_000, retryBaseMs: 20 });
  await putWebhookGateway(api, 'g', { destinations: ['d'], url: peer.url });
  const id = await api.send({ destination: 'd', tenant: 'a' });
  const found = await api.until(id, 'sent');
  t.equal(found.attempts, 2);
  t.ok(found.endedMs - found.acceptedMs < 3_000);
  t.match((await api.call('GET /v1/gateways/g/state')).body, { outcomes: { doubt: 1, sent: 1 } });
});

t.test('a stop ends what is under way and gives back what waits', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  const peer = await WebhookPeer.start(t, async () => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { status: 200 };
  });
  await api.call('PUT /v1/destinations/d', {});
  const webhook = { batchMax: 10 };
  await putWebhookGateway(api, 'g', {
    destinations: ['d'],
    url: peer.url,
    inFlightMax: 10,
    webhook,
  });
  const first = await api.send({ destination: 'd', tenant: 'a' });
  await until('it is under way', () => peer.requests.length === 1);
  const ids = [first, ...(await batch(api, 30))];
  await api.restart();
  await allSent(api, ids);
  t.equal(peer.messages.length, ids.length, 'each once');
  t.ok(peer.messages.every(({ attempt }) => attempt === 1));
});

t.test('a client names a gateway of the type pull, and no other', async (t) => {
  const { api, one } = await pair(t, [100, 100]);
  await api.call('PUT /v1/destinations/e', {});
  await api.call('PUT /v1/gateways/pulled', { type: 'pull', destinations: ['d'] });
  const client = api.client();
  client.on('error', () => {});
  const subscribe = (destination: string, gateway: string) =>
    client.subscribe(destination, { gateway }, () => 'sent').ready();
  await t.rejects(subscribe('d', 'one'), { code: 3029 }, 'one that the daemon drives');
  await t.rejects(subscribe('d', 'nobody'), { code: 3029 });
  await t.rejects(subscribe('e', 'pulled'), { code: 3029 }, 'one of another destination');
  t.throws(() => client.subscribe('d', { gateway: 'a b' }, () => 'sent'), { code: /./ });
  await subscribe('d', 'pulled');
  await allSent(api, await batch(api, 60));
  t.ok(one.messages.length < 60, 'it has a part');
});

t.test('a URL with a user name is refused: it would be shown', async (t) => {
  const api = await MessageApi.start(t, LOOPBACK);
  await api.call('PUT /v1/destinations/d', {});
  const put = async (url: string) => {
    const body = { type: 'webhook', destinations: ['d'], webhook: { url } };
    return (await api.call('PUT /v1/gateways/g', body)).status;
  };
  t.equal(await put('http://name:word@127.0.0.1/send'), 400);
  t.equal(await put('http://name@127.0.0.1/send'), 400);
  t.equal(await put('http://127.0.0.1/send?user=name:word@x'), 201);
});

t.test('what a pull gateway has in flight is told, over all its destinations', async (t) => {
  const api = await MessageApi.start(t);
  for (const name of ['d', 'e']) await api.call(`PUT /v1/destinations/${name}`, { shardKey: 'k' });
  await api.call('PUT /v1/gateways/p', { type: 'pull', destinations: ['d', 'e'] });
  const inFlight = async () => (await api.call('GET /v1/gateways/p/state')).body.inFlight;
  t.equal(await inFlight(), 0);
  let end: (outcome: 'sent') => void = () => {};
  const ended = new Promise<'sent'>((resolve) => {
    end = resolve;
  });
  const client = api.client();
  for (const name of ['d', 'e']) {
    await client.subscribe(name, { credit: 4, gateway: 'p' }, () => ended).ready();
  }
  for (const [at, destination] of ['d', 'd', 'e'].entries()) {
    await api.send({ destination, tenant: 'acme', sender: `s${at}` });
  }
  await until('all are handed out', async () => (await inFlight()) === 3);
  end('sent');
  await until('all have ended', async () => (await inFlight()) === 0);
});
