// What becomes of messages is counted: the same as the client saw, over outcomes, tags and a restart.
import t from 'tap';
import { CapSlots } from '../../src/dispatch/cap-slots.ts';
import type { UsageRecord } from '../../src/usage/ports.ts';
import { MessageApi } from '../support/message-api.ts';
import { until } from '../support/webhook-peer.ts';

const LIMIT = 'limit=1000';

/** Counts and usage by category, and by category and tag. */
async function countsOf(api: MessageApi, tenant: string): Promise<Map<string, UsageRecord>> {
  const path = `/v1/usage/records?tenant=${tenant}&period=alltime&tags=true&${LIMIT}`;
  const { body } = await api.call(`GET ${path}`);
  const items: readonly UsageRecord[] = body.items;
  return new Map(items.map((row) => [[row.category, row.tag].filter(Boolean).join(' '), row]));
}

t.test('outcomes, segments, bytes and what is billable', async (t) => {
  const api = await MessageApi.start(t);
  await api.call('PUT /v1/destinations/sms', { attemptsMax: 2, retryBaseMs: 1, retryJitter: 0 });
  await api.call('PUT /v1/destinations/full', { refuseNew: true });
  await api.call('PUT /v1/destinations/slow', { paused: true });
  await api.call('PUT /v1/prices/messages', { steps: [{ price: '0.0075' }] });
  await api.call('PUT /v1/prices/messages/globex', { by: 'count', steps: [{ price: '1' }] });
  const client = api.client();
  const outcomes = ['sent', 'delivered', 'failed', 'retry', 'sent'] as const;
  const seen = { accepted: 0, bytes: 0, segments: 0, refused: 0, cancelled: 0 };
  const publish = async (destination: string, payload: string, options: object = {}) => {
    const message = { tenant: 'acme', payload, options };
    try {
      const { id } = await client.publish(destination, message);
      seen.accepted += 1;
      seen.bytes += payload.length;
      seen.segments += (options as { cost?: number }).cost ?? 1;
      return id;
    } catch {
      seen.refused += 1;
      return '';
    }
  };
  const ids = await Promise.all(
    outcomes.map((outcome, at) =>
      publish('sms', outcome, { cost: at + 1, ...(at < 2 && { tag: 'promo' }) }),
    ),
  );
  await publish('full', 'never');
  const waiting = await publish('slow', 'waits');
  seen.cancelled += (await client.cancel([waiting])).cancelled;
  await client.publish('sms', { tenant: 'globex', payload: 'sent', options: { cost: 9 } });
  const tries = new Map<string, number>();
  await api.gateway('sms', ({ text }) => {
    tries.set(text, (tries.get(text) ?? 0) + 1);
    return text as (typeof outcomes)[number];
  });
  await api.until(ids[2] as string, 'failed');
  await api.until(ids[3] as string, 'failed');
  await until('all is counted', async () => {
    const counts = await countsOf(api, 'acme');
    return counts.get('messages-failed')?.count === 2 && counts.get('messages')?.count === 3;
  });
  const counts = await countsOf(api, 'acme');
  const of = (name: string) => {
    const { count = 0, usage = 0, price = '' } = counts.get(name) ?? {};
    return [count, usage, price];
  };
  const zero = '0.000000000';
  t.strictSame(of('messages-accepted'), [seen.accepted, seen.accepted, zero]);
  t.strictSame(of('messages-refused'), [seen.refused, seen.refused, zero]);
  t.strictSame(of('messages-cancelled'), [seen.cancelled, seen.cancelled, zero]);
  t.strictSame(of('message-bytes'), [seen.accepted, seen.bytes, zero]);
  t.strictSame(of('segments'), [seen.accepted, seen.segments, zero]);
  t.strictSame(of('messages-sent'), [3, 3, zero]);
  t.strictSame(of('messages-delivered'), [1, 1, zero]);
  t.strictSame(of('messages-failed'), [2, 2, zero]);
  const attempts = 1 + 1 + 1 + 2 + 1;
  t.strictSame(of('message-attempts'), [attempts, attempts, zero]);
  // Costs 1, 2 and 5 were sent.
  t.strictSame(of('messages'), [3, 8, '0.060000000']);
  t.strictSame(of('totalprice').slice(2), ['0.060000000']);
  t.strictSame(of('messages-accepted promo'), [2, 2, zero]);
  t.strictSame(of('segments promo'), [2, 3, zero]);
  const globex = await countsOf(api, 'globex');
  t.match(globex.get('messages'), { count: 1, usage: 9, price: '1.000000000' });
  await api.restart();
  t.strictSame(await countsOf(api, 'acme'), counts, 'the same after a restart');
});

t.test('a cap cuts at the right message, and lets on when there is room', async (t) => {
  const api = await MessageApi.start(t);
  await api.call('PUT /v1/destinations/sms', {});
  await api.call('PUT /v1/prices/messages', { steps: [{ price: '0.5' }] });
  t.equal((await api.call('PUT /v1/caps/acme/monthly', { value: '5' })).status, 201);
  const client = api.client();
  const batch = Array.from({ length: 20 }, () => ({ tenant: 'acme', payload: 'x' }));
  const first = await client.publishBatch('sms', batch);
  t.equal(first.ids.filter((id) => id !== undefined).length, 10);
  t.strictSame(
    first.refused.map(({ index, error }) => [index, error.error]),
    Array.from({ length: 10 }, (_, at) => [10 + at, 'capReached']),
  );
  const refusal = await api.call('POST /v1/messages', {
    destination: 'sms',
    tenant: 'acme',
    payload: 'x',
  });
  t.match(refusal, { status: 429, body: { code: 5006 } });
  t.ok(Number(refusal.headers.get('retry-after')) > 0);
  await client.cancel([first.ids[0] as string, first.ids[1] as string]);
  const again = await client.publishBatch('sms', batch);
  t.equal(again.ids.filter((id) => id !== undefined).length, 2, 'what was given back');
  await client.publish('sms', { tenant: 'globex', payload: 'x' });
  await api.restart();
  const after = await api.client().publishBatch('sms', batch);
  t.equal(after.ids.filter((id) => id !== undefined).length, 0, 'over a restart');
  await api.call('PUT /v1/caps/acme/monthly', { value: '6' });
  const raised = await api.client().publishBatch('sms', batch);
  t.equal(raised.ids.filter((id) => id !== undefined).length, 2, 'raised while it runs');
  await api.call('DELETE /v1/caps/acme/monthly');
  const free = await api.client().publishBatch('sms', batch);
  t.equal(free.ids.filter((id) => id !== undefined).length, 20, 'without it');
});

t.test('a cap that is made or changed while messages wait counts them once', async (t) => {
  const api = await MessageApi.start(t);
  await api.call('PUT /v1/destinations/sms', {});
  const client = api.client();
  const taken = async (count: number): Promise<number> => {
    const message = { tenant: 'acme', payload: 'x', options: { cost: 2 } };
    const batch = await client.publishBatch('sms', Array(count).fill(message));
    return batch.ids.filter((id) => id !== undefined).length;
  };
  t.equal(await taken(6), 6);
  const put = async (fields: object) => {
    const { status } = await api.call('PUT /v1/caps/acme/most', fields);
    t.ok(status < 300, `${status}`);
  };
  await put({ by: 'count', value: '8' });
  t.equal(await taken(5), 2, 'six wait');
  await put({ by: 'count', value: '9' });
  t.equal(await taken(5), 1, 'another value keeps what is reserved');
  await put({ by: 'usage', value: '24' });
  t.equal(await taken(5), 3, 'nine wait, each of cost 2');
  await put({ category: 'messages-accepted', by: 'count', value: '15' });
  t.equal(await taken(5), 3, 'twelve were accepted');
});

t.test('a place in the table of caps is for what one cap counts', async (t) => {
  const slots = new CapSlots();
  const month = { category: 'messages', by: 'price', period: 'month' } as const;
  const first = slots.of('acme/a', month);
  t.equal(slots.of('acme/a', { ...month }), first);
  const others = [
    slots.of('acme/b', month),
    slots.of('acme/a', { ...month, period: 'day' }),
    slots.of('acme/a', { ...month, by: 'count' }),
    slots.of('acme/a', month),
  ];
  t.equal(new Set([first, ...others]).size, 5);
  slots.close();
});
