import fc from 'fast-check';
import t from 'tap';
import {
  BadFrameError,
  type DaemonFrame,
  decodeDaemonFrame,
  encodeError,
  encodeGoAway,
  encodeHello,
  type OkFrame,
  readCancelOk,
  readPublishOk,
  readSettleOk,
  readStatusOk,
} from '../../src/protocol/frames.ts';
import { bytesOf, golden, hexOf, plain } from './golden.ts';

interface Row {
  name: string;
  hex: string;
  /** Who encodes it: the core, the main thread, both, or no one yet. */
  encoded: string;
  meaning: { kind: string } & Record<string, unknown>;
}
const rows = golden<Row[]>('daemon-frames.json');

function meaning(frame: DaemonFrame, kind: string): unknown {
  const ok = frame as OkFrame;
  switch (kind) {
    case 'publishOk':
      return { kind, id: ok.id, ...readPublishOk(ok) };
    case 'settleOk':
      return { kind, id: ok.id, ...readSettleOk(ok) };
    case 'cancelOk':
      return { kind, id: ok.id, ...readCancelOk(ok) };
    case 'statusOk':
      return { kind, id: ok.id, entries: readStatusOk(ok) };
    default:
      return frame;
  }
}

t.test('daemon frames mean what the golden file says', async (t) => {
  for (const row of rows) {
    const read = meaning(decodeDaemonFrame(bytesOf(row.hex)), row.meaning.kind);
    t.same(plain(read), row.meaning, row.name);
  }
});

t.test('frames of the main thread have the bytes of the golden file', async (t) => {
  for (const { name, hex, encoded } of rows) {
    if (encoded !== 'main' && encoded !== 'both') continue;
    const frame = decodeDaemonFrame(bytesOf(hex));
    if (frame.kind === 'error') t.equal(hexOf(encodeError(frame)), hex, name);
    else if (frame.kind === 'goAway') t.equal(hexOf(encodeGoAway(frame)), hex, name);
    else if (frame.kind === 'hello') t.equal(hexOf(encodeHello(frame)), hex, name);
    else t.fail(`${name} has no encoder`);
  }
});

t.test('a cut frame is refused', async (t) => {
  for (const { name, hex } of rows) {
    const bytes = bytesOf(hex);
    let taken = 0;
    for (let end = 0; end < bytes.length; end += 1) {
      try {
        decodeDaemonFrame(bytes.subarray(0, end));
        taken += 1;
      } catch (error) {
        if (!(error instanceof BadFrameError)) throw error;
      }
    }
    t.equal(taken, 0, name);
  }
});

t.test('arbitrary bytes are read or refused', async (t) => {
  const property = fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    try {
      decodeDaemonFrame(bytes);
    } catch (error) {
      return error instanceof BadFrameError;
    }
    return true;
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2000 }));
});

t.test('a field of another type is named', async (t) => {
  // [65, 1, "x", …]: the code is a string.
  const frame = Uint8Array.of(0x95, 65, 1, 0xa1, 0x78, 0xa0, 0xc0);
  const message = 'code is not an unsigned integer; received string';
  t.throws(() => decodeDaemonFrame(frame), { name: 'BadFrameError', message });
});
