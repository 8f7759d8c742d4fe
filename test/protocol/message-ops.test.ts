// The bytes of the operations on messages, and of `configure` with all fields, as their tables say.
import t from 'tap';
import { type Configure, encodeConfigure } from '../../src/protocol/configure.ts';
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
import { unpack } from '../../src/protocol/msgpack.ts';
import { bytesOf, hexOf, plain } from './golden.ts';

const id = bytesOf('00010203040506070809000102030405');
const idHex = hexOf(id);
const meaning = (bytes: Uint8Array): unknown => plain(unpack(bytes));

t.test('a call is scopes, tenant and frame', async (t) => {
  const frame = bytesOf('93070190');
  t.equal(hexOf(encodeCall({ scopes: 1, tenant: 'acme', frame })), '010461636d6593070190');
  t.equal(hexOf(encodeCall({ scopes: 7, frame })), '070093070190');
  t.throws(() => encodeCall({ scopes: 1, tenant: 'x'.repeat(256), frame }), RangeError);
});

t.test('an absent field is nil', async (t) => {
  t.strictSame(meaning(encodeFind({ id })), [idHex, null, false]);
  t.strictSame(meaning(encodeFind({ id, tenant: 'acme', trace: true })), [idHex, 'acme', true]);
  const list = { statuses: 12, fromMs: 5, toMs: 1_790_000_000_123, cursor: 'c', limit: 10 };
  const rest = [12, 5, 1_790_000_000_123, 'c', 10, false];
  t.strictSame(meaning(encodeList(list)), [null, null, ...rest]);
  t.strictSame(meaning(encodeList({ ...list, destination: 'd', tenant: 't' })), [
    'd',
    't',
    ...rest,
  ]);
  t.strictSame(meaning(encodeCancelAll({ tenant: 't' })), [null, 't', null]);
  t.strictSame(meaning(encodeCancelAll({ destination: 'd', tenant: 't', sender: 's' })), [
    'd',
    't',
    's',
  ]);
  t.strictSame(meaning(encodeDeadLetters({ destination: 'd', cursor: '', limit: 1 })), [
    'd',
    null,
    '',
    1,
  ]);
  t.strictSame(meaning(encodeReplay({ ids: [id, id] })), [null, null, [idHex, idHex]]);
  t.strictSame(meaning(encodeReplay({ destination: 'd' })), ['d', null, null]);
  t.strictSame(meaning(encodeRedact({ id })), [idHex, null]);
  t.strictSame(meaning(encodeErase({ tenant: 't', cursor: '' })), ['t', '']);
});

const quota = { ratePerSec: 12.5, burst: 3, inFlightMax: null };
const changes: readonly [Configure, unknown][] = [
  [
    {
      kind: 'destination',
      name: 'd',
      fields: {
        ...quota,
        leaseMs: 500,
        attemptsMax: 2,
        onDoubt: 'fail',
        fairBy: 'time',
        paused: true,
        retryBaseMs: 10,
        retryMaxMs: 20,
        retryJitter: 0.5,
        validityMs: 30,
        refuseNew: true,
        admission: 'shadow',
      },
    },
    [1, 'd', [12.5, 3, null, 500, 2, 1, 2, true, 10, 20, 0.5, 30, true, 1]],
  ],
  [
    {
      kind: 'set',
      name: 's',
      fields: {
        ...quota,
        weight: 7,
        order: 'strict',
        borrowMax: 0.25,
        paused: false,
        refuseNew: true,
        policy: 'shuffle',
        slots: 32,
        hand: 2,
      },
    },
    [2, 's', [7, 12.5, 3, null, 1, 0.25, false, true, 1, 32, 2]],
  ],
  [
    {
      kind: 'tenant',
      name: 't',
      fields: {
        ...quota,
        set: 's',
        weight: 7,
        paused: false,
        refuseNew: true,
        levelFloors: [0, 0.1],
        waitingMax: 5,
        waitingBytesMax: null,
      },
    },
    [3, 't', ['s', 7, 12.5, 3, null, false, true, [0, 0.1], 5, null]],
  ],
  [
    {
      kind: 'sender',
      name: 't/s',
      fields: { ...quota, pool: 'p', paused: true, refuseNew: false },
    },
    [4, 't/s', [12.5, 3, null, 'p', true, false]],
  ],
  [{ kind: 'pool', name: 'p', fields: { ratePerSec: null, burst: 9 } }, [5, 'p', [null, 9]]],
  [{ kind: 'sender', name: 't/s', fields: null }, [4, 't/s', null]],
];

for (const [change, expected] of changes) {
  t.test(`configure of a ${change.kind}${change.fields === null ? ' deletes' : ''}`, async (t) => {
    t.strictSame(meaning(encodeConfigure(change)), expected);
  });
}
