// What the generators of the gate rows read and refuse, without a server.
import t from 'tap';
import { parseAutocannon, parseWrk } from '../../../bench/gate/http-generator.ts';
import { HttpResponses } from '../../../bench/gate/load/http-responses.ts';
import { type PairShape, tenantAt } from '../../../bench/gate/load/pair-loop.ts';
import { PermitFrames } from '../../../bench/gate/load/permit-frames.ts';
import {
  encodeCommand,
  pairCommands,
  RedisAnswers,
} from '../../../bench/gate/load/redis-commands.ts';
import { tableRows } from '../../../bench/gate/table.ts';
import { clientHeaderBytes } from '../../../bench/load/web-socket-frame.ts';
import { pack, unpack } from '../../../src/protocol/msgpack.ts';

const shape: PairShape = {
  resource: 'calls.create',
  tenants: ['a', 'b', 'c'],
  list: 20,
  slots: 3,
  connections: 1,
  limit: 20,
  leaseMs: 30_000,
};
const FIRST_ID = 0x1_0000;
const permit = (slot: number, entry: number): Uint8Array =>
  Uint8Array.from({ length: 16 }, () => slot * 50 + entry);

function take(frames: PermitFrames, values: unknown[]): number {
  const before = Buffer.from('before');
  const bytes = Buffer.concat([before, pack(values)]);
  return frames.take(bytes, new DataView(bytes.buffer, bytes.byteOffset), before.length);
}

const granted = (slot: number, used: number, limit: number | null = shape.limit): unknown[] => {
  const entries = Array.from({ length: shape.list }, (_, entry) => [
    permit(slot, entry),
    30_000,
    used,
    limit,
  ]);
  return [64, FIRST_ID + slot, entries];
};

t.test('permits of an answer stand in the frame that gives them back', async (t) => {
  const frames = new PermitFrames(shape);
  t.equal(take(frames, granted(2, 7)), 2);
  const release = frames.releases[2] as Buffer;
  const content = release.subarray(clientHeaderBytes(release.length - 8));
  const wanted = Array.from({ length: shape.list }, (_, entry) => Buffer.from(permit(2, entry)));
  t.strictSame(unpack(content), [11, FIRST_ID + shape.slots + 2, wanted]);
  t.strictSame([...frames.held], [6, 7, 7], 'entries go to the tenants in turn');
  t.equal(tenantAt(shape, 2, 0), 1);
  frames.gaveBack(2);
  t.strictSame([...frames.held], [0, 0, 0]);
  t.equal(take(frames, [64, FIRST_ID + shape.slots + 2, shape.list, 0]), shape.slots + 2);
  t.equal(take(frames, [69, {}]), -1, 'a frame that is no answer');
});

t.test('a permit too many, one that is missing or was gone ends the run', async (t) => {
  const frames = new PermitFrames(shape);
  t.throws(() => take(frames, granted(0, 21)), /the daemon said 21 of 20/);
  t.throws(() => take(frames, granted(0, 1, null)), /of undefined/);
  t.throws(() => take(frames, [64, FIRST_ID, []]), /0 entries for 20/);
  const impeded = Array.from({ length: shape.list }, () => [null, 4002, 10, 20, 20, null]);
  t.throws(() => take(frames, [64, FIRST_ID, impeded]), /was not granted/);
  t.throws(() => take(frames, [64, FIRST_ID + 4, 19, 1]), /19 permits of 20 were released, 1/);
  const held = new PermitFrames(shape);
  take(held, granted(0, 1));
  take(held, granted(1, 1));
  take(held, granted(2, 1));
  t.throws(() => take(held, granted(0, 1)), /21 permits of 20 are held/);
});

t.test('commands and answers of Redis, in pieces', async (t) => {
  t.equal(`${encodeCommand(['ZREM', 'ä', 1])}`, '*3\r\n$4\r\nZREM\r\n$2\r\nä\r\n$1\r\n1\r\n');
  const scripts = { acquireOne: 'one', acquireList: 'list', releaseList: 'back' };
  const lists = pairCommands(shape, scripts);
  t.strictSame(lists.acquires[0]?.slice(0, 4), ['EVALSHA', 'list', 20, 'gate:calls.create:a']);
  t.equal(lists.acquires[0]?.length, 3 + 20 + 2 + 20);
  t.equal(new Set(lists.acquires.flatMap((args) => args.slice(-20))).size, 60, 'one id a permit');
  const single = pairCommands({ ...shape, list: 1 }, scripts);
  t.strictSame(single.releases[1], ['ZREM', 'gate:calls.create:b', '1.0.xxxxxxxxxxxx']);

  const bytes = Buffer.from(':12\r\n*3\r\n:1\r\n:-1\r\n:7\r\n');
  const answers = new RedisAnswers();
  const read: number[][] = [];
  for (let filled = 0; filled <= bytes.length; filled += 1) {
    while (answers.next(bytes, filled)) {
      read.push([answers.count, answers.smallest, answers.largest]);
    }
  }
  t.strictSame(read, [
    [1, 12, 12],
    [3, -1, 7],
  ]);
  t.throws(() => new RedisAnswers().next(Buffer.from('-NOSCRIPT no\r\n'), 14), /NOSCRIPT no/);
});

t.test('responses of HTTP, in pieces; any other answer ends the run', async (t) => {
  const one = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc';
  const bytes = Buffer.from(one + one);
  const responses = new HttpResponses(3);
  let count = 0;
  for (let at = 0; at < bytes.length; at += 7) count += responses.take(bytes.subarray(at, at + 7));
  t.equal(count, 2);
  const refused = Buffer.from('HTTP/1.1 429 Too Many\r\ncontent-length: 3\r\n\r\nabc');
  t.throws(() => new HttpResponses(3).take(refused), /429 Too Many/);
  const longer = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\nabc');
  t.throws(() => new HttpResponses(3).take(longer), /content-length: 30/);
});

t.test('what wrk and autocannon say', async (t) => {
  const wrk = `  Latency Distribution
     50%    1.31ms
     75%    1.61ms
     90%    2.10ms
     99%  950.00us
  12345 requests in 5.10s, 2.00MB read
Requests/sec:   2420.59`;
  t.strictSame(parseWrk(wrk), { requests: 12_345, seconds: 5.1, p50Ms: 1.31, p99Ms: 0.95 });
  t.throws(() => parseWrk(`${wrk}\n  Non-2xx or 3xx responses: 5`), /Non-2xx or 3xx responses: 5/);
  t.throws(
    () => parseWrk(`${wrk}\n  Socket errors: connect 0, read 1, write 0, timeout 0`),
    /Socket errors: connect 0, read 1/,
  );
  t.throws(() => parseWrk('unable to connect'), /unable to connect/);
  const cannon = {
    errors: 0,
    non2xx: 0,
    duration: 2,
    requests: { total: 100 },
    latency: { p50: 1, p99: 2 },
  };
  t.strictSame(parseAutocannon(JSON.stringify(cannon)), {
    requests: 100,
    seconds: 2,
    p50Ms: 1,
    p99Ms: 2,
  });
  t.throws(() => parseAutocannon(JSON.stringify({ ...cannon, non2xx: 3 })), /3 not 2xx/);
});

t.test('rows of the table are those of its benchmark', async (t) => {
  const core = (name: string, ns: number) => ({
    scope: 'core' as const,
    name,
    nsPerMessage: ns,
    nsPerMessageMin: ns - 1,
    nsPerMessageMax: ns + 1,
  });
  const results = [core('take and give/1 cells', 20), core('take and give/3 cells', 60)];
  t.match(tableRows(results, 0.5), [
    { name: 'gate/table/1', cells: 1, nsPerPair: 20, loadBefore: 0.5 },
    { name: 'gate/table/3', cells: 3, nsPerPair: 60, nsPerPairMin: 59, nsPerPairMax: 61 },
  ]);
  t.throws(() => tableRows(results.slice(1), 0), /there is no benchmark take and give\/1 cells/);
});
