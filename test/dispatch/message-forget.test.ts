// Messages that are forgotten one by one, and lists that begin with the newest.
import t from 'tap';
import { newestOfShards } from '../../src/dispatch/message-newest.ts';
import type { FoundMessage } from '../../src/dispatch/message-shards.ts';
import { MessageApi, nameIn } from '../support/message-api.ts';

const [first, second] = [nameIn(0, 'sms'), nameIn(1, 'sms')];

t.test('an ended message is forgotten, and stays so', async (t) => {
  const api = await MessageApi.start(t);
  await api.call('PUT /v1/destinations/sms', {});
  const ids: string[] = [];
  for (const payload of ['a', 'b', 'c']) {
    ids.push(await api.send({ destination: 'sms', tenant: 'acme', payload }));
  }
  const [one, two, three] = ids as [string, string, string];
  t.match(await api.call(`DELETE /v1/messages/${one}`), { status: 409, body: { code: 3027 } });
  await api.gateway('sms', () => 'sent');
  for (const id of ids) await api.until(id, 'sent');
  const foreign = await api.call(`DELETE /v1/messages/${one}?tenant=globex`);
  t.match(foreign, { status: 404, body: { code: 3019 } });
  t.match(await api.call(`DELETE /v1/messages/${one}?tenant=acme`), { status: 204 });
  const isGone = async (): Promise<void> => {
    t.match(await api.call(`GET /v1/messages/${one}`), { status: 404, body: { code: 3019 } });
    t.match(await api.call(`DELETE /v1/messages/${one}`), { status: 404 });
    t.match(await api.call(`POST /v1/messages/${one}/cancel`), { status: 404 });
    const { body } = await api.call('GET /v1/messages');
    t.strictSame(
      body.items.map(({ id }: { id: string }) => id),
      [two, three],
      'its neighbours stay',
    );
  };
  await isGone();
  await api.restart();
  await isGone();
  // The first message of a record is gone: the others are still written anew.
  t.match(await api.call(`POST /v1/messages/${two}/redact`), { status: 200 });
  t.match(await api.call(`GET /v1/messages/${three}`), { body: { payload: 'c' } });
});

t.test('the newest of all shards comes first, page by page', async (t) => {
  const api = await MessageApi.start(t, { shards: 2 });
  const ids: string[] = [];
  for (const destination of [first, second])
    await api.call(`PUT /v1/destinations/${destination}`, {});
  for (let number = 0; number < 14; number += 1) {
    const destination = number % 3 === 0 ? first : second;
    const tenant = number % 2 === 0 ? 'acme' : 'globex';
    ids.push(await api.send({ destination, tenant, payload: `${number}` }));
    // Times of acceptance tell messages of two shards apart by ms.
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  const newest = [...ids].reverse();
  const pagesOf = async (query: string): Promise<string[][]> => {
    const pages: string[][] = [];
    for (let cursor = ''; ; ) {
      const { status, body } = await api.call(`GET /v1/messages?order=newest${query}${cursor}`);
      if (status !== 200) throw new Error(JSON.stringify(body));
      pages.push(body.items.map(({ id }: { id: string }) => id));
      if (body.cursor === null) return pages;
      cursor = `&cursor=${body.cursor}`;
    }
  };
  for (const limit of [1, 3, 7, 100]) {
    const pages = await pagesOf(`&limit=${limit}`);
    t.strictSame(pages.flat(), newest, `${limit} a page`);
    t.ok(pages.every((page) => page.length <= limit));
  }
  const acme = newest.filter((id) => ids.indexOf(id) % 2 === 0);
  t.strictSame((await pagesOf('&tenant=acme&limit=2')).flat(), acme);
  const inFirst = newest.filter((id) => ids.indexOf(id) % 3 === 0);
  t.strictSame((await pagesOf(`&destination=${first}&limit=2`)).flat(), inFirst);
  // What comes after the first page does not move the others.
  const { body } = await api.call('GET /v1/messages?order=newest&limit=4');
  await api.send({ destination: first, tenant: 'acme', payload: 'later' });
  const next = await api.call(`GET /v1/messages?order=newest&limit=4&cursor=${body.cursor}`);
  t.strictSame(
    next.body.items.map(({ id }: { id: string }) => id),
    newest.slice(4, 8),
  );
  for (const cursor of ['0_1', 'n', 'nAAAA', 'x']) {
    const { status } = await api.call(`GET /v1/messages?order=newest&cursor=${cursor}`);
    t.equal(status, 400, cursor);
  }
  t.equal((await api.call('GET /v1/messages?order=best')).status, 400);
});

t.test('shards that look through much give short pages and lose nothing', async (t) => {
  const idOf = (shard: number, batch: number, index: number): string =>
    shard.toString(16).padStart(4, '0') +
    batch.toString(16).padStart(12, '0') +
    'c'.repeat(12) +
    index.toString(16).padStart(4, '0');
  const all = [0, 1, 2].map((shard) =>
    Array.from({ length: 40 }, (_, at) => {
      const [batch, index] = [1 + at, (at * 7) % 5];
      const acceptedMs = 1_000 + at * 3 + ((shard * 5) % 7);
      return { id: idOf(shard, batch, index), acceptedMs, key: BigInt(batch * 65_536 + index) };
    }),
  );
  // Of three questions one is answered with nothing but a cursor.
  let asked = 0;
  const ask = async (shard: number, cursor: string, limit: number) => {
    asked += 1;
    const before = cursor === '' ? 2n ** 64n - 1n : BigInt(`0x${cursor}`);
    const older = (all[shard] ?? []).filter(({ key }) => key < before).reverse();
    const items = asked % 3 === 0 ? [] : older.slice(0, Math.min(limit, 2));
    const rest = older.length - items.length;
    const last = items.at(-1)?.key ?? (older[0]?.key ?? 0n) + 1n;
    return {
      items: items as unknown as FoundMessage[],
      cursor: rest > 0 ? last.toString(16) : null,
    };
  };
  const got: FoundMessage[] = [];
  let cursor: string | undefined;
  do {
    const page = await newestOfShards({ shards: [0, 1, 2], cursor, limit: 5, ask });
    got.push(...page.items);
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  t.equal(new Set(got.map(({ id }) => id)).size, 120);
  t.equal(got.length, 120, 'each once');
  const times = got.map(({ acceptedMs }) => acceptedMs);
  t.strictSame(
    times,
    [...times].sort((a, b) => b - a),
    'the newest first',
  );
});
