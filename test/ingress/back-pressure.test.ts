// The way out: frames of a shard on sockets that read, read late, or never.
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { startIngress, until } from './harness.ts';

/** Frames one after another in a buffer, as a shard hands them over. */
function batch(frames: readonly Uint8Array[]): { buffer: Uint8Array; spans: Uint32Array } {
  const spans = new Uint32Array(2 * frames.length);
  let at = 3;
  for (const [index, frame] of frames.entries()) {
    spans.set([at, frame.byteLength], 2 * index);
    at += frame.byteLength;
  }
  const buffer = new Uint8Array(at);
  for (const [index, frame] of frames.entries()) buffer.set(frame, spans[2 * index]);
  return { buffer, spans };
}

const ok = (id: number): Uint8Array => pack([64, id]);
const large = batch([pack([67, 0, 'load', 'x'.repeat(1_000_000)])]);

t.test('frames arrive in order, and the buffer is free at return', async (t) => {
  const { connect, ingress } = await startIngress(t);
  const client = await connect('publish');
  const { buffer, spans } = batch(Array.from({ length: 1000 }, (_, index) => ok(index + 1)));
  ingress.connections.sendFrames(1, buffer, spans, 999);
  buffer.fill(0xc1);
  for (let index = 1; index < 1000; index += 1) {
    const frame = await client.next();
    if (frame.kind !== 'ok' || frame.id !== index) t.fail(`frame ${index}`);
  }
  const last = batch([ok(5)]);
  ingress.connections.sendFrames(1, last.buffer, last.spans, 1);
  t.match(await client.next(), { kind: 'ok', id: 5 });
});

t.test('what is addressed to a connection that is gone is dropped', async (t) => {
  const { ingress } = await startIngress(t);
  ingress.connections.sendFrames(77, large.buffer, large.spans, 1);
  ingress.connections.closeConnection(77, 4400);
  ingress.connections.windowReleased(77, 1);
  t.equal(ingress.connections.size, 0);
});

t.test('a shard may close a connection after what it sent', async (t) => {
  const { connect, ingress } = await startIngress(t);
  const client = await connect('publish');
  const { buffer, spans } = batch([ok(1)]);
  ingress.connections.sendFrames(1, buffer, spans, 1);
  ingress.connections.closeConnection(1, 4400);
  t.match(await client.next(), { kind: 'ok', id: 1 });
  t.equal((await client.closed).code, 4400);
});

t.test('a client that stops reading is parked, and taken up again when it reads', async (t) => {
  const { connect, ingress, shards } = await startIngress(t);
  const client = await connect('publish consume');
  client.send(pack([1, 1, 'a', []]));
  await until(() => shards[0].frames.length === 1);
  client.socket.pause();
  let sent = 0;
  while (ingress.connections.parked === 0) {
    ingress.connections.sendFrames(1, large.buffer, large.spans, 1);
    sent += 1;
    if (sent > 40) throw new Error('never parked');
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(sent * 1_000_000 >= LIMITS.parkAtBytes);
  t.equal(shards[0].log.at(-1), 'park 1');
  t.strictSame(shards[1].log, [], 'it does not know the connection');
  client.send(pack([1, 2, 'b', []]));
  await until(() => shards[1].frames.length === 1);
  t.strictSame(shards[1].log, ['connect 1', 'park 1', 'frame 1'], 'parked from the start');
  ingress.connections.sendFrames(1, large.buffer, large.spans, 1);
  t.equal(shards[0].log.filter((each) => each === 'park 1').length, 1, 'parked once');

  client.socket.resume();
  await until(() => ingress.connections.parked === 0);
  t.equal(shards[0].log.at(-1), 'unpark 1');
  t.equal(shards[1].log.at(-1), 'unpark 1');
  for (let index = 0; index <= sent; index += 1) await client.next();
});

t.test('a client that reads nothing of what it asks for is closed with 1013', async (t) => {
  const { connect, ingress, shards } = await startIngress(t);
  const client = await connect('publish consume');
  client.send(pack([1, 1, 'a', []]));
  await until(() => shards[0].frames.length === 1);
  client.socket.pause();
  let sent = 0;
  while (ingress.connections.size > 0) {
    ingress.connections.sendFrames(1, large.buffer, large.spans, 1);
    sent += 1;
    if (sent > 60) throw new Error('never closed');
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(sent * 1_000_000 >= LIMITS.closeAtBytes);
  t.equal(ingress.connections.parked, 0);
  t.strictSame(shards[0].log.slice(-2), ['park 1', 'disconnect 1']);
  client.socket.resume();
  t.equal((await client.closed).code, 1013, 'seen by a client that reads at last');
});

t.test('refusals count too: garbage without reading ends with 1013', async (t) => {
  const { connect, ingress } = await startIngress(t);
  const client = await connect('publish');
  client.socket.pause();
  while (ingress.connections.parked === 0) {
    ingress.connections.sendFrames(1, large.buffer, large.spans, 1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (let index = 0; index < 11; index += 1) {
    ingress.connections.sendFrames(1, large.buffer, large.spans, 1);
  }
  t.equal(ingress.connections.size, 1, 'not yet');
  const garbage = pack([99, 1]);
  for (let index = 0; index < 60_000; index += 1) client.send(garbage);
  await until(() => ingress.connections.size === 0);
  client.socket.terminate();
});
