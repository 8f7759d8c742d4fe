// Journals: durable in order, exchanges without entries included, several in one transaction.
import t from 'tap';
import { Journal } from '../../src/exchange/journal.ts';
import { type Durability, Environment } from '../../src/store/environment.ts';

const MAP_BYTES = 64 * 1024 * 1024;
const EMPTY = Uint8Array.of(0, 0, 0, 0);

/** A journal of one put. */
function put(key: number): Uint8Array {
  return Uint8Array.of(1, 0, 0, 0, 1, 2, 0, 0, 3, 0, 0, 0, 2, key, 7, 7, key);
}

function open(path: string, durability: Durability): [Environment, Journal] {
  const environment = Environment.open({ path, durability, mapBytes: MAP_BYTES });
  return [environment, new Journal(environment, { queued: durability === 'committed' })];
}

/** Stages a journal that lies ready, as the native shard has it. */
function stage(journal: Journal, exchange: number, bytes: Uint8Array): Promise<void> {
  return journal.stage(exchange, bytes.length, (room) => room.set(bytes));
}

for (const durability of ['flushed', 'committed', 'memory'] as const) {
  t.test(`${durability}: nothing is durable before what came earlier`, async (t) => {
    const [environment, journal] = open(t.testdir(), durability);
    await stage(journal, 1, EMPTY);
    t.equal(journal.committed, 1, 'an exchange without entries is committed at once');
    const order: number[] = [];
    const note = (exchange: number) => () => {
      order.push(exchange);
      if (exchange >= 2)
        t.ok(environment.get(Uint8Array.of(2, 2)), `2 is stored when ${exchange} ends`);
      if (exchange >= 4)
        t.ok(environment.get(Uint8Array.of(2, 4)), `4 is stored when ${exchange} ends`);
    };
    const staged = [
      stage(journal, 2, put(2)).then(note(2)),
      stage(journal, 3, EMPTY).then(note(3)),
      stage(journal, 4, put(4)).then(note(4)),
      stage(journal, 5, EMPTY).then(note(5)),
    ];
    t.ok(journal.committed < 2, 'not committed in the turn it was staged');
    await Promise.all(staged);
    t.strictSame(order, [2, 3, 4, 5]);
    t.ok(journal.committed >= 4);
    await environment.close();
  });
}

t.test('a damaged journal rejects, and nothing of its turn is stored', async (t) => {
  const [environment, journal] = open(t.testdir(), 'flushed');
  const good = stage(journal, 1, put(1));
  const bad = stage(journal, 2, put(2).subarray(0, 15));
  await t.rejects(good, /journal is damaged/);
  await t.rejects(bad, /journal is damaged/);
  t.equal(environment.get(Uint8Array.of(2, 1)), undefined);
  await environment.close();
});
