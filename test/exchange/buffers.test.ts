// Spare buffers: used again, grown at once, shrunk in time, bounded.
import t from 'tap';
import { SpareBuffers } from '../../src/exchange/buffers.ts';
import { InputQueue } from '../../src/exchange/input-queue.ts';
import { INPUT_OP, InputBuffer } from '../../src/protocol/exchange.ts';

t.test('a buffer given back is taken again', async (t) => {
  const spares = new SpareBuffers({ bytesMin: 100, spareMax: 2 });
  const first = spares.take();
  t.equal(first.byteLength, 100);
  spares.give(first, 10);
  t.equal(spares.take(), first);
  for (const _ of [1, 2, 3]) spares.give(new ArrayBuffer(100), 10);
  t.equal(spares.spares, 2, 'no more than the bound is kept');
});

t.test('grows to what was needed and halves when it is not needed any more', async (t) => {
  const spares = new SpareBuffers({ bytesMin: 100, spareMax: 4 });
  spares.give(new ArrayBuffer(100), 100);
  spares.give(new ArrayBuffer(1_000), 900);
  t.equal(spares.bytes, 1_000);
  t.equal(spares.spares, 1, 'smaller ones are dropped');
  for (let turn = 0; turn < 20_000; turn += 1) spares.give(spares.take(), 20);
  t.equal(spares.bytes, 100);
  t.equal(spares.take().byteLength, 125);
});

t.test('input is cut at 1 MiB, in order, with the bytes of each connection', async (t) => {
  const queue = new InputQueue();
  const frame = new Uint8Array(256 * 1024 - 12);
  queue.append(INPUT_OP.connect, 1, Uint8Array.of(1, 0));
  for (const connection of [1, 2, 1, 2, 3]) t.ok(queue.appendFrame(connection, frame));
  const first = queue.next(1);
  t.ok(first.bytes <= 1024 * 1024);
  t.strictSame([...first.windows].sort(), [
    [1, 2 * frame.length],
    [2, frame.length],
  ]);
  t.notOk(queue.isEmpty);
  const second = queue.next(2);
  t.strictSame(
    [...second.windows],
    [
      [2, frame.length],
      [3, frame.length],
    ],
  );
  t.ok(queue.isEmpty);
  t.equal(new DataView(second.buffer).getUint32(4, true), 2, 'entries');
  queue.giveBack(first);
  const empty = queue.next(3);
  t.equal(empty.bytes, new InputBuffer().bytes, 'an input without entries is its header');
  queue.appendFrame(7, Uint8Array.of(1));
  const reused = queue.next(4);
  t.equal(reused.windows.get(7), 1);
  t.equal(reused.windows.size, 1);
});
