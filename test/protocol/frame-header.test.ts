import fc from 'fast-check';
import t from 'tap';
import { ERRORS } from '../../src/errors.ts';
import { LIMITS } from '../../src/limits.ts';
import { encodePublish, encodeSubscribe } from '../../src/protocol/client-frames.ts';
import { FrameHeader, type HeaderFault } from '../../src/protocol/frame-header.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { bytesOf, golden } from './golden.ts';

interface Row {
  name: string;
  hex: string;
  meaning: {
    kind: string;
    id: number;
    code?: number;
    index?: number | null;
    destination?: string;
    subscription?: number;
  };
}

t.test('headers of the golden frames', async (t) => {
  const header = new FrameHeader();
  for (const { name, hex, meaning } of golden<Row[]>('client-frames.json')) {
    const fault = header.read(bytesOf(hex));
    t.equal(header.id, meaning.id, `${name}: id`);
    if (meaning.kind === 'error') {
      // What lies behind the header is found by the core only.
      const codes = [meaning.code, undefined];
      t.ok(codes.includes(fault && ERRORS[fault].code), `${name}: ${fault}`);
      continue;
    }
    t.equal(fault, undefined, name);
    t.equal(header.destination, meaning.destination ?? '', `${name}: destination`);
    if (meaning.kind !== 'publish') t.equal(header.subscription, meaning.subscription, name);
  }
});

t.test('faults by name', async (t) => {
  const header = new FrameHeader();
  const faults: [string, unknown, HeaderFault, number][] = [
    ['no array', 5, 'wrongType', 0],
    ['empty', [], 'wrongType', 0],
    ['a text as id', [1, 'x', 'mail', []], 'invalidId', 0],
    ['an id below zero', [1, -1, 'mail', []], 'invalidId', 0],
    ['an id of 2^32', [1, 2 ** 32, 'mail', []], 'invalidId', 0],
    ['no kind of a client', [64, 9], 'unknownKind', 9],
    ['no kind at all', [9, 9], 'unknownKind', 9],
    ['a kind of a later version', [10, 9, []], 'notYetSupported', 9],
    ['messages missing', [1, 9, 'mail'], 'wrongType', 9],
    ['a number as destination', [1, 9, 3, []], 'wrongType', 9],
    ['a destination with a space', [1, 9, 'a b', []], 'invalidName', 9],
    ['an empty destination', [1, 9, '', []], 'invalidName', 9],
    ['a long destination', [1, 9, 'x'.repeat(129), []], 'fieldTooLong', 9],
    ['a text as subscription', [3, 9, 'x', 1], 'wrongType', 9],
  ];
  for (const [name, frame, fault, id] of faults) {
    t.equal(header.read(pack(frame)), fault, name);
    t.equal(header.id, id, `${name}: id`);
  }
});

t.test('every number form of an id', async (t) => {
  const header = new FrameHeader();
  for (const form of ['05', 'cc05', 'cd0005', 'ce00000005', 'cf0000000000000005', 'd005']) {
    t.equal(header.read(bytesOf(`9403${form}0101`)), undefined, form);
    t.equal(header.id, 5, form);
  }
  for (const form of ['d10005', 'd200000005', 'd30000000000000005', 'cb4014000000000000']) {
    t.equal(header.read(bytesOf(`9403${form}0101`)), undefined, form);
    t.equal(header.id, 5, form);
  }
});

t.test('any name is read, and the cached one never taken for another', async (t) => {
  const header = new FrameHeader();
  const name = fc.stringMatching(/^[A-Za-z0-9._:+@-]{1,128}$/);
  const property = fc.property(name, fc.nat(2 ** 32 - 1), (destination, id) => {
    const frames = [
      encodePublish({ id, destination, messages: [] }),
      encodeSubscribe({ id, subscription: id, destination, credit: 1 }),
    ];
    return frames.every((frame) => {
      const fault = header.read(frame);
      return fault === undefined && header.id === id && header.destination === destination;
    });
  });
  t.doesNotThrow(() => fc.assert(property));
  t.equal(LIMITS.nameBytes, 128);
});

t.test('arbitrary bytes never throw', async (t) => {
  const header = new FrameHeader();
  const property = fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer(), (bytes, kind) => {
    header.read(bytes);
    header.read(Uint8Array.of(0x94, kind & 0x7f, 1, ...bytes));
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 5000 }));
});
