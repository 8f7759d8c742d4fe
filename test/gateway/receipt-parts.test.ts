// Receipts of a message of several parts, in every order, before and after its settlement.
import t, { type Test } from 'tap';
import { ReceiptBook } from '../../src/gateway/receipt-book.ts';
import { ReceiptStore } from '../../src/gateway/receipt-store.ts';
import { ReceiptTeller } from '../../src/gateway/receipt-teller.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { Environment } from '../../src/store/environment.ts';

const MESSAGE = '0000000000000000aabbccdd00000000';

function open(t: Test) {
  const onFatal = (error: Error): never => {
    throw error;
  };
  const environment = Environment.open({
    path: t.testdir(),
    durability: 'flushed',
    mapBytes: 1 << 26,
  });
  const told: Uint8Array[] = [];
  const call = async (_: number, frame: Uint8Array) => {
    told.push(frame);
    return pack([KIND.ok, 1, 1, 0]);
  };
  const book = new ReceiptBook({
    store: new ReceiptStore({ environment, onFatal }),
    teller: new ReceiptTeller({ call }, 1),
    hashKey: Buffer.alloc(16, 7),
    waitMs: 60_000,
    landed: () => undefined,
    late: async () => false,
    logger: { warn: () => {} } as never,
  });
  t.teardown(async () => {
    book.close();
    await environment.close();
  });
  return { book, told };
}

const ORDERS = [
  ['a', 'b', 'c'],
  ['a', 'c', 'b'],
  ['b', 'a', 'c'],
  ['b', 'c', 'a'],
  ['c', 'a', 'b'],
  ['c', 'b', 'a'],
] as const;

for (const order of ORDERS) {
  for (const isEarly of [true, false]) {
    const when = isEarly ? 'while the settlement is on its way' : 'one after the other';
    t.test(`a message is delivered when ${order.join(', ')} came, ${when}`, async (t) => {
      const { book, told } = open(t);
      const ids = ['a', 'b', 'c'];
      await book.put({ gateway: 'g', ids, messageId: MESSAGE, tenant: 'acme' });
      if (!isEarly) book.settled(MESSAGE);
      const taken: Promise<string>[] = [];
      for (const id of order) {
        const one = book.take({ gateway: 'g', candidates: [id], status: 'delivered' });
        taken.push(one);
        if (!isEarly) await one;
      }
      if (isEarly) book.settled(MESSAGE);
      t.strictSame(await Promise.all(taken), ['partly', 'partly', 'applied']);
      t.equal(told.length, 1, 'the shard was told once');
    });
  }
}

t.test('receipts of two attempts of a message wait until both are settled', async (t) => {
  const { book, told } = open(t);
  const put = (id: string) =>
    book.put({ gateway: 'g', ids: [id], messageId: MESSAGE, tenant: 'a' });
  const take = (id: string) =>
    book.take({ gateway: 'g', candidates: [id], status: 'delivered' as const });
  await put('first');
  const first = take('first');
  await put('second');
  const second = take('second');
  book.settled(MESSAGE);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(told.length, 0);
  book.settled(MESSAGE);
  const late = new Promise((resolve) => setTimeout(() => resolve('it hangs'), 2_000).unref());
  t.strictSame(await Promise.race([Promise.all([first, second]), late]), ['applied', 'applied']);
});
