// The end of an ingress: clients are told, new work is refused, what is under way is finished.
import t from 'tap';
import { encodePublish, encodeSubscribe } from '../../src/protocol/frames.ts';
import { startIngress, TestClient, until } from './harness.ts';

t.test('go away: clients are told, new work is refused, settled work is not', async (t) => {
  const { connect, ingress, shards, origin } = await startIngress(t);
  const client = await connect('publish consume');
  client.send(encodeSubscribe({ id: 1, subscription: 1, destination: 'a', credit: 1 }));
  await until(() => shards[0].frames.length === 1);
  ingress.goAway('restart', 2500);
  t.match(await client.next(), { kind: 'goAway', reason: 'restart', retryAfterMs: 2500 });
  client.send(encodePublish({ id: 2, destination: 'a', messages: [{ payload: 'x' }] }));
  const error = await client.next();
  t.match(error, { kind: 'error', id: 2, code: 1011, details: { retryAfterMs: 2500 } });
  client.send(encodeSubscribe({ id: 3, subscription: 2, destination: 'a', credit: 1 }));
  t.equal(await client.nextError(), '3 1011');
  client.send(Uint8Array.of(0x94, 4, 4, 1, 0x91, 1));
  await until(() => shards[0].frames.length === 2);
  const ready = await fetch(`http://${origin}/readyz`, { headers: { connection: 'close' } });
  t.equal(ready.status, 503);
  t.match(await ready.json(), { reasons: ['restart'] });
  const late = new TestClient(`ws://${origin}/v1/stream`);
  t.equal((await late.closed).code, 1006, 'no new connection');
});

t.test('stop accepting: the port is free again, connections stay', async (t) => {
  const { connect, ingress, shards, origin } = await startIngress(t);
  const client = await connect('publish');
  ingress.stopAccepting();
  ingress.stopAccepting();
  t.equal((await new TestClient(`ws://${origin}/v1/stream`).closed).code, 1006);
  client.send(encodePublish({ id: 2, destination: 'a', messages: [{ payload: 'x' }] }));
  await until(() => shards[0].frames.length === 1);
});

t.test('close all: sockets end once they have sent what they hold', async (t) => {
  const { connect, ingress } = await startIngress(t);
  const client = await connect('consume');
  await ingress.closeAll(1000);
  const closed = await client.closed;
  t.equal(closed.code, 1001);
  t.equal(ingress.connections.size, 0);
});

t.test('close all: at the deadline also those that do not read', async (t) => {
  const { connect, ingress } = await startIngress(t);
  const client = await connect('consume');
  client.socket.pause();
  const buffer = new Uint8Array(900_000);
  for (let index = 0; index < 10; index += 1) {
    ingress.connections.sendFrames(1, buffer, Uint32Array.of(0, buffer.byteLength), 1);
  }
  const start = performance.now();
  await ingress.closeAll(100);
  t.ok(performance.now() - start >= 95, 'it had its chance');
  t.equal(ingress.connections.size, 0);
  client.socket.terminate();
});

t.test('close all: requests under way are answered first', async (t) => {
  const { ingress, origin } = await startIngress(t, {
    routes: [
      {
        method: 'GET',
        path: '/slow',
        scope: 'none',
        handler: async () => {
          await new Promise((resolve) => setTimeout(resolve, 100));
          return { status: 200, body: 'done' };
        },
      },
    ],
  });
  const answer = fetch(`http://${origin}/slow`, { headers: { connection: 'close' } });
  await new Promise((resolve) => setTimeout(resolve, 50));
  await ingress.closeAll(5000);
  t.equal((await answer).status, 200);
});
