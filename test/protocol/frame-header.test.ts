import fc from 'fast-check';
import t from 'tap';
import { ERRORS } from '../../src/errors.ts';
import { LIMITS } from '../../src/limits.ts';
import { encodePublish, encodeSubscribe } from '../../src/protocol/client-frames.ts';
import { FrameHeader, type HeaderFault } from '../../src/protocol/frame-header.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { bytesOf, golden } from './golden.ts';

/** A message id in that shard. */
function idOf(shard: number, index = 0): Uint8Array {
  const id = new Uint8Array(16).fill(9);
  new DataView(id.buffer).setUint16(0, shard);
  new DataView(id.buffer).setUint16(14, index);
  return id;
}

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
    messageIds?: string[];
    receipts?: { messageId: string }[];
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
    const ids = meaning.messageIds ?? meaning.receipts?.map(({ messageId }) => messageId) ?? [];
    const shard = Number.parseInt(ids[0]?.slice(0, 4) ?? '0', 16);
    t.equal(header.idsShard, shard, `${name}: shard`);
    if (meaning.kind !== 'publish') t.equal(header.subscription, meaning.subscription ?? 0, name);
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
    ['a kind of a later version', [30, 9, []], 'notYetSupported', 9],
    ['resources missing', [10, 9], 'wrongType', 9],
    ['permits missing', [11, 9], 'wrongType', 9],
    ['events missing', [20, 9], 'wrongType', 9],
    ['a lease missing', [12, 9, []], 'wrongType', 9],
    ['messages missing', [1, 9, 'mail'], 'wrongType', 9],
    ['a number as destination', [1, 9, 3, []], 'wrongType', 9],
    ['a destination with a space', [1, 9, 'a b', []], 'invalidName', 9],
    ['an empty destination', [1, 9, '', []], 'invalidName', 9],
    ['a long destination', [1, 9, 'x'.repeat(129), []], 'fieldTooLong', 9],
    ['a text as subscription', [3, 9, 'x', 1], 'wrongType', 9],
    ['receipts missing', [5, 9], 'wrongType', 9],
    ['ids missing', [7, 9], 'wrongType', 9],
    ['ids of two shards', [6, 9, [idOf(1), idOf(2)]], 'invalidValue', 9],
    ['the last id of another shard', [7, 9, [idOf(1), idOf(1), idOf(0)]], 'invalidValue', 9],
    [
      'receipts of two shards',
      [
        5,
        9,
        [
          [idOf(1), 6],
          [idOf(257), 6],
        ],
      ],
      'invalidValue',
      9,
    ],
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

t.test('the shard of message ids; what is no id is left to the core', async (t) => {
  const header = new FrameHeader();
  const shard = (frame: unknown): number => {
    t.equal(header.read(pack(frame)), undefined);
    return header.idsShard;
  };
  t.equal(shard([6, 1, []]), 0);
  t.equal(shard([6, 1, [idOf(0xfffe)]]), 0xfffe);
  t.equal(shard([7, 1, Array.from({ length: 4096 }, () => idOf(3))]), 3);
  t.equal(shard([7, 1, 'no list']), 0);
  t.equal(shard([7, 1, [5, idOf(3)]]), 0);
  t.equal(shard([7, 1, [idOf(3), 'no id', idOf(4)]]), 3);
  t.equal(shard([7, 1, [idOf(3).subarray(0, 15)]]), 0);
  t.equal(shard([5, 1, [[], [idOf(3), 6]]]), 0);
  t.equal(shard([5, 1, [idOf(3)]]), 0, 'no entry');
  t.equal(shard([1, 1, 'mail', []]), 0, 'nothing is left of the frame before');
  const cut = pack([7, 1, [idOf(3), idOf(3)]]);
  t.equal(header.read(cut.subarray(0, cut.length - 1)), undefined);
  t.equal(header.idsShard, 3);
  // More ids than a frame may hold: the rest is not looked at.
  t.equal(
    shard([7, 1, [...Array.from({ length: LIMITS.idsPerFrame }, () => idOf(3)), idOf(4)]]),
    3,
  );
});

t.test('the second receipt is found behind fields of any type', async (t) => {
  const header = new FrameHeader();
  const field = fc.oneof(
    fc.string({ maxLength: 300 }),
    fc.double({ noNaN: true }),
    fc.integer(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.uint8Array({ maxLength: 300 }),
    fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown),
    fc.array(fc.integer(), { minLength: 14, maxLength: 20 }),
    fc.constantFrom(null, true, false, 1.5),
  );
  const fields = fc.array(field, { maxLength: 4 });
  const property = fc.property(fields, fc.nat(0xffff), fc.nat(0xffff), (further, one, two) => {
    const fault = header.read(
      pack([
        5,
        1,
        [
          [idOf(one), 6, ...further],
          [idOf(two), 6],
        ],
      ]),
    );
    return one === two ? fault === undefined && header.idsShard === one : fault === 'invalidValue';
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2000 }));
  // Forms that the encoder never chooses: extensions, a float 32, an invalid byte.
  const id = (shard: number): string => `c410${Buffer.from(idOf(shard)).toString('hex')}`;
  const receipts = (value: string): Uint8Array =>
    bytesOf(`93050192${`93${id(1)}06${value}`}${`92${id(2)}06`}`);
  for (const value of [
    'd4aa00',
    'd8aa'.padEnd(36, '0'),
    'c702aa0000',
    'ca00000000',
    'dfffffffff',
  ]) {
    const isCut = value.startsWith('df');
    t.equal(header.read(receipts(value)), isCut ? undefined : 'invalidValue', value);
  }
  t.equal(header.read(receipts('c1')), undefined);
  t.equal(header.idsShard, 1);
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
    header.read(Uint8Array.of(0x93, 5, 1, 0x92, 0x93, 0xc4, 16, ...idOf(1), 6, ...bytes));
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 5000 }));
});
