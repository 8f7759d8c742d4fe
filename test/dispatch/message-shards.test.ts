// What shards answer, and what it becomes: errors of calls and of questions, several shards as one.
import t from 'tap';
import { publishMessages } from '../../src/dispatch/message-publish.ts';
import { MessageShards } from '../../src/dispatch/message-shards.ts';
import type { ShardPorts } from '../../src/dispatch/ports.ts';
import { FairleadError } from '../../src/errors.ts';
import { INPUT_OP } from '../../src/protocol/exchange.ts';
import { encodeError } from '../../src/protocol/frames.ts';
import { pack, unpack } from '../../src/protocol/msgpack.ts';
import { FakeShards } from './fakes.ts';

interface Fake {
  readonly count?: number;
  readonly ask?: ShardPorts['ask'];
  readonly frame?: Uint8Array;
  readonly create?: (destination: string) => Promise<void>;
}

function make({ count = 2, ask, frame, create }: Fake): MessageShards {
  const known = new Map([['sms', 1]]);
  const destinations = {
    autoCreate: create !== undefined,
    shardOf: (name: string) => known.get(name),
    create: async (name: string) => {
      await create?.(name);
      known.set(name, 0);
    },
  };
  const ports = new FakeShards(count);
  if (ask !== undefined) ports.ask = ask as () => Promise<unknown>;
  if (frame !== undefined) ports.call = async () => frame;
  return new MessageShards(destinations, ports);
}

async function refusal(promise: Promise<unknown>): Promise<object> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!(error instanceof FairleadError)) throw error ?? new Error('it was not refused');
  const { error: name, message, details } = error;
  return { name, message, details };
}

const outgoing = { destination: 'sms', messages: [{ tenant: 'acme', payload: 'x' }] };
const id = `0001${'ab'.repeat(14)}`;

t.test('a question that the shard has no room for can be asked again', async (t) => {
  const shards = make({ ask: async () => ({ error: 'overloaded', message: 'full' }) });
  const error = await refusal(shards.find(id, {}));
  t.match(error, { name: 'overloaded', details: { retryAfterMs: 1000 } });
});

t.test('an error frame is thrown with its details', async (t) => {
  const details = { retryAfterMs: 250 };
  const frame = encodeError({ id: 1, code: 3014, message: 'no disk', details });
  const error = await refusal(publishMessages(make({ frame }), outgoing));
  t.strictSame(error, { name: 'diskFull', message: 'no disk', details });
  const unknown = encodeError({ id: 1, code: 7777, message: 'new' });
  t.match(await refusal(publishMessages(make({ frame: unknown }), outgoing)), { name: 'internal' });
});

t.test('a destination that cannot be made is not published to', async (t) => {
  const elsewhere = { ...outgoing, destination: 'mms' };
  const create = async () => {
    throw new FairleadError('tooManyEntities');
  };
  t.match(await refusal(publishMessages(make({ create }), elsewhere)), { name: 'tooManyEntities' });
  t.match(await refusal(publishMessages(make({}), elsewhere)), { name: 'unknownDestination' });
  const first = Buffer.from(id, 'hex');
  const ok = pack([64, 1, first, 1]);
  const made: string[] = [];
  const making = make({
    frame: ok,
    create: async (name) => {
      made.push(name);
    },
  });
  t.strictSame(await publishMessages(making, elsewhere), [{ id, repeated: false }]);
  t.strictSame(made, ['mms']);
});

t.test('ids go to their shards, each once; those of no shard are unknown', async (t) => {
  const asked: unknown[] = [];
  const shards = make({
    ask: async (shard, op, body) => {
      const [destination, tenant, ids] = unpack(body) as [unknown, unknown, Uint8Array[] | null];
      asked.push([shard, op, destination, tenant, ids?.map((each) => each[0] ?? 0)]);
      return { replayed: 1, purged: 2, unknown: 0 };
    },
  });
  const nowhere = `0002${id.slice(4)}`;
  const ids = [id, id.toUpperCase(), nowhere, `0000${id.slice(4)}`];
  const choice = { ids, tenant: 'acme' };
  t.strictSame(await shards.settleDead('replay', choice), { done: 2, unknown: 1 });
  t.strictSame(asked.splice(0), [
    [1, INPUT_OP.replay, null, 'acme', [0]],
    [0, INPUT_OP.replay, null, 'acme', [0]],
  ]);
  t.strictSame(await shards.settleDead('purge', { destination: 'sms' }), { done: 2, unknown: 0 });
  t.strictSame(asked, [[1, INPUT_OP.purge, 'sms', null, undefined]], 'its own shard only');
});

t.test('an erasure goes on until every shard has no cursor', async (t) => {
  const asked: unknown[] = [];
  const shards = make({
    ask: async (shard, op, body) => {
      const [, cursor] = unpack(body) as [string, string];
      asked.push(`${shard} ${op === INPUT_OP.erase} ${cursor}`);
      const next = { '': 'a', a: shard === 0 ? 'b' : null, b: null }[cursor] ?? null;
      return { redacted: 10, left: cursor === 'a' ? 1 : 0, cursor: next };
    },
  });
  t.strictSame(await shards.redactAll('acme'), { redacted: 50, left: 2 });
  t.strictSame(asked.sort(), ['0 true ', '0 true a', '0 true b', '1 true ', '1 true a']);
});
