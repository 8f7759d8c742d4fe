// What the ingress does with frames of permits: scope, window, who is told of which connection.
import t from 'tap';
import type { MainPort } from '../../src/ingress/shard-port.ts';
import { LIMITS } from '../../src/limits.ts';
import { encodeAcquire, encodeRelease, encodeRenew } from '../../src/protocol/frames.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { startIngress, until } from './harness.ts';

class FakeGate implements MainPort {
  readonly told: string[] = [];
  full = false;

  connect(connection: number, scopes: number, tenant: string): void {
    this.told.push(`connect ${connection} ${scopes} ${tenant}`);
  }

  disconnect(connection: number): void {
    this.told.push(`disconnect ${connection}`);
  }

  frame(connection: number, bytes: Uint8Array): boolean {
    if (!this.full) this.told.push(`frame ${connection} ${bytes.length}`);
    return !this.full;
  }
}

const acquire = (id: number, resource = 'calls') => encodeAcquire({ id, entries: [{ resource }] });
const release = (id: number) => encodeRelease({ id, permits: [7] });

t.test('the gate hears of a connection at its first frame, and of its end', async (t) => {
  const gate = new FakeGate();
  const { connect, shards } = await startIngress(t, { gate });
  const client = await connect('publish gate', 'acme');
  t.strictSame(gate.told, [], 'not before');
  client.send(acquire(1));
  client.send(release(2));
  client.send(encodeRenew({ id: 3, permits: [], leaseMs: 5_000 }));
  await until(() => gate.told.length === 4);
  t.strictSame(gate.told, [
    'connect 1 17 acme',
    `frame 1 ${acquire(1).length}`,
    `frame 1 ${release(2).length}`,
    `frame 1 ${encodeRenew({ id: 3, permits: [], leaseMs: 5_000 }).length}`,
  ]);
  t.strictSame(shards[0].operations, [], 'no shard does');
  client.socket.close();
  await until(() => gate.told.length === 5);
  t.equal(gate.told.at(-1), 'disconnect 1');
  const other = await connect('gate');
  other.socket.close();
  await other.closed;
  t.equal(gate.told.length, 5, 'one that never asked is not told of');
});

t.test('a token without the scope, and frames that are none, are refused', async (t) => {
  const gate = new FakeGate();
  const { connect } = await startIngress(t, { gate });
  const publisher = await connect('publish', 'acme');
  for (const frame of [acquire(4), release(4), encodeRenew({ id: 4, permits: [], leaseMs: 1 })]) {
    publisher.send(frame);
    t.equal(await publisher.nextError(), '4 2004');
  }
  const client = await connect('gate');
  for (const fields of [
    [10, 5],
    [11, 5],
    [12, 5, []],
  ]) {
    client.send(pack(fields));
    t.equal(await client.nextError(), '5 1003', `kind ${fields[0]}`);
  }
  client.send(pack([1, 6, 'a', []]));
  t.equal(await client.nextError(), '6 2004', 'the scope gate does not publish');
  t.strictSame(gate.told, []);
});

t.test('without a gate nobody gives permits', async (t) => {
  const { connect } = await startIngress(t);
  const client = await connect('gate');
  client.send(acquire(1));
  t.equal(await client.nextError(), '1 1007');
});

t.test('past the window acquires are refused and releases are not', async (t) => {
  const gate = new FakeGate();
  const { connect, ingress } = await startIngress(t, { gate });
  const client = await connect('gate');
  const large = encodeAcquire({
    id: 1,
    entries: Array.from({ length: 1_000 }, () => ({
      resource: 'r'.repeat(LIMITS.nameBytes),
      tenant: 't'.repeat(LIMITS.nameBytes),
      options: { weight: 1, leaseMs: 10_000, waitMs: 0, mode: 0 as const },
    })),
  });
  const fit = Math.floor((LIMITS.publishWindowBytes + 2 ** 20) / large.length);
  for (let sent = 0; sent < fit; sent += 1) client.send(large);
  await until(() => gate.told.length === fit + 1);
  client.send(large);
  t.equal(await client.nextError(), '1 1010');
  client.send(release(2));
  await until(() => gate.told.length === fit + 2);
  ingress.connections.windowReleased(1, fit * large.length);
  client.send(large);
  await until(() => gate.told.length === fit + 3);
  gate.full = true;
  client.send(release(9));
  t.equal(await client.nextError(), '9 1010', 'a full gate takes nothing');
});

t.test(
  'while the daemon ends no permit is asked for, but what is held is given back',
  async (t) => {
    const gate = new FakeGate();
    const { connect, ingress } = await startIngress(t, { gate });
    const client = await connect('gate');
    client.send(release(1));
    await until(() => gate.told.length === 2);
    ingress.goAway('test', 1_000);
    t.equal((await client.next()).kind, 'goAway');
    client.send(acquire(2));
    t.equal(await client.nextError(), '2 1011');
    client.send(release(3));
    client.send(encodeRenew({ id: 4, permits: [], leaseMs: 5_000 }));
    await until(() => gate.told.length === 4);
    t.equal(gate.told.length, 4);
  },
);
