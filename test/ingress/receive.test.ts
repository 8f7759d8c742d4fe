// Tenants that take the messages of their own destinations: of those, and of no others.
import t from 'tap';
import {
  encodeCredit,
  encodePublish,
  encodeReceipt,
  encodeSettle,
  encodeSubscribe,
} from '../../src/protocol/frames.ts';
import { encodeInbound } from '../../src/protocol/inbound-frame.ts';
import { CLOSE } from '../../src/protocol/kinds.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { auth, startIngress, type TestClient, until } from './harness.ts';

const subscribe = (destination: string, subscription = 1, gateway?: string): Uint8Array =>
  encodeSubscribe({ id: 7, subscription, destination, credit: 10, ...(gateway && { gateway }) });

/** What a refusal says, without the name that was asked for. */
async function refusalOf(client: TestClient, destination: string, frame: Uint8Array) {
  client.send(frame);
  const error = await client.next();
  return JSON.stringify(error).replaceAll(destination, 'X');
}

t.test(
  'a tenant subscribes to what it owns; anything else is as if it did not exist',
  async (t) => {
    const { connect, directory, shards } = await startIngress(t);
    directory.giveTo('a-acme', 'acme');
    directory.giveTo('a-other', 'other');
    const acme = await connect('receive', 'acme');
    const unknown = await refusalOf(acme, 'zz', subscribe('zz'));
    t.match(unknown, /"code":3001/);
    for (const name of ['a-other', 'a-nobodys', 'b-nobodys']) {
      t.equal(await refusalOf(acme, name, subscribe(name)), unknown, name);
    }
    // Frames that only a shard would find fault with say nothing of what is there either.
    t.equal(await refusalOf(acme, 'a-other', pack([2, 7, 1, 'a-other', 'x'])), unknown);
    directory.autoCreate = true;
    t.equal(await refusalOf(acme, 'zz', subscribe('zz')), unknown, 'none is made for it');
    t.strictSame(directory.made, []);
    t.strictSame(shards[0].operations, [], 'no shard heard of it');
    acme.send(subscribe('a-acme'));
    acme.send(encodeCredit({ id: 8, subscription: 1, add: 5 }));
    acme.send(encodeSettle({ id: 9, subscription: 1, outcomes: [1] }));
    await until(() => shards[0].frames.length === 3);
  },
);

t.test('a shard knows it as a consumer of its tenant, and as nothing more', async (t) => {
  const { connect, directory, shards } = await startIngress(t);
  directory.giveTo('a-acme', 'acme');
  const acme = await connect('receive publish', 'acme');
  acme.send(subscribe('a-acme'));
  await until(() => shards[0].frames.length === 1);
  t.match(shards[0].operations[0], { op: 'connect', who: '3 acme' });
});

t.test('it takes nothing else that consumers may', async (t) => {
  const { connect, directory, shards } = await startIngress(t);
  directory.giveTo('a-acme', 'acme');
  const acme = await connect('receive', 'acme');
  const messageId = new Uint8Array(16);
  const cases: [string, Uint8Array, string][] = [
    ['receipt', encodeReceipt({ id: 7, receipts: [{ messageId, status: 6 }] }), '7 2004'],
    ['inbound', encodeInbound({ id: 7, messages: [] }), '7 2004'],
    ['publish', encodePublish({ id: 7, destination: 'a-acme', messages: [] }), '7 2004'],
    ['under a gateway', subscribe('a-acme', 1, 'carrier'), '7 3029'],
    ['under what is no gateway', pack([2, 7, 1, 'a-acme', 10, 5]), '7 3029'],
    ['settle of another', encodeSettle({ id: 7, subscription: 1, outcomes: [1] }), '7 3006'],
  ];
  for (const [name, frame, expected] of cases) {
    acme.send(frame);
    t.equal(await acme.nextError(), expected, name);
  }
  t.strictSame(shards[0].operations, [], 'no shard heard of it');
  acme.send(pack([2, 7, 1, 'a-acme', 10, null]));
  await until(() => shards[0].frames.length === 1);
});

t.test(
  'without the scope a tenant takes nothing, and the platform has no such scope',
  async (t) => {
    const { connect, directory } = await startIngress(t);
    directory.giveTo('a-acme', 'acme');
    const publisher = await connect('publish', 'acme');
    publisher.send(subscribe('a-acme'));
    t.equal(await publisher.nextError(), '7 2004');
    await t.rejects(
      auth.issueToken({ scope: 'receive', ttlSec: 60 }),
      /receive is for a token with a/,
    );
    await t.rejects(auth.issueToken({ tenant: 'a', scope: 'receive consume', ttlSec: 60 }));
  },
);

t.test('the platform takes what tenants own, as ever', async (t) => {
  const { connect, directory, shards } = await startIngress(t);
  directory.giveTo('a-acme', 'acme');
  const platform = await connect('consume publish');
  platform.send(subscribe('a-acme', 1, 'carrier'));
  platform.send(encodePublish({ id: 8, destination: 'a-acme', messages: [] }));
  await until(() => shards[0].frames.length === 2);
  directory.giveTo('a-acme', 'other');
  platform.send(encodeCredit({ id: 9, subscription: 1, add: 5 }));
  await until(() => shards[0].frames.length === 3);
});

t.test('what a tenant owns is closed to others who publish', async (t) => {
  const { connect, directory, shards } = await startIngress(t);
  directory.giveTo('a-acme', 'acme');
  const publish = (destination: string) =>
    encodePublish({ id: 7, destination, messages: [{ payload: 'x' }] });
  const other = await connect('publish', 'other');
  const unknown = await refusalOf(other, 'zz', publish('zz'));
  t.equal(await refusalOf(other, 'a-acme', publish('a-acme')), unknown);
  const acme = await connect('publish', 'acme');
  acme.send(publish('a-acme'));
  other.send(publish('a-nobodys'));
  await until(() => shards[0].frames.length === 2);
});

t.test('who loses a destination loses the connection that takes from it', async (t) => {
  const { connect, directory, shards } = await startIngress(t);
  for (const name of ['a-one', 'a-two']) directory.giveTo(name, 'acme');
  const [one, two, idle] = await Promise.all(
    [1, 2, 3].map(() => connect('receive publish', 'acme')),
  );
  one?.send(subscribe('a-one'));
  two?.send(subscribe('a-two'));
  await until(() => shards[0].frames.length === 2);
  directory.giveTo('a-one', 'acme');
  directory.giveTo('a-one', 'other');
  t.match(await one?.closed, { code: CLOSE.ownerChanged });
  two?.send(encodeCredit({ id: 8, subscription: 1, add: 5 }));
  idle?.send(encodePublish({ id: 8, destination: 'a-two', messages: [] }));
  await until(() => shards[0].frames.length === 4);
  directory.giveTo('a-two', undefined);
  t.match(await two?.closed, { code: CLOSE.ownerChanged });
  const again = await connect('receive', 'acme');
  again.send(subscribe('a-two'));
  t.equal(await again.nextError(), '7 3001');
});
