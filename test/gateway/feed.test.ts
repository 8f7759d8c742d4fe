// What a feed asks a shard for, and when it tells outcomes; the shard here has as many messages as are asked for.
import t from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { GatewayFeed } from '../../src/gateway/feed.ts';
import type { DestinationPolicy, GatewayShards } from '../../src/gateway/ports.ts';
import { KIND, OUTCOME } from '../../src/protocol/kinds.ts';
import { pack, unpack } from '../../src/protocol/msgpack.ts';

const CREDIT = 20;
const RUN_MS = 200;
const PAYLOAD = new Uint8Array(8);

/** Settles each message in the next turn, for a while; what was asked for at most, and how often outcomes were told. */
async function run({ onDoubt }: Pick<DestinationPolicy, 'onDoubt'>) {
  let take: (frame: Uint8Array) => void = () => {};
  let [delivery, asked, askedMax, settlements, settled] = [0, 0, 0, 0, 0];
  const deliver = (count: number): void => {
    asked += count;
    askedMax = Math.max(askedMax, asked);
    const deliveries = Array.from({ length: count }, () => {
      delivery += 1;
      return [delivery, new Uint8Array(16), 'acme', null, null, PAYLOAD, 1, 1, 0, null];
    });
    setImmediate(() => take(pack([KIND.deliver, 0, 1, deliveries])));
  };
  const policy = { shard: 0, leaseMs: 30_000, onDoubt };
  const shards: GatewayShards = {
    connect: (taker) => {
      take = taker;
      return {
        send: (_, frame) => {
          const [kind, , , ...fields] = unpack(frame) as [number, ...unknown[]];
          if (kind === KIND.subscribe) deliver(fields[1] as number);
          if (kind === KIND.credit) deliver(fields[0] as number);
          if (kind !== KIND.settle) return;
          const outcomes = fields[0] as readonly unknown[];
          asked -= outcomes.length;
          settled += outcomes.length;
          settlements += 1;
        },
        park: () => {},
        unpark: () => {},
        close: () => {},
      };
    },
    destination: () => policy,
    gatewayUp: async () => {},
    call: async (_, frame) => frame,
  };
  const feed = new GatewayFeed({
    ...{ gateway: 'g', destinations: ['d'], shard: 0, credit: CREDIT, readsAhead: true, shards },
    logger: silentLogger,
    take: (jobs) => {
      feed.waits(0);
      for (const { ticket } of jobs) {
        setImmediate(() => ticket.settler.settle(ticket, { outcome: OUTCOME.sent }));
      }
    },
    refused: () => {},
  });
  const pause = () => new Promise((resolve) => setTimeout(resolve, RUN_MS));
  await pause();
  // A busy host may need longer to be fast.
  for (let more = 0; more < 25 && onDoubt === 'redeliver' && askedMax <= CREDIT; more += 1) {
    await pause();
  }
  feed.close();
  return { askedMax, perSettlement: settled / settlements };
}

t.test('more than the window is asked for while the gateway is fast', async (t) => {
  const { askedMax } = await run({ onDoubt: 'redeliver' });
  t.ok(askedMax > CREDIT, `${askedMax} asked for`);
});

t.test('never where what waits would end in doubt, and its outcomes leave at once', async (t) => {
  const { askedMax, perSettlement } = await run({ onDoubt: 'fail' });
  t.equal(askedMax, CREDIT);
  t.ok(perSettlement <= CREDIT, `${perSettlement} outcomes together`);
});
