// The pool's mechanics with a worker that misbehaves on purpose.
import t from 'tap';
import { FairleadError } from '../../src/errors.ts';
import { LIMITS } from '../../src/limits.ts';
import { INPUT_OP } from '../../src/protocol/exchange.ts';
import { type Opened, openPool } from '../support/shard-harness.ts';

const workerUrl = new URL('../support/fake-shard-worker.ts', import.meta.url);
const nothing = new Uint8Array(0);

function open(t: { testdir(): string }, behaviour: string, more: object = {}): Promise<Opened> {
  const configuration = () => new TextEncoder().encode(behaviour);
  return openPool(t.testdir(), { workerUrl, configuration, ...more });
}

const port = ({ pool }: Opened) => pool.ports[0] as NonNullable<(typeof pool.ports)[0]>;
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** The fake worker answers exchange n as request n, so each request has its own exchange. */
async function requests(opened: Opened, count: number): Promise<Promise<string>[]> {
  const answers: Promise<string>[] = [];
  for (let at = 0; at < count; at += 1) {
    answers.push(port(opened).request(INPUT_OP.stats, nothing));
    await nextTurn();
  }
  return answers;
}

async function fatalOf(opened: Opened): Promise<Error[]> {
  for (let wait = 0; wait < 500 && opened.fatal.length === 0; wait += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return opened.fatal;
}

t.test('effects leave in the order of exchanges, whatever the order of results', async (t) => {
  const opened = await open(t, 'reverse');
  const order: string[] = [];
  const answers = await requests(opened, 2);
  await Promise.all(
    answers.map(async (answer) => {
      order.push(await answer);
    }),
  );
  t.strictSame(order, ['{"exchange":1}', '{"exchange":2}']);
  t.equal(port(opened).counters.accepted, 2, 'counters are the newest');
  t.equal(port(opened).flushes.snapshot().count, 2);
  await opened.pool.close();
  t.strictSame(opened.fatal, []);
});

t.test('buffers that come back are used again, and a larger one is kept', async (t) => {
  const opened = await open(t, 'large');
  for (let round = 0; round < 5; round += 1) await Promise.all(await requests(opened, 1));
  t.equal(port(opened).exchanges, 5);
  await opened.pool.close();
});

t.test('calls are refused while too much waits', async (t) => {
  const opened = await open(t, 'frame');
  const body = new Uint8Array(LIMITS.frameBytes);
  const most = Math.floor(LIMITS.inputBytes / (body.length + 12));
  const taken = Array.from({ length: most }, () => port(opened).call(INPUT_OP.call, body));
  const refusal = new FairleadError('overloaded', 'The shard has too much unread input.', {
    retryAfterMs: 200,
  });
  await t.rejects(port(opened).call(INPUT_OP.call, body), refusal);
  await Promise.all(taken);
  await port(opened).call(INPUT_OP.call, body);
  await opened.pool.close();
  t.strictSame(opened.fatal, []);
});

t.test('a call is answered with the bytes of a frame, a request with text', async (t) => {
  const opened = await open(t, 'frame');
  const frame = await port(opened).call(INPUT_OP.call, nothing);
  t.equal(new TextDecoder().decode(frame), '{"exchange":1}');
  const asked = port(opened).request(INPUT_OP.stats, nothing);
  await t.rejects(asked, /The daemon is ending/);
  t.match(await fatalOf(opened), [/request 2 is answered by op 4/]);
  await t.rejects(port(opened).call(INPUT_OP.call, nothing), /The daemon is ending/);
  await opened.pool.close();
});

for (const [behaviour, message] of [
  ['boot', /a result of start/],
  ['exit', /worker thread ended|Worker stopped|terminat/i],
  ['throw', /the worker failed/],
] as const) {
  t.test(`a worker that does "${behaviour}" is fatal, once`, async (t) => {
    const opened = await open(t, behaviour);
    const [answer] = await requests(opened, 1);
    await t.rejects(answer as Promise<string>, /daemon is ending/);
    const fatal = await fatalOf(opened);
    t.equal(fatal.length, 1);
    t.match(String(fatal[0]), message);
    t.equal(port(opened).frame(1, nothing), false, 'no input is taken any more');
    await opened.pool.close();
  });
}

t.test('an exchange that is not stored in time is fatal', async (t) => {
  const opened = await open(t, 'never', { flushTimeoutMs: 50 });
  const keep = setInterval(() => {}, 1_000);
  const [answer] = await requests(opened, 1);
  await t.rejects(answer as Promise<string>, /daemon is ending/);
  t.match(String((await fatalOf(opened))[0]), /not stored within 50 ms/);
  clearInterval(keep);
  await opened.pool.close();
});

t.test('another copy of the native library is refused at start', async (t) => {
  await t.rejects(open(t, 'instance'), /another copy of the native library/);
});

t.test('after close nothing is taken and requests are told so', async (t) => {
  const opened = await open(t, '');
  await Promise.all(await requests(opened, 1));
  const closed = opened.pool.close();
  await t.rejects(port(opened).request(INPUT_OP.stats, nothing), /daemon is ending/);
  t.equal(port(opened).frame(1, nothing), false);
  await closed;
  t.strictSame(opened.fatal, []);
});

t.test('input beyond its bound is refused, what was taken is answered', async (t) => {
  const opened = await open(t, 'never');
  const frame = new Uint8Array(1024 * 1024);
  let taken = 0;
  while (port(opened).frame(1, frame)) taken += 1;
  t.equal(taken, 31);
  t.ok(port(opened).inputBytes <= 32 * 1024 * 1024);
  opened.pool.ports[0]?.fail(new Error('end of test'));
  await opened.pool.close();
});
