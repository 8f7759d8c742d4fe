import t from 'tap';
import { checkDelivery } from '../../../bench/load/check-delivery.ts';
import { DeliverScanner } from '../../../bench/load/deliver-scanner.ts';
import type { MessageShape } from '../../../bench/load/message-shape.ts';
import { PublishRing } from '../../../bench/load/publish-ring.ts';
import { settleAndCreditFrames } from '../../../bench/load/settle-frame.ts';
import { binaryFrame, OPCODE, ServerFrames } from '../../../bench/load/web-socket-frame.ts';
import { decodeDaemonFrame } from '../../../src/protocol/daemon-frames.ts';
import { KIND } from '../../../src/protocol/kinds.ts';
import { pack, unpack } from '../../../src/protocol/msgpack.ts';

const shapes: MessageShape[] = [
  { destination: 'bench-0', tenants: 100, payloadBytes: 160, messagesPerFrame: 1 },
  { destination: 'bench-0', tenants: 100, payloadBytes: 160, messagesPerFrame: 100 },
  { destination: 'bench-0', tenants: 7, payloadBytes: 1024, messagesPerFrame: 500 },
  {
    destination: 'bench-0',
    tenants: 10,
    sendersPerTenant: 3,
    payloadBytes: 160,
    messagesPerFrame: 100,
    option: 'at',
  },
  { destination: 'bench-0', tenants: 10, payloadBytes: 160, messagesPerFrame: 100, option: 'key' },
];

/** A client frame without its mask, as a server would send it. */
function unmasked(frame: Buffer): Buffer {
  const extra = { 126: 2, 127: 8 }[(frame[1] as number) & 0x7f] ?? 0;
  const head = Buffer.from(frame.subarray(0, 2 + extra));
  head[1] = (head[1] as number) & 0x7f;
  return Buffer.concat([head, frame.subarray(2 + extra + 4)]);
}

function contentOf(frame: Buffer): Buffer {
  const bytes = unmasked(frame);
  const frames = new ServerFrames();
  if (!frames.next(bytes, bytes.length)) throw new Error('no complete frame');
  return bytes.subarray(frames.start, frames.end);
}

const times = { firstAtMs: 1_795_310_319_000, perMs: 10, firstSequence: 150 };

/** What `times` and the sequence number come to. */
function optionOf({ option }: MessageShape, sequence: number): object | undefined {
  if (option === 'key') return { k: `order-0000000${sequence}` };
  return option && { at: 1_795_310_319_000 + Number(String(sequence).slice(0, -1)) - 15 };
}

type Fields = [string, string, string, Uint8Array, Record<string, unknown>?];
type Publish = [number, number, string, Fields[]];

for (const shape of shapes) {
  const title = `${shape.payloadBytes} B × ${shape.messagesPerFrame}, option ${shape.option ?? 'none'}`;
  t.test(`publish and deliver, ${title}`, async (t) => {
    const ring = new PublishRing(shape, 3);
    if (shape.option === 'at') ring.sendAt(times);
    ring.fill(2, 2 * shape.messagesPerFrame);
    const frame = ring.frames(2, 1);
    t.equal(frame.length, ring.frameBytes);
    const content = contentOf(frame);
    t.equal(content.length, ring.contentBytes);
    const [kind, id, destination, messages] = unpack(content) as Publish;
    t.strictSame([kind, id, destination], [KIND.publish, PublishRing.idOf(2), 'bench-0']);
    t.equal(messages.length, shape.messagesPerFrame);
    t.strictSame(
      messages.map((fields) => fields[4]),
      messages.map((_, at) => optionOf(shape, 2 * shape.messagesPerFrame + at)),
    );

    for (const first of [1, 120, 250, 65_400, 70_000]) {
      const deliveries = messages.map((fields, at) => [
        first + at,
        new Uint8Array(16),
        ...fields.slice(0, 4),
        1,
        1_795_310_319_000n,
        0,
        1_795_346_319_000n,
      ]);
      const bytes = Buffer.from(pack([KIND.deliver, 0, 1, deliveries]));
      const samples: number[] = [];
      const scanner = new DeliverScanner(shape, 16, (sequence) => samples.push(sequence));
      t.ok(DeliverScanner.isDeliver(bytes, 0));
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      scanner.scan(bytes, view, 0, bytes.length);
      const { messagesPerFrame: count } = shape;
      t.match(scanner, { firstDelivery: first, count, delivered: count });
      t.equal(scanner.sequenceSum, 2 * count * count + (count * (count - 1)) / 2);
      t.equal(samples.length, Math.floor(count / 16));
      t.throws(() => scanner.scan(bytes, view, 0, bytes.length - 1), /no delivery at byte/);

      const decoded = decodeDaemonFrame(bytes);
      if (decoded.kind !== 'deliver') throw new Error(decoded.kind);
      t.strictSame(
        decoded.deliveries.map((delivery) => checkDelivery(delivery, shape, 3)),
        messages.map((_, at) => 2 * count + at),
      );
      const changed = { ...decoded.deliveries[0]!, tenant: 't099' };
      t.throws(() => checkDelivery(changed, shape, 3), /tenant is t099/);
    }
  });
}

t.test('settle and credit: consecutive runs', async (t) => {
  const bytes = settleAndCreditFrames(1, [
    [1, 2],
    [70_000, 1],
  ]);
  const settle = contentOf(bytes);
  t.strictSame(unpack(settle), [KIND.settle, 0, 1, [1, 2, 70_000]]);
  const credit = contentOf(bytes.subarray(binaryFrame(settle).length));
  t.strictSame(unpack(credit), [KIND.credit, 0, 1, 3]);
});

t.test('frames that come in pieces, of every length form', async (t) => {
  const contents = [5, 125, 126, 65_535, 65_536].map((length) => Buffer.alloc(length, length));
  const bytes = Buffer.concat(contents.map((content) => unmasked(binaryFrame(content))));
  for (const step of [1, 7, 4096, bytes.length]) {
    const frames = new ServerFrames();
    const found: number[] = [];
    for (let filled = 0; filled < bytes.length; ) {
      filled = Math.min(bytes.length, filled + step);
      while (frames.next(bytes, filled)) {
        t.equal(frames.opcode, OPCODE.binary);
        found.push(frames.end - frames.start);
      }
    }
    t.strictSame(found, [5, 125, 126, 65_535, 65_536], `${step} bytes at a time`);
  }
});

t.test('masked frames and fragments of a server are errors', async (t) => {
  t.throws(() => new ServerFrames().next(Buffer.from([0x82, 0x80, 0, 0, 0, 0]), 6), /masked/);
  t.throws(() => new ServerFrames().next(Buffer.from([0x02, 0x00]), 2), /begins 2/);
});
