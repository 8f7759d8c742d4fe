// The built daemon is killed again and again while events are counted and a trigger is crossed: each
// acknowledged event counts once, and each step of the trigger is told under one token.
import t from 'tap';
import { connect } from '../../src/client/index.ts';
import type { UsageRecord } from '../../src/usage/ports.ts';
import { BuiltDaemon, freePort } from '../crash/daemon-process.ts';
import { httpPeer } from '../support/http-peer.ts';
import { until } from '../support/webhook-peer.ts';

const KILLS = 4;
const EVENTS = 2_000;
const BATCH = 50;
const STEP = 100;
/** Between two batches, so that every kill falls among them. */
const PAUSE_MS = 25;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const TENANTS = ['acme', 'globex'] as const;

t.test('counters and firings survive kill -9', { timeout: 240_000 }, async (t) => {
  /** Token → how often it came. */
  const tokens = new Map<string, number>();
  const values = new Map<string, { value: number; currentValue: number }>();
  const peer = await httpPeer((response, { body }) => {
    const { token, value, currentValue } = JSON.parse(body).data;
    tokens.set(token, (tokens.get(token) ?? 0) + 1);
    values.set(token, { value: Number(value), currentValue: Number(currentValue) });
    response.statusCode = 204;
    response.end();
  });
  t.teardown(() => peer.close());
  const port = await freePort();
  const settings = [
    'outbound.allow=["127.0.0.0/8"]',
    'outbound.retryMs=[0,50,100,200,400,400]',
    'shards=2',
  ];
  const options = { dataDir: t.testdir(), port, settings };
  let daemon = await BuiltDaemon.start(options);
  t.teardown(() => daemon.end());
  await daemon.put('destinations/a', {});
  await daemon.put('destinations/b', {});
  const client = connect({ url: daemon.url, token: () => daemon.token, resend: true });
  t.teardown(() => client.close(0));
  const made = await fetch(`${daemon.url}/v1/triggers`, {
    method: 'POST',
    headers: { authorization: `Bearer ${daemon.token}` },
    body: JSON.stringify({
      tenant: 'acme',
      category: 'pages',
      by: 'usage',
      value: STEP,
      step: STEP,
      callbacks: [{ url: `${peer.url}/fired` }],
    }),
  });
  t.equal(made.status, 201);
  let sent = 0;
  let accepted = 0;
  const quantityOf = (at: number) => (at % 3) + 1;
  const using = (async () => {
    while (sent < EVENTS) {
      const events = Array.from({ length: BATCH }, (_, index) => {
        const at = sent + index;
        return {
          tenant: TENANTS[at % TENANTS.length] as string,
          category: 'pages',
          quantity: quantityOf(at),
          key: `event-${at}`,
          ...(at % 10 === 0 && { tag: 'tenth' }),
        };
      });
      // An answer that was lost with the connection is asked for again: the keys see to the rest.
      const used = await client.use(events).catch(() => undefined);
      if (used === undefined) continue;
      t.strictSame(used.refused, [], 'nothing is refused');
      sent += BATCH;
      await pause(PAUSE_MS);
    }
  })();
  const publishing = (async () => {
    for (let at = 0; at < EVENTS / 4; at += 10) {
      const parts = Array.from({ length: 10 }, (_, index) => {
        const options = { idempotencyKey: `message-${at + index}` };
        const message = { tenant: 'acme', payload: 'xx', options };
        return client.publish(index % 2 === 0 ? 'a' : 'b', message).catch(() => undefined);
      });
      accepted += (await Promise.all(parts)).filter((each) => each !== undefined).length;
    }
  })();
  const sentAtKill = new Set<number>();
  for (let kill = 0; kill < KILLS; kill += 1) {
    const before = sent;
    await until('events go on', () => sent > before + BATCH || sent >= EVENTS);
    await pause(40 * (kill % 4));
    sentAtKill.add(sent);
    await daemon.kill();
    daemon = await BuiltDaemon.start(options);
  }
  t.ok(sentAtKill.size >= KILLS / 2, 'kills fall among the events');
  await using;
  await publishing;
  await daemon.kill();
  daemon = await BuiltDaemon.start(options);
  const records = async (query: string) => {
    const answer = await daemon.get(`usage/records?period=alltime&tags=true&${query}`);
    return (answer as { items: readonly UsageRecord[] }).items.map(
      ({ account, tag, count, usage }) => [account, tag, count, usage],
    );
  };
  const expected = TENANTS.flatMap((tenant, index) => {
    const of = Array.from({ length: EVENTS }, (_, at) => at).filter((at) => at % 2 === index);
    const tenth = of.filter((at) => at % 10 === 0);
    const sum = (list: readonly number[]) => list.reduce((all, at) => all + quantityOf(at), 0);
    const untagged = [tenant, null, of.length, sum(of)];
    return tenth.length === 0
      ? [untagged]
      : [untagged, [tenant, 'tenth', tenth.length, sum(tenth)]];
  });
  t.strictSame(await records('category=pages'), expected);
  await until('what shards told is folded', async () => {
    const [[, , count] = []] = await records('category=messages-accepted&tenant=acme');
    return count === accepted;
  });
  t.strictSame(
    await records('category=message-bytes&tenant=acme'),
    [['acme', null, accepted, 2 * accepted]],
    'each message that was accepted once',
  );
  const total = expected[0]?.[3] as number;
  const steps = Math.floor(total / STEP);
  await until('each step is told', () => tokens.size >= steps);
  t.equal(tokens.size, steps, 'under one token each');
  const told = [...values.values()].map(({ value }) => value).sort((a, b) => a - b);
  t.strictSame(
    told,
    Array.from({ length: steps }, (_, at) => STEP * (at + 1)),
  );
  t.ok([...values.values()].every(({ value, currentValue }) => currentValue >= value));
});
