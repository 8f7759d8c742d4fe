// What answers of gateways and hooks mean, and what inbound frames may look like: pure parts, any input.
import fc from 'fast-check';
import t from 'tap';
import { decisionsOf } from '../../src/gateway/hook-answer.ts';
import { meaningOf, retryAfterOf } from '../../src/gateway/webhook-answer.ts';
import { decodeInbound, encodeInbound } from '../../src/protocol/inbound-frame.ts';

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const answer = (status: number, body: unknown = '', headers = {}) => {
  return { status, headers, body: body === '' ? new Uint8Array() : json(body) };
};

t.test('statuses', async (t) => {
  const kinds = (status: number): string => {
    const { results, works } = meaningOf(answer(status), 1, 0);
    return `${results[0]?.kind} ${works}`;
  };
  for (const status of [200, 201, 202, 204, 299]) t.equal(kinds(status), 'sent true');
  for (const status of [300, 301, 304, 400, 401, 404, 410, 422]) {
    t.equal(kinds(status), 'failed true');
  }
  for (const status of [500, 502, 504, 599, 408]) t.equal(kinds(status), 'retry false');
  t.equal(kinds(429), 'throttled true');
  t.equal(kinds(503), 'throttled undefined');
});

t.test('when to come again', async (t) => {
  t.equal(retryAfterOf('7', 0), 7_000);
  t.equal(retryAfterOf(' 0 ', 0), 0);
  t.equal(retryAfterOf('Thu, 01 Jan 1970 00:01:00 GMT', 20_000), 40_000);
  t.equal(retryAfterOf('Thu, 01 Jan 1970 00:01:00 GMT', 90_000), 0, 'it is over');
  for (const nothing of [undefined, '', 'soon', '-1', '1e9', []]) {
    t.equal(retryAfterOf(nothing, 0), 1_000);
  }
  t.equal(retryAfterOf(['3', '9'], 0), 3_000);
  t.equal(retryAfterOf('999999999', 0), 86_400_000);
});

t.test('bodies of answers', async (t) => {
  const of = (body: unknown, count = 1) => meaningOf(answer(200, body), count, 0).results;
  t.strictSame(of({ id: 'a' }), [{ kind: 'sent', ids: ['a'] }]);
  t.strictSame(of({ id: 17 }), [{ kind: 'sent', ids: ['17'] }]);
  t.strictSame(of({ results: [{ id: 'a' }, { outcome: 'failed', code: 5 }] }, 3), [
    { kind: 'sent', ids: ['a'] },
    { kind: 'failed', code: 5 },
    { kind: 'sent' },
  ]);
  t.match(of({ outcome: 'throttled' }), [{ kind: 'throttled', retryAfterMs: 1_000 }]);
  t.match(of({ outcome: 'retry', retryAfterMs: 1.2 }), [{ kind: 'retry', retryAfterMs: 2 }]);
  t.match(of({ outcome: 'notAttempted' }), [{ kind: 'notAttempted' }]);
  t.strictSame(of({ id: 'a' }, 2), [{ kind: 'sent' }, { kind: 'sent' }], 'whose would it be?');
  for (const odd of [null, [], 'x', 5, { id: '' }, { id: 'x'.repeat(256) }, { outcome: 'odd' }]) {
    t.strictSame(of(odd), [{ kind: 'sent' }]);
  }
});

t.test('no answer makes it throw, and every message has a result', async (t) => {
  const status = fc.integer({ min: 200, max: 599 });
  const body = fc.oneof(
    fc.uint8Array(),
    fc.json().map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(status, body, fc.integer({ min: 1, max: 100 }), (code, bytes, count) => {
      const headers = { 'retry-after': Buffer.from(bytes).toString('latin1') };
      const { results } = meaningOf({ status: code, headers, body: bytes }, count, 0);
      const decisions = decisionsOf(bytes, count);
      return results.length === count && (decisions?.length ?? count) === count;
    }),
  );
  t.pass();
});

t.test('decisions of hooks', async (t) => {
  const of = (...results: unknown[]) => decisionsOf(json({ results }), results.length);
  t.strictSame(of({ action: 'allow' }, { action: 'refuse' }, { action: 'refuse', code: 7 }), [
    { action: 'allow' },
    { action: 'refuse', code: undefined },
    { action: 'refuse', code: 7 },
  ]);
  t.match(of({ action: 'rewrite', payloadBase64: 'AAE=', recipient: '+1' }), [
    { action: 'rewrite', to: { payload: Buffer.from([0, 1]), recipient: '+1' } },
  ]);
  const unreadable = [
    { action: 'other' },
    {},
    null,
    { action: 'rewrite', sender: 'a b' },
    { action: 'rewrite', payload: 5 },
    { action: 'rewrite', payload: 'x'.repeat(65_537) },
    { action: 'rewrite', payloadBase64: '*' },
  ];
  t.ok(of(...unreadable)?.every((decision) => decision === undefined));
  t.equal(decisionsOf(json({ results: [] }), 1), undefined);
  t.equal(decisionsOf(json([]), 1), undefined);
});

const bounds = { entries: 3, nameBytes: 10, payloadBytes: 20, keyBytes: 5 };

t.test('inbound frames', async (t) => {
  const message = { from: 'a', to: '+1', payload: Buffer.from('hé'), atMs: 2 ** 41, eventKey: 'k' };
  const whole = encodeInbound({ id: 9, messages: [message, { ...message, eventKey: undefined }] });
  const decoded = decodeInbound(whole, bounds);
  t.match(decoded, [
    { from: 'a', to: '+1', atMs: 2 ** 41, eventKey: 'k' },
    { from: 'a', eventKey: undefined },
  ]);
  const error = (changes: object): unknown => {
    const [entry] = [{ ...message, ...changes }];
    const frame = encodeInbound({ id: 9, messages: [entry] });
    return (decodeInbound(frame, bounds) as { error?: string }).error;
  };
  t.equal(error({ from: '' }), 'invalidValue');
  t.equal(error({ to: 'x'.repeat(11) }), 'invalidValue');
  t.equal(error({ payload: Buffer.alloc(21) }), 'invalidValue');
  t.equal(error({ atMs: -1 }), 'invalidValue');
  t.equal(error({ eventKey: '123456' }), 'invalidValue');
  const many = encodeInbound({ id: 9, messages: Array(4).fill(message) });
  t.match(decodeInbound(many, bounds), { error: 'tooManyMessages' });
  for (let length = 0; length < whole.length; length += 1) {
    t.ok('error' in decodeInbound(whole.subarray(0, length), bounds), `cut at ${length}`);
  }
  t.ok('error' in decodeInbound(Buffer.concat([whole, Buffer.from([0])]), bounds));
});

t.test('no bytes make the reader of inbound frames throw or take more than there is', async (t) => {
  const message = { from: 'a', to: '+1', payload: Buffer.from('x'), atMs: 5, eventKey: 'k' };
  const whole = encodeInbound({ id: 9, messages: [message, message] });
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.uint8Array(), (at, byte, tail) => {
      const bytes = Uint8Array.from([...whole, ...tail]);
      bytes[at] = byte;
      const decoded = decodeInbound(bytes, bounds);
      return 'error' in decoded || decoded.length <= bounds.entries;
    }),
    { numRuns: 5_000 },
  );
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const decoded = decodeInbound(Uint8Array.from([0x93, 8, 1, ...bytes]), bounds);
      return 'error' in decoded || decoded.length <= bounds.entries;
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});
