// Lists of messages over several shards: pages, cursors, filters.
import t from 'tap';
import { type ShardPage, walkShards } from '../../src/dispatch/message-list.ts';
import type { FoundMessage } from '../../src/dispatch/message-shards.ts';
import { FairleadError } from '../../src/errors.ts';
import { LIMITS } from '../../src/limits.ts';
import { MessageApi, nameIn } from '../support/message-api.ts';

const [first, second] = [nameIn(0, 'sms'), nameIn(1, 'sms')];

t.test('every message is on one page, whatever the limit', async (t) => {
  const api = await MessageApi.start(t, { shards: 2 });
  const ids: string[] = [];
  for (const destination of [first, second]) {
    await api.call(`PUT /v1/destinations/${destination}`, {});
    for (let number = 0; number < 7; number += 1) {
      const tenant = number < 5 ? 'acme' : 'globex';
      ids.push(await api.send({ destination, tenant, payload: `${number}` }));
    }
  }
  const pagesOf = async (query: string): Promise<string[][]> => {
    const pages: string[][] = [];
    for (let cursor = ''; ; ) {
      const { status, body } = await api.call(`GET ${query}${cursor}`);
      if (status !== 200) throw new Error(JSON.stringify(body));
      pages.push(body.items.map(({ id }: { id: string }) => id));
      if (body.cursor === null) return pages;
      cursor = `&cursor=${body.cursor}`;
    }
  };
  t.strictSame((await pagesOf('/v1/messages?limit=100')).flat(), ids, 'in order of acceptance');
  for (const limit of [1, 3, 7, 14]) {
    const pages = await pagesOf(`/v1/messages?limit=${limit}`);
    t.strictSame(pages.flat(), ids);
    t.ok(
      pages.every((page) => page.length <= limit),
      `no page has more than ${limit}`,
    );
    const full = pages.filter((page) => page.length === limit);
    t.equal(full.length, Math.floor(14 / limit), 'pages go on in the next shard');
  }
  const globex = [...ids.slice(5, 7), ...ids.slice(12)];
  t.strictSame((await pagesOf('/v1/messages?tenant=globex&limit=3')).flat(), globex);
  t.strictSame((await pagesOf(`/v1/messages?destination=${second}`)).flat(), ids.slice(7));
  t.strictSame((await pagesOf('/v1/messages?destination=gone')).flat(), []);

  await api.call(`POST /v1/messages/${ids[0]}/cancel`);
  t.strictSame((await pagesOf('/v1/messages?status=cancelled')).flat(), ids.slice(0, 1));
  t.strictSame((await pagesOf('/v1/messages?status=queued,sending')).flat(), ids.slice(1));
  const { acceptedMs } = (await api.call(`GET /v1/messages/${ids[9]}`)).body;
  const timed = (await pagesOf(`/v1/messages?from=${acceptedMs}&to=${acceptedMs + 1}`)).flat();
  t.ok(timed.includes(ids[9] as string));
  t.strictSame(
    (await pagesOf(`/v1/messages?to=${acceptedMs}`)).flat().includes(ids[9] as string),
    false,
  );
  const iso = new Date(acceptedMs + 60_000).toISOString();
  t.strictSame((await pagesOf(`/v1/messages?from=${iso}`)).flat(), []);
  t.strictSame((await pagesOf(`/v1/messages?to=${iso}`)).flat(), ids);

  for (const query of ['status=sent,x', 'from=x', 'limit=0', 'cursor=2_', 'cursor=x', 'tenat=x']) {
    t.match(await api.call(`GET /v1/messages?${query}`), { status: 400 }, query);
  }
  const elsewhere = await api.call(`GET /v1/messages?destination=${second}&cursor=0_`);
  t.match(elsewhere, { status: 400 }, 'a cursor of another list');
});

/** A shard whose pages, from cursor 0 on, are these. */
const shardOf = (pages: readonly number[]) => (cursor: string) => {
  const at = Number(cursor === '' ? 0 : cursor);
  const items = Array.from({ length: pages[at] ?? 0 }, () => ({}) as FoundMessage);
  return { items, cursor: at + 1 < pages.length ? `${at + 1}` : null };
};

async function walk(pages: readonly (readonly number[])[], cursor?: string, limit = 10) {
  let asks = 0;
  const page = await walkShards({
    shards: pages.map((_, shard) => shard),
    cursor,
    limit,
    ask: async (shard, at): Promise<ShardPage> => {
      asks += 1;
      return shardOf(pages[shard] ?? [])(at);
    },
  });
  return { items: page.items.length, cursor: page.cursor, asks };
}

t.test('empty pages are gone over, up to a bound of work', async (t) => {
  t.strictSame(await walk([[0, 0, 3, 1]]), { items: 3, cursor: '0_3', asks: 3 });
  t.strictSame(await walk([[0, 0], [], [0, 2]]), { items: 2, cursor: null, asks: 5 });
  t.strictSame(await walk([[2], [1, 1]]), { items: 3, cursor: '1_1', asks: 2 }, 'a short page');
  t.strictSame(await walk([[10], [1]]), { items: 10, cursor: '1_', asks: 1 }, 'a full page');
  const empty = Array.from({ length: LIMITS.asksPerPage + 5 }, () => 0);
  const early = { items: 0, cursor: `0_${LIMITS.asksPerPage}`, asks: LIMITS.asksPerPage };
  t.strictSame(await walk([empty]), early);
  t.strictSame(await walk([empty], early.cursor), { items: 0, cursor: null, asks: 5 });
  t.strictSame(await walk([[1], [1]], '1_'), { items: 1, cursor: null, asks: 1 });
  await t.rejects(walk([[1]], '1_'), FairleadError);
});
