import fc from 'fast-check';
import t from 'tap';
import {
  type Configure,
  EFFECT_OP,
  EFFECTS_HEADER_BYTES,
  EffectsReader,
  type EntityKind,
  encodeConfigure,
  encodeConnect,
  encodeDiskFull,
  encodeExplain,
  encodeInUse,
  encodeStats,
  encodeTaken,
  INPUT_OP,
  InputBuffer,
} from '../../src/protocol/exchange.ts';
import {
  encodeCall,
  encodeCancelAll,
  encodeDeadLetters,
  encodeErase,
  encodeFind,
  encodeList,
  encodeRedact,
  encodeReplay,
} from '../../src/protocol/message-ops.ts';
import { decodeStatusEvents } from '../../src/protocol/status-events.ts';
import { bytesOf, golden, hexOf, plain } from './golden.ts';

type Entry = { op: keyof typeof INPUT_OP; connection: number } & Record<string, unknown>;
interface Golden {
  input: { hex: string; meaning: { exchange: number; entries: Entry[] } };
  effects: { hex: string; meaning: { entries: unknown[] } & Record<string, unknown> };
}
const { input, effects } = golden<Golden>('exchange.json');

function encode(entry: Entry): Uint8Array | undefined {
  switch (entry.op) {
    case 'frame':
      return bytesOf(entry.hex as string);
    case 'connect':
      return encodeConnect(entry.scopes as number, (entry.tenant as string | null) ?? undefined);
    case 'configure':
      return encodeConfigure(entry as unknown as Configure);
    case 'explain':
      return encodeExplain(entry as unknown as Parameters<typeof encodeExplain>[0]);
    case 'stats':
      return encodeStats(entry.topTenants as number);
    case 'inUse':
      return encodeInUse(entry.kind as EntityKind, entry.name as string);
    case 'eventsTaken':
    case 'usageTaken':
      return encodeTaken(entry.sequence as number);
    case 'diskFull':
      return encodeDiskFull(entry.refuse as boolean);
    default:
      return encodeOnMessages(entry);
  }
}

/** The operations on messages; an id is hex in the file, what is left out is null. */
function encodeOnMessages(entry: Entry): Uint8Array | undefined {
  const fields: unknown = Object.fromEntries(
    Object.entries(entry).map(([name, value]) => {
      if (name === 'id') return [name, bytesOf(value as string)];
      if (name === 'hex') return ['frame', bytesOf(value as string)];
      if (name === 'ids' && value !== null) return [name, (value as string[]).map(bytesOf)];
      return [name, value ?? undefined];
    }),
  );
  switch (entry.op) {
    case 'call':
      return encodeCall(fields as Parameters<typeof encodeCall>[0]);
    case 'find':
      return encodeFind(fields as Parameters<typeof encodeFind>[0]);
    case 'list':
      return encodeList(fields as Parameters<typeof encodeList>[0]);
    case 'cancelAll':
      return encodeCancelAll(fields as Parameters<typeof encodeCancelAll>[0]);
    case 'deadLetters':
      return encodeDeadLetters(fields as Parameters<typeof encodeDeadLetters>[0]);
    case 'replay':
    case 'purge':
      return encodeReplay(fields as Parameters<typeof encodeReplay>[0]);
    case 'redact':
    case 'forget':
      return encodeRedact(fields as Parameters<typeof encodeRedact>[0]);
    case 'erase':
      return encodeErase(fields as Parameters<typeof encodeErase>[0]);
    default:
      return undefined;
  }
}

t.test('an input has the bytes of the golden file', async (t) => {
  const buffer = new InputBuffer(16);
  for (const round of ['first', 'second, in a buffer that came back']) {
    for (const entry of input.meaning.entries) {
      buffer.append(INPUT_OP[entry.op], entry.connection, encode(entry));
    }
    t.equal(buffer.entries, input.meaning.entries.length);
    const size = buffer.bytes;
    const finished = buffer.finish(input.meaning.exchange);
    t.equal(finished.bytes, size);
    t.equal(hexOf(new Uint8Array(finished.buffer, 0, finished.bytes)), input.hex, round);
    t.equal(buffer.entries, 0);
    buffer.reuse(finished.buffer);
  }
  const ops = new Set(input.meaning.entries.map(({ op }) => op));
  // That one is in a file of its own, with all there is of gateways.
  t.same(ops.add('gatewayUp'), new Set(Object.keys(INPUT_OP)), 'every operation is in the file');
});

t.test('an input without entries is its header', async (t) => {
  const { buffer, bytes } = new InputBuffer().finish(1);
  t.equal(hexOf(new Uint8Array(buffer, 0, bytes)), '464c5831000000000100000000000000');
});

t.test('effects mean what the golden file says', async (t) => {
  const reader = new EffectsReader(bytesOf(effects.hex));
  const entries: unknown[] = [];
  while (reader.next()) {
    const { connection } = reader;
    if (reader.op === EFFECT_OP.send) {
      entries.push({ op: 'send', connection, hex: hexOf(reader.entry()) });
    } else if (reader.op === EFFECT_OP.reply) {
      entries.push({ op: 'reply', connection, text: new TextDecoder().decode(reader.entry()) });
    } else if (reader.op === EFFECT_OP.statusEvents) {
      const events = plain(decodeStatusEvents(reader.entry().subarray(8)));
      entries.push({ op: 'statusEvents', connection, sequence: reader.toldSequence(), events });
    } else if (reader.op === EFFECT_OP.usage) {
      const list = hexOf(reader.entry().subarray(8));
      entries.push({ op: 'usage', connection, sequence: reader.toldSequence(), list });
    } else if (reader.op === EFFECT_OP.replyFrame) {
      entries.push({ op: 'replyFrame', connection, hex: hexOf(reader.entry()) });
    } else {
      entries.push({ op: 'close', connection, code: reader.closeCode() });
    }
  }
  const { exchange, bootId, wakeAfterMs } = reader;
  const counters = reader.counters();
  t.same({ exchange, bootId, wakeAfterMs, counters, entries }, effects.meaning);
});

t.test('cut or lengthened effects throw', async (t) => {
  const whole = bytesOf(effects.hex);
  const readAll = (bytes: Uint8Array): void => {
    const reader = new EffectsReader(bytes);
    while (reader.next());
  };
  let taken = 0;
  for (let end = 0; end < whole.length; end += 1) {
    try {
      readAll(whole.subarray(0, end));
      taken += 1;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  t.equal(taken, 0);
  t.throws(() => readAll(Uint8Array.of(...whole, 0)), RangeError);
  t.throws(() => readAll(new Uint8Array(EFFECTS_HEADER_BYTES)), RangeError);
});

t.test('an input of any size keeps every byte', async (t) => {
  const entry = fc.tuple(fc.nat(0xffff_ffff), fc.uint8Array({ maxLength: 300 }));
  const property = fc.property(fc.array(entry), fc.nat(2 ** 40), (entries, exchange) => {
    const builder = new InputBuffer(64);
    for (const [connection, bytes] of entries) builder.append(INPUT_OP.frame, connection, bytes);
    const { buffer, bytes } = builder.finish(exchange);
    const view = new DataView(buffer);
    let at = 16;
    for (const [connection, content] of entries) {
      const end = at + 12 + content.length;
      const same = Buffer.compare(new Uint8Array(buffer, at + 12, content.length), content) === 0;
      if (!same || view.getUint32(at + 4, true) !== connection) return false;
      at = end;
    }
    return at === bytes && view.getBigUint64(8, true) === BigInt(exchange);
  });
  t.doesNotThrow(() => fc.assert(property));
});
