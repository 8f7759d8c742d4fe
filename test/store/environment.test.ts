// Both ways to write, what is visible when, and that a mode can be changed between starts.
import t from 'tap';
import { type Durability, Environment } from '../../src/store/environment.ts';

const MAP_BYTES = 64 * 1024 * 1024;
const key = (number: number) => Uint8Array.of(2, number);
const bytes = (text: string) => Buffer.from(text);

const open = (path: string, durability: Durability) =>
  Environment.open({ path, durability, mapBytes: MAP_BYTES });

for (const durability of ['flushed', 'committed', 'memory'] as const) {
  t.test(`${durability}: commitNow is visible when it returns and kept by close`, async (t) => {
    const path = t.testdir();
    const environment = open(path, durability);
    const value = bytes('one');
    environment.commitNow((writes) => {
      writes.put(key(1), value);
      writes.put(key(2), bytes('two'));
    });
    value.fill(0);
    t.same(environment.get(key(1)), bytes('one'), 'the value was copied');
    environment.commitNow((writes) => {
      writes.remove(key(2));
      writes.remove(key(9));
    });
    t.equal(environment.get(key(2)), undefined, 'removing what is not there is no error');
    await environment.close();
    const again = open(path, durability);
    t.same(
      [...again.range(key(0), key(255))].map((entry) => [...entry.key, String(entry.value)]),
      [[2, 1, 'one']],
    );
    await again.close();
  });

  t.test(`${durability}: commitQueued settles in order and is visible then`, async (t) => {
    const environment = open(t.testdir(), durability);
    const settled: number[] = [];
    await Promise.all(
      [1, 2, 3].map(async (number) => {
        await environment.commitQueued((writes) => {
          writes.put(key(number), bytes(`value ${number}`));
          if (number > 1) writes.remove(key(number - 1));
        });
        settled.push(number);
      }),
    );
    t.strictSame(settled, [1, 2, 3]);
    t.equal(environment.get(key(2)), undefined);
    t.same(environment.get(key(3)), bytes('value 3'));
    await environment.commitQueued(() => {});
    await environment.close();
  });
}

t.test('a transaction that throws leaves nothing behind', async (t) => {
  const environment = open(t.testdir(), 'flushed');
  t.throws(
    () =>
      environment.commitNow((writes) => {
        writes.put(key(1), bytes('half'));
        throw new Error('in the middle');
      }),
    { message: 'in the middle' },
  );
  t.equal(environment.get(key(1)), undefined);
  await environment.close();
});

t.test('more than the map holds makes the map grow', async (t) => {
  const environment = Environment.open({
    path: t.testdir(),
    durability: 'flushed',
    mapBytes: 256 * 1024,
  });
  environment.commitNow((writes) => writes.put(key(1), Buffer.alloc(1024 * 1024, 7)));
  environment.commitNow((writes) => writes.put(key(2), bytes('after')));
  t.equal(environment.get(key(1))?.length, 1024 * 1024);
  t.same(environment.get(key(2)), bytes('after'));
  await environment.close();
});

t.test('the durability can change between starts', async (t) => {
  const path = t.testdir();
  for (const [index, durability] of (['committed', 'flushed', 'committed'] as const).entries()) {
    const environment = open(path, durability);
    t.equal([...environment.range(key(0), key(255))].length, index);
    if (durability === 'flushed') {
      environment.commitNow((writes) => writes.put(key(index), bytes('x')));
    } else {
      await environment.commitQueued((writes) => writes.put(key(index), bytes('x')));
    }
    await environment.close();
  }
});

t.test('values of a range stay as they are while it goes on', async (t) => {
  const environment = open(t.testdir(), 'flushed');
  environment.commitNow((writes) => {
    for (let number = 0; number < 200; number += 1) {
      writes.put(key(number), Buffer.alloc(5_000, number));
    }
  });
  const values = [...environment.range(key(0), key(200))].map((entry) => entry.value);
  t.ok(values.every((value, number) => value.length === 5_000 && value[0] === number));
  await environment.close();
});
