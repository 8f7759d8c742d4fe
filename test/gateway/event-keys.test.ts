// Keys of inbound messages, in a real LMDB environment.
import t from 'tap';
import { EventKeys } from '../../src/gateway/event-keys.ts';
import { LIMITS } from '../../src/limits.ts';
import { Environment } from '../../src/store/environment.ts';

t.test('an event that comes again after its day is known for a day again', async (t) => {
  const environment = Environment.open({
    path: t.testdir(),
    durability: 'flushed',
    mapBytes: 1 << 26,
  });
  let nowMs = 1_790_000_000_000;
  const onFatal = (error: Error): never => {
    throw error;
  };
  const keys = new EventKeys({
    environment,
    hashKey: Buffer.alloc(32, 7),
    onFatal,
    nowMs: () => nowMs,
  });
  // One that is under way from before sweeps nothing for a later call.
  const swept = async () => {
    for (let time = 0; time < 10; time += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await keys.sweep();
    }
    environment.refresh();
  };
  const hash = keys.hashOf('acme', 'mo-17');
  await keys.add(hash);
  t.ok(keys.has(hash));
  nowMs += LIMITS.idempotencyWindowMs + 1;
  t.notOk(keys.has(hash), 'its day is over');
  await keys.add(hash);
  await swept();
  t.ok(keys.has(hash), 'what is swept is its first coming only');
  t.equal(keys.count, 1);
  nowMs += LIMITS.idempotencyWindowMs + 1;
  await swept();
  t.notOk(keys.has(hash));
  t.equal(keys.count, 0);
  await environment.close();
});
