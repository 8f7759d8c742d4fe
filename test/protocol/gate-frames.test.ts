// The frames of permits against the golden file, which the native core reads too.
import fc from 'fast-check';
import t from 'tap';
import { type DaemonFrame, decodeDaemonFrame } from '../../src/protocol/daemon-frames.ts';
import {
  type AcquireEntry,
  type AcquireOptions,
  encodeAcquire,
  encodeRelease,
  encodeRenew,
  readAcquireOk,
  readPermitEvent,
  readReleaseOk,
  readRenewOk,
  resourcesOf,
} from '../../src/protocol/gate-frames.ts';
import { BadFrameError } from '../../src/protocol/read-fields.ts';
import { bytesOf, golden, hexOf, plain } from './golden.ts';

interface Item {
  resource: string;
  tenant: string | null;
  seats: number;
  leaseMs: number | null;
  waitMs: number | null;
  mode: 0 | 1 | 2 | null;
}
type Meaning =
  | { kind: 'acquire'; id: number; entries: Item[] }
  | { kind: 'release'; id: number; permits: (string | number)[]; failed: number[] }
  | { kind: 'renew'; id: number; permits: string[]; leaseMs: number; flags: number }
  | { kind: 'error' };
interface Golden {
  client: { name: string; hex: string; encoded: boolean; meaning: Meaning }[];
  daemon: { name: string; hex: string; meaning: { kind: string } & Record<string, unknown> }[];
}
const { client, daemon } = golden<Golden>('gate-frames.json');

function entryOf({ resource, tenant, seats, leaseMs, waitMs, mode }: Item): AcquireEntry {
  const options: AcquireOptions = {
    ...(seats !== 1 && { weight: seats }),
    ...(leaseMs !== null && { leaseMs }),
    ...(waitMs !== null && { waitMs }),
    ...(mode !== null && { mode }),
  };
  const isPlain = Object.keys(options).length === 0;
  return { resource, tenant: tenant ?? undefined, options: isPlain ? undefined : options };
}

function encode(meaning: Meaning): Uint8Array {
  switch (meaning.kind) {
    case 'acquire':
      return encodeAcquire({ id: meaning.id, entries: meaning.entries.map(entryOf) });
    case 'release': {
      const { id, permits, failed } = meaning;
      const bytes = permits.map((each) => (typeof each === 'string' ? bytesOf(each) : each));
      return encodeRelease({ id, permits: bytes, failed });
    }
    case 'renew':
      return encodeRenew({ ...meaning, permits: meaning.permits.map(bytesOf) });
    case 'error':
      throw new Error('nobody encodes a fault');
  }
}

function meaningOf(frame: DaemonFrame, kind: string): unknown {
  if (frame.kind === 'event') return { kind, news: readPermitEvent(frame) };
  if (frame.kind !== 'ok') throw new Error(`a ${frame.kind}`);
  const { id } = frame;
  if (kind === 'acquireOk') return { kind, id, answers: readAcquireOk(frame) };
  if (kind === 'releaseOk') return { kind, id, ...readReleaseOk(frame) };
  return { kind, id, leasesMs: readRenewOk(frame) };
}

t.test('frames of clients have the bytes of the golden file', async (t) => {
  for (const { name, hex, meaning } of client.filter(({ encoded }) => encoded)) {
    t.equal(hexOf(encode(meaning)), hex, name);
  }
});

t.test('answers and events mean what the golden file says', async (t) => {
  for (const { name, hex, meaning } of daemon) {
    t.same(plain(meaningOf(decodeDaemonFrame(bytesOf(hex)), meaning.kind)), meaning, name);
  }
});

t.test('an answer with a field of another type is refused', async (t) => {
  const read = (hex: string, kind: string) => () =>
    meaningOf(decodeDaemonFrame(bytesOf(hex)), kind);
  // A permit of 1 byte, a code that is text, an entry that is none.
  t.throws(read('934001919 4c401aa01 01 05'.replaceAll(' ', ''), 'acquireOk'), BadFrameError);
  t.throws(read('93400191 96c0a178 c0 00 c0 c0'.replaceAll(' ', ''), 'acquireOk'), BadFrameError);
  t.throws(read('93400191c0', 'acquireOk'), BadFrameError);
  t.throws(read('934001a178', 'renewOk'), BadFrameError);
});

t.test('the resources that an acquire names are found in any golden frame', async (t) => {
  const bounds = { entries: 1000, nameBytes: 128 };
  for (const { name, hex, meaning } of client) {
    const found = resourcesOf(bytesOf(hex), bounds);
    if (meaning.kind === 'acquire') {
      t.same(
        [...(found ?? [])],
        [...new Set(meaning.entries.map(({ resource }) => resource))],
        name,
      );
    } else if (meaning.kind !== 'error') {
      t.equal(found, undefined, name);
    }
  }
});

t.test('arbitrary bytes name resources or none', async (t) => {
  const bounds = { entries: 1000, nameBytes: 128 };
  const property = fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
    const framed = Uint8Array.of(0x93, 10, 1, ...bytes);
    return (resourcesOf(framed, bounds)?.size ?? 0) <= bytes.length;
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2000 }));
});
