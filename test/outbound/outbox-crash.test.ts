// Seeded simulations: crashes at any moment, endpoints that come and go. Nothing is lost, streams keep
// their order, and nothing is sent again once its end is on the disk, unless a crash took that end.
import t from 'tap';
import { FairleadError } from '../../src/errors.ts';
import { type Arrival, OutboxWorld } from './outbox-world.ts';

const SEEDS = 30;
const HOUR_MS = 3_600_000;
const urls = [
  'https://a.test/x',
  'https://b.test/x?q=1',
  'https://b.test/x?q=2',
  'https://c.test/',
];

interface Run {
  readonly world: OutboxWorld;
  /** Ids whose put was answered. */
  readonly taken: Set<string>;
  /** All ids, in the order of putting, by stream. */
  readonly streams: Map<string, string[]>;
}

function misbehave(world: OutboxWorld): void {
  const { random } = world;
  const moods = new Map<string, number>();
  world.behave = (url) => {
    if (random() < 0.1 || !moods.has(url)) moods.set(url, random());
    const mood = moods.get(url) as number;
    const ms = 1 + Math.floor(random() * 200);
    if (mood < 0.5) return { ms };
    if (mood < 0.6) return { error: 'refused' as const, ms };
    if (mood < 0.7) return { error: 'timeout' as const };
    if (mood < 0.8) return { status: 429, retryAfter: '30', ms };
    if (mood < 0.85) return { status: 504, ms };
    return { status: 500, ms };
  };
}

async function live(seed: number): Promise<Run> {
  const world = new OutboxWorld({ seed });
  world.crashChance = 0.05;
  const run: Run = { world, taken: new Set(), streams: new Map() };
  misbehave(world);
  let made = 0;
  for (let step = 0; step < 40; step += 1) {
    const dice = world.random();
    if (dice < 0.6) {
      const items = Array.from({ length: 1 + Math.floor(world.random() * 6) }, () => {
        const stream = world.random() < 0.7 ? `s${Math.floor(world.random() * 5)}` : null;
        made += 1;
        const url = urls[Math.floor(world.random() * urls.length)] as string;
        return world.item(`m${made}`, { stream, url });
      });
      for (const { stream, id } of items) {
        if (stream !== null) run.streams.set(stream, [...(run.streams.get(stream) ?? []), id]);
      }
      // Not awaited: a crash may come before the answer.
      void world.outbox.put(items).then(() => {
        for (const { id } of items) run.taken.add(id);
      });
      await world.settle(Math.floor(world.random() * 12));
    } else if (dice < 0.75) {
      await world.settle(Math.floor(world.random() * 12));
      world.crash();
    } else {
      await world.pass(world.random() * (dice < 0.9 ? 1_000 : HOUR_MS));
    }
  }
  return run;
}

/** In each stream nothing comes after a later one, and what came is what was put. */
function orderFaults({ world, streams }: Run): string[] {
  const faults: string[] = [];
  for (const [stream, ids] of streams) {
    let last = -1;
    for (const { id } of world.arrivals) {
      const place = ids.indexOf(id);
      if (place === -1) continue;
      if (place < last) faults.push(`${stream}: ${id} after ${ids[last]}`);
      last = Math.max(last, place);
    }
  }
  return faults;
}

function tookOf(arrivals: readonly Arrival[]): Map<string, number> {
  const took = new Map<string, number>();
  for (const { id, status } of arrivals) if (status === 200) took.set(id, (took.get(id) ?? 0) + 1);
  return took;
}

for (let seed = 1; seed <= SEEDS; seed += 1) {
  t.test(`seed ${seed}`, async (t) => {
    const run = await live(seed);
    const { world, taken } = run;
    world.behave = () => ({});
    world.crashChance = 0;
    await world.pass(30 * HOUR_MS);
    const took = tookOf(world.arrivals);
    t.strictSame(orderFaults(run), [], 'the order of streams');
    t.strictSame(
      [...taken].filter((id) => !took.has(id)),
      [],
      'everything that was answered arrived',
    );
    t.match(world.outbox.numbers, { waiting: 0, failed: 0, bytes: 0, inFlight: 0 });
    const again = [...took.values()].reduce((sum, count) => sum + count - 1, 0);
    // At most what was under way, or not yet flushed, at each crash.
    t.ok(again <= world.crashes * 30, `${again} twice in ${world.crashes} crashes`);
    world.crash();
    t.match(
      world.outbox.numbers,
      { waiting: 0, failed: 0, bytes: 0 },
      'and nothing is on the disk',
    );
  });
}

t.test('without a crash nothing that was taken is sent again', async (t) => {
  const world = new OutboxWorld({ seed: 7 });
  misbehave(world);
  for (let step = 0; step < 30; step += 1) {
    const items = Array.from({ length: 5 }, (_, at) =>
      world.item(`m${step}-${at}`, { stream: `s${at % 3}`, url: urls[at % 4] as string }),
    );
    await world.outbox.put(items);
    await world.pass(world.random() * 60_000);
  }
  world.behave = () => ({});
  await world.pass(30 * HOUR_MS);
  t.ok([...tookOf(world.arrivals).values()].every((count) => count === 1));
  t.equal(tookOf(world.arrivals).size, 150);
});

t.test(
  'a crash while a disabled endpoint fails its items, and while a replay is written',
  async (t) => {
    const world = new OutboxWorld({ seed: 3 });
    let status = 410;
    world.behave = () => ({ status });
    await world.outbox.put(Array.from({ length: 5_000 }, (_, at) => world.item(`m${at}`)));
    await world.pass(1);
    for (let turns = 1; turns < 8; turns += 1) {
      await world.settle(turns);
      world.crash();
    }
    await world.settle(200);
    t.match(world.outbox.numbers, { waiting: 0, failed: 5_000, disabledEndpoints: 1 });
    status = 200;
    const endpoint = () => world.outbox.items.endpointOf('https://a.test/hook');
    await world.outbox.items.enable(endpoint());
    for (let turns = 0; turns < 8; turns += 1) {
      const slots = [...world.outbox.items.failedOf(endpoint())].slice(0, 1_000);
      void world.outbox.items.replay(slots);
      await world.settle(turns);
      world.crash();
    }
    const slots = [...world.outbox.items.failedOf(endpoint())];
    const late = await Promise.race([
      world.outbox.items.replay(slots),
      world.settle(200).then(() => new FairleadError('internal')),
    ]);
    t.equal(late, slots.length);
    world.outbox.pump();
    await world.pass(HOUR_MS);
    t.match(world.outbox.numbers, { waiting: 0, failed: 0, bytes: 0 });
    t.equal(tookOf(world.arrivals).size, 5_000);
  },
);
