// Seeded crashes at any moment of a transaction: every event goes into the outbox exactly once.
import t from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { Callbacks } from '../../src/callbacks/callbacks.ts';
import { FairleadError } from '../../src/errors.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { EVENT_STATUS, type EventStatusName } from '../../src/protocol/status-events.ts';
import { Environment } from '../../src/store/environment.ts';
import { randomFrom } from '../crash/traffic.ts';
import { until } from '../support/webhook-peer.ts';

const SEEDS = 25;
const STEPS = 60;
const SHARDS = 2;
const ALL = 0x7fe;

const LIFE: readonly EventStatusName[] = ['accepted', 'queued', 'sending', 'sent', 'delivered'];

interface Shard {
  /** Records not taken, as the shard keeps them. */
  stored: { sequence: number; bytes: Uint8Array }[];
  last: number;
  /** Messages under way: how far each is. */
  living: { id: Buffer; at: number }[];
}

async function live(
  seed: number,
  directory: string,
): Promise<{ crashes: number; wrong: string[] }> {
  const random = randomFrom(seed);
  const environment = Environment.open({ path: directory, durability: 'memory' });
  const shards = Array.from({ length: SHARDS }, (): Shard => ({ stored: [], last: 0, living: [] }));
  const put: string[] = [];
  const expected: string[] = [];
  let messages = 0;
  /** What was written is on disk before another process reads it. */
  const commits: Promise<void>[] = [];
  let crashes = 0;
  /** What becomes of the next transaction. */
  let fate: 'heard' | 'unheard' | 'lost' | 'full' = 'heard';
  const open = (): Callbacks => {
    const own: { isAlive: boolean } = { isAlive: true };
    alive.isAlive = false;
    alive = own;
    return new Callbacks({
      environment,
      outbox: {
        put: async (items, alsoWrite) => {
          const what = fate;
          if (what === 'full')
            throw new FairleadError('outboxFull', undefined, { retryAfterMs: 1 });
          if (what === 'lost' || !own.isAlive) await new Promise(() => {});
          put.push(...items.map(({ id }) => id));
          const commit = environment.commitQueued((writes) => alsoWrite?.(writes));
          commits.push(commit);
          await commit;
          if (what === 'unheard') await new Promise(() => {});
          return [];
        },
      },
      eventsTaken: (shard, sequence) => {
        const { stored } = shards[shard] as Shard;
        // The shard may end before it has stored that.
        if (random() < 0.8)
          stored.splice(0, stored.filter((each) => each.sequence <= sequence).length);
      },
      accountOf: () => undefined,
      receiptWaitMs: 3_600_000,
      logger: silentLogger,
      onFatal: (error) => {
        throw error;
      },
    });
  };
  let alive = { isAlive: false };
  let callbacks = open();
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  for (let step = 0; step < STEPS; step += 1) {
    const number = Math.floor(random() * SHARDS);
    const shard = shards[number] as Shard;
    const events: unknown[] = [];
    if (random() < 0.7) {
      messages += 1;
      const id = Buffer.alloc(16);
      id.writeUInt16BE(number);
      id.writeUInt32BE(messages, 10);
      shard.living.push({ id, at: 0 });
    }
    for (const message of shard.living) {
      if (random() < 0.4) continue;
      const status = LIFE[message.at] as EventStatusName;
      const info = ['sms', 'acme', null, null, 'http://a.test/', ALL, null, 1];
      message.at += 1;
      events.push([
        message.id,
        EVENT_STATUS[status],
        null,
        Date.now(),
        0,
        message.at === 1 ? info : null,
      ]);
      expected.push(`msg_${message.id.toString('hex')}_${message.at}`);
    }
    shard.living = shard.living.filter(({ at }) => at < LIFE.length);
    if (events.length > 0) {
      shard.last += 1 + Math.floor(random() * 3);
      const record = { sequence: shard.last, bytes: new Uint8Array(pack(events)) };
      shard.stored.push(record);
      callbacks.statusEvents(number, record.sequence, record.bytes);
    }
    const dice = random();
    fate = dice < 0.6 ? 'heard' : dice < 0.75 ? 'unheard' : dice < 0.9 ? 'lost' : 'full';
    await settle();
    if (random() < 0.25 || fate === 'unheard' || fate === 'lost') {
      crashes += 1;
      fate = 'heard';
      alive.isAlive = false;
      await Promise.all(commits.splice(0));
      callbacks = open();
      for (const [at, { stored }] of shards.entries()) {
        for (const { sequence, bytes } of stored) callbacks.statusEvents(at, sequence, bytes);
      }
    }
  }
  fate = 'heard';
  alive.isAlive = false;
  await Promise.all(commits.splice(0));
  callbacks = open();
  for (const [at, { stored }] of shards.entries()) {
    for (const { sequence, bytes } of stored) callbacks.statusEvents(at, sequence, bytes);
  }
  await until('all is put', () => callbacks.numbers.waitingBytes === 0);
  await callbacks.close();
  await environment.close();
  const wrong = expected.filter((id) => put.filter((other) => other === id).length !== 1);
  if (put.length !== expected.length)
    wrong.push(`${put.length} items of ${expected.length} events`);
  return { crashes, wrong };
}

t.test('each event is put once, whatever ends in between', async (t) => {
  let crashes = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const run = await live(seed, t.testdir());
    t.strictSame(run.wrong.slice(0, 5), [], `seed ${seed}`);
    crashes += run.crashes;
  }
  t.ok(crashes > 200, `${crashes} crashes`);
});
