// Cancel, status and receipt: what shares a frame, and what the answers become.
import t from 'tap';
import { FairleadClientError, type Receipt } from '../../src/client/index.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { FakeDaemon } from './fake-daemon.ts';

/** A message id in that shard, as 32 digits. */
const id = (shard: number, index: number): string =>
  `${shard.toString(16).padStart(4, '0')}${'07'.repeat(12)}${index.toString(16).padStart(4, '0')}`;
const bytes = (text: string): Buffer => Buffer.from(text, 'hex');

async function refusal(promise: Promise<unknown>): Promise<FairleadClientError> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof FairleadClientError) return error;
  throw new Error('it was not refused');
}

t.test('cancel: a frame for each shard; refusals name their id', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const ids = [id(0, 1), id(1, 2), id(0, 3), id(1, 4).toUpperCase(), id(0, 5)];
  const promise = client.cancel(ids);
  const first = await daemon.frame(KIND.cancel);
  t.strictSame(first.fields, [[bytes(id(0, 1)), bytes(id(0, 3)), bytes(id(0, 5))]]);
  first.link.ok(first.id, 1, [
    [1, 3020],
    [2, 3021],
  ]);
  const second = await daemon.frame(KIND.cancel);
  t.strictSame(second.fields, [[bytes(id(1, 2)), bytes(id(1, 4))]]);
  second.link.ok(second.id, 1, [[0, 3019]]);
  const { cancelled, refused } = await promise;
  t.equal(cancelled, 2);
  t.strictSame(
    refused.map(({ id, error }) => [id, error.error, error.retryable]),
    [
      [id(1, 2), 'messageNotFound', false],
      [id(0, 3), 'messageEnded', false],
      [id(0, 5), 'messageInFlight', true],
    ],
  );
});

t.test('status: entries by position, undefined for what is not known', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const promise = client.status([id(2, 1), id(3, 1), id(2, 2), id(2, 3)]);
  const first = await daemon.frame(KIND.status);
  first.link.ok(first.id, [[3, 1, 1000, 5000, null, null], null, [8, 16, 1000, null, 9000, 3024]]);
  const second = await daemon.frame(KIND.status);
  second.link.ok(second.id, [[99, 0, 7, null, null, null]]);
  const none = { attempts: 0, dueMs: undefined, endedMs: undefined, code: undefined };
  t.strictSame(await promise, [
    { ...none, status: 'queued', attempts: 1, acceptedMs: 1000, dueMs: 5000 },
    { ...none, status: 'unknown', acceptedMs: 7 },
    undefined,
    { ...none, status: 'failed', attempts: 16, acceptedMs: 1000, endedMs: 9000, code: 3024 },
  ]);
});

t.test('every status has its name', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const numbers = [2, 3, 4, 5, 6, 7, 8, 9, 10];
  const promise = client.status(numbers.map((number) => id(0, number)));
  const frame = await daemon.frame(KIND.status);
  frame.link.ok(
    frame.id,
    numbers.map((number) => [number, 0, 1, null, null, null]),
  );
  t.strictSame(
    (await promise).map((entry) => entry?.status),
    [
      'scheduled',
      'queued',
      'sending',
      'sent',
      'delivered',
      'undelivered',
      'failed',
      'expired',
      'cancelled',
    ],
  );
});

t.test('receipts: statuses as numbers, sums over all frames', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const promise = client.receipt([
    { id: id(0, 1), status: 'delivered' },
    { id: id(1, 1), status: 'undelivered', code: 21 },
    { id: id(0, 2), status: 'failed', code: 0 },
  ]);
  const first = await daemon.frame(KIND.receipt);
  t.strictSame(first.fields, [
    [
      [bytes(id(0, 1)), 6],
      [bytes(id(0, 2)), 8, 0],
    ],
  ]);
  first.link.ok(first.id, 1, 1);
  const second = await daemon.frame(KIND.receipt);
  t.strictSame(second.fields, [[[bytes(id(1, 1)), 7, 21]]]);
  second.link.ok(second.id, 1, 0);
  t.strictSame(await promise, { applied: 2, unknown: 1 });
});

t.test('more ids than a frame may hold go in several, one after another', async (t) => {
  const daemon = await FakeDaemon.start(t, (link) => link.hello({ idsPerFrame: 2 }));
  const client = daemon.client(t);
  const promise = client.status([1, 2, 3, 4, 5].map((index) => id(0, index)));
  for (const expected of [[1, 2], [3, 4], [5]]) {
    const frame = await daemon.frame(KIND.status);
    t.strictSame(frame.fields, [expected.map((index) => bytes(id(0, index)))]);
    t.equal(daemon.count(KIND.status), 0);
    frame.link.ok(
      frame.id,
      expected.map((index) => [5, index, 1, null, null, null]),
    );
  }
  t.strictSame(
    (await promise).map((entry) => entry?.attempts),
    [1, 2, 3, 4, 5],
  );
});

t.test('nothing is asked for no id', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  t.strictSame(await client.cancel([]), { cancelled: 0, refused: [] });
  t.strictSame(await client.status([]), []);
  t.strictSame(await client.receipt([]), { applied: 0, unknown: 0 });
});

t.test('what is no id or no receipt is refused before anything is sent', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  await client.whenConnected();
  const sent = { id: id(0, 1), status: 'sent' } as unknown as Receipt;
  for (const promise of [
    client.cancel([id(0, 1), 'x']),
    client.status([id(0, 1).slice(1)]),
    client.status([5 as unknown as string]),
    client.receipt([sent]),
  ]) {
    t.match(await refusal(promise), { error: 'invalidValue', code: 1015 });
  }
  t.equal(daemon.count(KIND.cancel) + daemon.count(KIND.status) + daemon.count(KIND.receipt), 0);
});

t.test('refusals and lost connections are the error of the call', async (t) => {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t);
  const refused = client.receipt([{ id: id(0, 1), status: 'delivered' }]);
  const frame = await daemon.frame(KIND.receipt);
  frame.link.error(frame.id, 2004, 'no scope');
  t.match(await refusal(refused), { error: 'scopeMissing', message: 'no scope' });
  const lost = client.cancel([id(0, 1)]);
  (await daemon.frame(KIND.cancel)).link.socket.terminate();
  t.match(await refusal(lost), { error: 'connectionLost', retryable: true });
  // Asked while no connection is open: it waits for the next one.
  const later = client.status([id(0, 1)]);
  const next = await daemon.frame(KIND.status);
  next.link.ok(next.id, [null]);
  t.strictSame(await later, [undefined]);
  const bad = client.status([id(0, 1)]);
  const unreadable = await daemon.frame(KIND.status);
  unreadable.link.ok(unreadable.id, 'no list');
  t.match(await refusal(bad), { error: 'badFrame' });
  await client.close();
  t.match(await refusal(client.cancel([id(0, 1)])), { error: 'clientClosed' });
});
