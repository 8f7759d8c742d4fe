// Requests of the REST interface as they are counted, against a counter that the test plays.
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import t from 'tap';
import { FairleadError } from '../../src/errors.ts';
import type { Turnstile } from '../../src/ingress/turnstile.ts';
import { auth, startIngress, until } from './harness.ts';

type End = ReturnType<Turnstile['enter']>;
type Later = Parameters<Turnstile['enter']>[1];

/** Answers as the test says, and writes down what it is told. */
class FakeTurnstile implements Turnstile {
  readonly told: string[] = [];
  answer: (tenant: string, waited: Later) => End = () => this.passed();

  enter(tenant: string, waited: Later): End {
    this.told.push(`enter ${tenant}`);
    return this.answer(tenant, waited);
  }

  passed(): Extract<End, { kind: 'passed' }> {
    const leave = (ok?: boolean): void => {
      this.told.push(`leave ${ok}`);
    };
    return { kind: 'passed', used: 3, limit: 5, leave };
  }

  impeded(code: number): Extract<End, { kind: 'impeded' }> {
    return { kind: 'impeded', code, used: 5, limit: 5, retryAfterMs: 1_500, estimateMs: 900 };
  }

  waiting(): Extract<End, { kind: 'waiting' }> {
    const giveUp = (): void => {
      this.told.push('giveUp');
    };
    return { kind: 'waiting', used: 5, limit: 5, giveUp };
  }
}

const start = async (t: Parameters<typeof startIngress>[0]) => {
  const turnstile = new FakeTurnstile();
  const handled: string[] = [];
  const { origin } = await startIngress(t, {
    turnstile,
    routes: [
      {
        method: 'GET',
        path: '/v1/thing/:what',
        scope: 'publish',
        handler: ({ params: { what = '' } }) => {
          handled.push(what);
          if (what === 'bug') throw new Error('a bug');
          if (what === 'missing') throw new FairleadError('entityNotFound');
          return { status: 200, body: { what } };
        },
      },
      {
        method: 'GET',
        path: '/v1/control',
        scope: 'platform',
        control: true,
        handler: () => ({ status: 200, body: {} }),
      },
      {
        body: 'form',
        method: 'POST',
        path: '/form/:account',
        scope: 'basic',
        handler: async ({ params: { account = '' }, enter }) => {
          await enter(account);
          return { status: 200, body: { account } };
        },
      },
    ],
  });
  const token = await auth.issueToken({ tenant: 'acme', scope: 'publish', ttlSec: 60 });
  const headers = { authorization: `Bearer ${token}` };
  const get = (what: string) => fetch(`http://${origin}/v1/thing/${what}`, { headers });
  return { turnstile, handled, origin, get, token };
};

t.test('each request is counted up and down once, whatever becomes of it', async (t) => {
  const { turnstile, get, origin } = await start(t);
  const good = await get('good');
  t.equal(good.status, 200);
  t.equal(good.headers.get('concurrent-requests'), '3');
  t.equal(good.headers.get('concurrent-requests-limit'), '5');
  t.equal(good.headers.get('concurrent-requests-remaining'), '2');
  t.equal((await get('missing')).status, 404);
  t.equal((await get('bug')).status, 500);
  t.strictSame(turnstile.told, [
    ...['enter acme', 'leave true', 'enter acme', 'leave undefined', 'enter acme', 'leave false'],
  ]);
  t.equal((await fetch(`http://${origin}/livez`)).status, 200);
  t.equal((await fetch(`http://${origin}/v1/thing/x`)).status, 401);
  t.equal((await fetch(`http://${origin}/v1/nothing`)).status, 404);
  t.equal(turnstile.told.length, 6, 'health and strangers are not counted');
});

t.test('past the limit a request is refused and its handler does not run', async (t) => {
  const { turnstile, handled, get } = await start(t);
  for (const code of [4002, 4003, 4004, 4007]) {
    turnstile.answer = () => turnstile.impeded(code);
    const answer = await get('good');
    t.equal(answer.status, 429);
    t.equal(answer.headers.get('retry-after'), '2');
    t.equal(answer.headers.get('concurrent-requests'), '5');
    t.equal(answer.headers.get('concurrent-requests-limit'), '5');
    t.equal(answer.headers.get('concurrent-requests-remaining'), '0');
    const details = { used: 5, limit: 5, retryAfterMs: 1_500, estimateMs: 900 };
    t.match(await answer.json(), { code, status: 429, details });
  }
  t.strictSame(handled, []);
  t.notOk(turnstile.told.includes('leave true'));
});

t.test('a gate that is full or shut does not keep the operator out', async (t) => {
  const { turnstile, get } = await start(t);
  for (const code of [4001, 4006, 4008, 4009]) {
    turnstile.answer = () => turnstile.impeded(code);
    const answer = await get('good');
    t.equal(answer.status, 200, `${code}`);
    t.equal(answer.headers.get('concurrent-requests'), null);
  }
  t.notOk(turnstile.told.some((each) => each.startsWith('leave')));
});

t.test('what sets limits is counted, and served also where they leave no room', async (t) => {
  const { turnstile, origin } = await start(t);
  const token = await auth.issueToken({ scope: 'platform', ttlSec: 60 });
  const get = () =>
    fetch(`http://${origin}/v1/control`, { headers: { authorization: `Bearer ${token}` } });
  t.equal((await get()).headers.get('concurrent-requests'), '3');
  turnstile.answer = () => turnstile.impeded(4002);
  const answer = await get();
  t.equal(answer.status, 200);
  t.equal(answer.headers.get('concurrent-requests'), null);
  turnstile.answer = () => turnstile.waiting();
  t.equal((await get()).status, 200);
  t.strictSame(turnstile.told, ['enter ', 'leave true', 'enter ', 'enter ', 'giveUp']);
});

t.test('a request may wait, and then passes or is refused', async (t) => {
  const { turnstile, get, handled } = await start(t);
  const waits: Later[] = [];
  turnstile.answer = (_, waited) => {
    waits.push(waited);
    return turnstile.waiting();
  };
  const [first, second] = [get('first'), get('second')];
  await until(() => waits.length === 2);
  t.strictSame(handled, []);
  waits[0]?.(turnstile.passed());
  waits[1]?.(turnstile.impeded(4007));
  const statuses = [(await first).status, (await second).status].sort();
  t.strictSame(statuses, [200, 429]);
  t.equal(turnstile.told.filter((each) => each.startsWith('leave')).length, 1);
});

t.test('who goes away while waiting gives up', async (t) => {
  const { turnstile, origin, token, handled } = await start(t);
  const waits: Later[] = [];
  turnstile.answer = (_, waited) => {
    waits.push(waited);
    return turnstile.waiting();
  };
  const [host = '', port] = origin.split(':');
  const socket = connectTcp(Number(port), host);
  await once(socket, 'connect');
  socket.write(`GET /v1/thing/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await until(() => waits.length === 1);
  socket.destroy();
  await until(() => turnstile.told.includes('giveUp'));
  t.strictSame(turnstile.told, ['enter acme', 'giveUp']);
  t.strictSame(handled, []);
});

t.test('a form counts for whom its handler says', async (t) => {
  const { turnstile, origin } = await start(t);
  const headers = { authorization: `Basic ${Buffer.from('a:b').toString('base64')}` };
  const post = () =>
    fetch(`http://${origin}/form/beta`, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ A: '1' }),
    });
  const answer = await post();
  t.equal(answer.status, 200);
  t.equal(answer.headers.get('concurrent-requests'), '3');
  t.strictSame(turnstile.told, ['enter beta', 'leave true']);
  turnstile.answer = () => turnstile.impeded(4002);
  t.equal((await post()).status, 429);
});
