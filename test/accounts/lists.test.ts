// Lists of the account form: order over shards, pages there and back, filters.
import t from 'tap';
import { nameIn } from '../support/message-api.ts';
import { AccountApi } from './account-api.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests look at any field of an answer
type Page = any;

const sidsOf = (page: Page): string[] => page.messages.map(({ sid }: { sid: string }) => sid);

/** An API whose numbers in +49 and in +1 go to different shards. */
async function twoShards(t: Parameters<typeof AccountApi.start>[0]): Promise<AccountApi> {
  const api = await AccountApi.start(t, { shards: 2 });
  for (const [prefix, shard] of [
    ['49', 0],
    ['1', 1],
  ] as const) {
    const destination = nameIn(shard, 'sms');
    await api.api.call(`PUT /v1/destinations/${destination}`, {});
    await api.api.call(`PUT /v1/routes/${prefix}`, { destination });
  }
  return api;
}

const numbers = ['+4915112345678', '+15550100006'];

t.test('pages go from the newest to the oldest and back', async (t) => {
  const api = await twoShards(t);
  const sent: string[] = [];
  for (let index = 0; index < 25; index += 1) {
    // Twice to one shard, once to the other; each in a millisecond of its own, so that the order is known.
    sent.push(await api.send({ To: numbers[Number(index % 3 === 0)] ?? '' }));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const read = async (uri: string): Promise<Page> => {
    const path = uri.replace(/^\/2010-04-01\/Accounts\/\w+\//, '');
    const { status, body } = await api.call(`GET ${path}`);
    t.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const pages: Page[] = [];
  for (let uri = 'Messages.json?PageSize=10'; uri !== null; uri = pages.at(-1).next_page_uri) {
    pages.push(await read(uri));
  }
  t.strictSame(pages.flatMap(sidsOf), [...sent].reverse());
  t.strictSame(
    pages.map(({ page, page_size, start, end, messages }) => [
      page,
      page_size,
      start,
      end,
      messages.length,
    ]),
    [
      [0, 10, 0, 9, 10],
      [1, 10, 10, 19, 10],
      [2, 10, 20, 24, 5],
    ],
  );
  t.equal(pages[0].previous_page_uri, null);
  t.strictSame(sidsOf(await read(pages[2].previous_page_uri)), sidsOf(pages[1]));
  const back = await read((await read(pages[2].previous_page_uri)).previous_page_uri);
  t.strictSame(sidsOf(back), sidsOf(pages[0]));
  t.strictSame(sidsOf(await read(pages[1].uri)), sidsOf(pages[1]));
  t.strictSame(sidsOf(await read(pages[2].first_page_uri)), sidsOf(pages[0]));
});

t.test('filters', async (t) => {
  const api = await twoShards(t);
  const first = await api.send({ To: numbers[0] ?? '', From: 'ONE' });
  const second = await api.send({ To: numbers[1] ?? '', From: 'TWO' });
  const third = await api.send({ To: numbers[1] ?? '', From: 'ONE' });
  const list = async (query: Record<string, string>) => {
    const { status, body } = await api.call(`GET Messages.json?${new URLSearchParams(query)}`);
    return status === 200 ? sidsOf(body).sort() : `${status} ${body.code}`;
  };
  const [all, ...pairs] = [
    [first, second, third],
    [second, third],
    [first, third],
  ].map((sids) => sids.sort());
  const today = new Date().toISOString().slice(0, 10);
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  t.strictSame(await list({}), all);
  t.strictSame(await list({ To: numbers[1] ?? '' }), pairs[0]);
  t.strictSame(await list({ From: 'ONE' }), pairs[1]);
  t.strictSame(await list({ From: 'ONE', To: numbers[0] ?? '' }), [first]);
  t.strictSame(await list({ DateSent: today }), all);
  t.strictSame(await list({ DateSent: tomorrow }), []);
  t.strictSame(await list({ 'DateSent>': today }), all);
  t.strictSame(await list({ 'DateSent<': today }), all);
  t.strictSame(await list({ 'DateSent>': tomorrow }), []);
  t.strictSame(await list({ 'DateSent<': '2020-01-01' }), []);
  t.strictSame(await list({ 'DateSent>': `${today}T00:00:00Z`, 'DateSent<': tomorrow }), all);
  t.strictSame(await list({ DateSent: 'yesterday' }), '400 20001');
  t.strictSame(await list({ DateSent: '2026-11-31' }), '400 20001');
  t.strictSame(await list({ PageSize: '0' }), '400 20001');
  t.strictSame(await list({ PageSize: '5000' }), all, 'as many as may be');
  t.strictSame(await list({ PageToken: 'nonsense' }), '400 20001');
  t.strictSame(await list({ PageToken: 'PAnAAAA' }), '400 20001');
  const { body } = await api.call('GET Messages.json?From=ONE&PageSize=1');
  t.match(body.next_page_uri, /[?&]From=ONE&PageSize=1&Page=1&PageToken=PA/);
});
