// What the gate is told and asked, and how it counts, byte for byte as docs/exchange.md has it.
import t from 'tap';
import { COUNTER_NAMES, EFFECTS_HEADER_BYTES, EffectsReader } from '../../src/protocol/exchange.ts';
import {
  encodeGateConfigure,
  encodeGateExplain,
  encodeGateInUse,
  encodeGateList,
  encodeGateTop,
  GATE_COUNTER_NAMES,
  readEntered,
} from '../../src/protocol/gate-exchange.ts';
import { pack, unpack } from '../../src/protocol/msgpack.ts';

t.test('configure has its fields in order', async (t) => {
  const waits = { mode: 'delay', waitersMax: 5, waitMs: 60, ratePerSec: 2.5 } as const;
  const resource = { limit: 9, tenantLimit: null, ...waits, leaseMs: 7_000, adaptive: null };
  t.strictSame(unpack(encodeGateConfigure({ kind: 'resource', name: 'r', fields: resource })), [
    12,
    'r',
    [9, null, 2, 5, 60, 2.5, 7_000, null],
  ]);
  const adaptive = { min: 1, max: 4, tolerance: 2 };
  t.strictSame(
    unpack(encodeGateConfigure({ kind: 'resource', name: 'r', fields: { ...resource, adaptive } })),
    [12, 'r', [9, null, 2, 5, 60, 2.5, 7_000, [1, 4, 2]]],
  );
  const policy = { limit: 3, floor: 1, weight: 8, ...waits, mode: 'reject' } as const;
  t.strictSame(unpack(encodeGateConfigure({ kind: 'policy', name: 'r/a', fields: policy })), [
    13,
    'r/a',
    [3, 1, 8, 0, 5, 60, 2.5],
  ]);
  const tenant = { concurrencyMax: null, weight: 100 };
  t.strictSame(unpack(encodeGateConfigure({ kind: 'tenant', name: 'a', fields: tenant })), [
    3,
    'a',
    [null, 100],
  ]);
  for (const [kind, number] of [
    ['tenant', 3],
    ['resource', 12],
    ['policy', 13],
  ] as const) {
    const gone = encodeGateConfigure({ kind, name: 'x', fields: null });
    t.strictSame(unpack(gone), [number, 'x', null]);
  }
});

t.test('questions', async (t) => {
  const page = { resource: undefined, tenant: '', cursor: '', limit: 10 };
  t.strictSame(unpack(encodeGateList(page)), [null, '', '', 10], 'the platform is a tenant too');
  const more = { resource: 'r', tenant: undefined, cursor: 'c', limit: 1 };
  t.strictSame(unpack(encodeGateList(more)), ['r', null, 'c', 1]);
  t.strictSame(unpack(encodeGateExplain('r', 'a')), ['r', 'a']);
  t.strictSame(unpack(encodeGateTop('used', 5)), ['used', 5]);
  t.strictSame(unpack(encodeGateInUse('r')), [12, 'r']);
});

t.test('the counters fill the header', async (t) => {
  t.equal(GATE_COUNTER_NAMES.length, COUNTER_NAMES.length);
  t.equal(new Set(GATE_COUNTER_NAMES).size, GATE_COUNTER_NAMES.length);
  const header = new Uint8Array(EFFECTS_HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(0, 0x31464c46, true);
  GATE_COUNTER_NAMES.forEach((_, at) => {
    view.setBigUint64(24 + 8 * at, BigInt(1_000 + at), true);
  });
  const counters = new EffectsReader(header).countersOf(GATE_COUNTER_NAMES);
  t.match(counters, { granted: 1_000, impeded: undefined, waiting: 1_017, gone: 1_027 });
});

t.test('the end of a wait', async (t) => {
  const large = 2 ** 40;
  t.strictSame(readEntered(pack([large, 0, 0])), { permit: large, code: 0, retryAfterMs: 0 });
  const refused = { permit: undefined, code: 4007, retryAfterMs: 80 };
  t.strictSame(readEntered(pack([null, 4007, 80])), refused);
});
