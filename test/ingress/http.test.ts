// Routes, bodies, tokens and bounds of the HTTP side, over a real socket.
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { connect as connectTcp } from 'node:net';
import t from 'tap';
import { FairleadError } from '../../src/errors.ts';
import type { HttpRequest, Route } from '../../src/ingress/http-router.ts';
import { LIMITS } from '../../src/limits.ts';
import { auth, startIngress, until } from './harness.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: { code?: number; details?: unknown; [field: string]: unknown };
}

interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array | undefined;
  readonly agent?: Agent;
}

function ask(origin: string, path: string, options: Ask = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body, agent } = options;
  return new Promise((resolve, reject) => {
    const [host, port] = origin.split(':');
    const asked = request({ host, port, path, method, headers, agent: agent ?? false });
    asked.on('response', async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      const json = text.startsWith('{') ? JSON.parse(text) : {};
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

const seen: HttpRequest[] = [];
const echo = (request: HttpRequest) => {
  seen.push(request);
  const { method, path, params, body } = request;
  return {
    status: 200,
    body: { method, path, params, body: body ?? null },
    headers: { 'x-a': 'b' },
  };
};
let release = (): void => {};
const routes: Route[] = [
  { method: 'GET', path: '/v1/things/:name', scope: 'none', handler: echo },
  { method: 'PUT', path: '/v1/things/:name', scope: 'none', handler: echo },
  { method: 'GET', path: '/v1/things/:name/parts/:part', scope: 'none', handler: echo },
  { method: 'GET', path: '/v1/things/all', scope: 'none', handler: () => ({ status: 204 }) },
  { method: 'DELETE', path: '/v1/secret', scope: 'platform', handler: echo },
  { method: 'PUT', path: '/v1/secret', scope: 'platform', handler: echo },
  {
    method: 'GET',
    path: '/v1/fails/:how',
    scope: 'none',
    handler: ({ params: { how } }) => {
      if (how === 'coded') throw new FairleadError('inUse', 'It waits.', { retryAfterMs: 1500 });
      if (how === 'unencodable') return { status: 200, body: 1n };
      throw new Error('secret detail');
    },
  },
  {
    method: 'GET',
    path: '/v1/slow',
    scope: 'none',
    handler: async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return { status: 200, body: 'slow' };
    },
  },
];

t.test('routes: parameters are decoded, literals win, queries are parsed', async (t) => {
  const { origin } = await startIngress(t, { routes });
  const one = await ask(origin, '/v1/things/a%20b%2Fc+d?limit=5&x=%2B');
  t.equal(one.status, 200);
  t.equal(one.headers['content-type'], 'application/json');
  t.equal(one.headers['x-a'], 'b');
  t.strictSame(one.json.params, { name: 'a b/c+d' });
  t.equal(seen.at(-1)?.query.get('limit'), '5');
  t.equal(seen.at(-1)?.query.get('x'), '+');
  t.equal((await ask(origin, '/v1/things/all')).status, 204);
  const two = await ask(origin, '/v1/things/1/parts/2');
  t.strictSame(two.json.params, { name: '1', part: '2' });
  t.equal((await ask(origin, '/v1/things/%zz')).json.code, 1015);
});

t.test('no such path, no such method', async (t) => {
  const { origin } = await startIngress(t, { routes });
  for (const path of ['/', '/v1', '/v1/things', '/v1/things/', '/v1/things/a/', '/V1/things/a']) {
    const { status, json } = await ask(origin, path);
    t.match({ status, ...json }, { status: 404, code: 1016, message: String, details: null }, path);
  }
  const near = await ask(origin, '/v1/things/');
  t.match(
    near.json.message,
    /^There is no path \/v1\/things\/; there are .*\/v1\/things\/\{name\}, /,
  );
  t.equal((await ask(origin, '/v1/none')).json.message, 'There is no path /v1/none.');
  const wrong = await ask(origin, '/v1/things/a', { method: 'POST', body: '{}' });
  t.equal(wrong.status, 405);
  t.equal(wrong.json.code, 1017);
  t.equal(wrong.headers.allow, 'GET, HEAD, PUT');
  const options = await ask(origin, '/v1/secret', { method: 'OPTIONS' });
  t.equal(options.headers.allow, 'DELETE, PUT');
});

t.test('HEAD answers like GET, without the body', async (t) => {
  const { origin } = await startIngress(t, { routes });
  const get = await ask(origin, '/v1/things/a');
  const head = await ask(origin, '/v1/things/a', { method: 'HEAD' });
  t.equal(head.status, 200);
  t.equal(head.text, '');
  t.equal(head.headers['content-length'], `${get.text.length}`);
  t.equal((await ask(origin, '/v1/none', { method: 'HEAD' })).status, 404);
});

t.test('a connection goes on after a HEAD', async (t) => {
  const { origin } = await startIngress(t, { routes });
  const [host, port] = origin.split(':');
  const socket = connectTcp({ host, port: Number(port) });
  t.teardown(() => socket.destroy());
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  for (let count = 1; count <= 3; count += 1) {
    socket.write(`HEAD /v1/things/a HTTP/1.1\r\nhost: ${origin}\r\n\r\n`);
    await until(() => text.match(/HTTP\/1\.1 200/g)?.length === count);
  }
  t.equal(text.match(/content-length/gi)?.length, 3, 'one length each');
});

t.test('JSON bodies: whole, in pieces, absent, broken, too large', async (t) => {
  const { origin } = await startIngress(t, { routes });
  const put = (body?: string | Uint8Array, headers: Record<string, string> = {}) =>
    ask(origin, '/v1/things/a', { method: 'PUT', body, headers });
  t.strictSame((await put('{"ä":[1]}')).json.body, { ä: [1] });
  t.equal((await put()).json.body, null);
  const big = JSON.stringify('x'.repeat(LIMITS.requestBodyBytes - 2));
  t.equal((await put(big)).status, 200, 'exactly the limit');
  const chunked = { 'transfer-encoding': 'chunked' };
  t.equal((await put(big, chunked)).status, 200, 'in chunks');
  for (const headers of [{}, chunked]) {
    const { status, json } = await put(`${big} `, headers);
    t.match({ status, ...json }, { status: 413, code: 1018 });
  }
  for (const broken of ['{', '{"a":1}x', Uint8Array.of(0x22, 0xff, 0x22)]) {
    const { status, json } = await put(broken);
    t.match({ status, ...json }, { status: 400, code: 1019, message: /not valid JSON/ });
  }
});

t.test('scopes: no token, bad token, too little, enough', async (t) => {
  const { origin } = await startIngress(t, { routes });
  const as = async (authorization: string) =>
    ask(origin, '/v1/secret', { method: 'PUT', body: '{"a":1}', headers: { authorization } });
  const none = await ask(origin, '/v1/secret', { method: 'DELETE' });
  t.equal(none.status, 401);
  t.equal(none.json.code, 2001);
  t.equal(none.headers['www-authenticate'], 'Bearer');
  t.match(await as('Basic abc'), { status: 401, json: { code: 2001 } });
  t.match(await as('Bearer abc'), { status: 401, json: { code: 2002 } });
  const publisher = await auth.issueToken({ tenant: 'acme', scope: 'publish', ttlSec: 60 });
  t.match(await as(`Bearer ${publisher}`), { status: 403, json: { code: 2004 } });
  const platform = await auth.issueToken({ scope: 'platform', ttlSec: 60 });
  t.match(await as(`Bearer ${platform}`), { status: 200, json: { body: { a: 1 } } });
  t.match(await as(`bearer ${platform}`), { status: 200 });
  t.equal(seen.at(-1)?.identity?.tenant, undefined);
  const inQuery = await ask(origin, `/v1/secret?access_token=${platform}`, { method: 'DELETE' });
  t.equal(inQuery.status, 401, 'in the query only for the handshake');
});

t.test('what a handler throws: coded, or 500 without its words', async (t) => {
  const { origin } = await startIngress(t, { routes });
  const coded = await ask(origin, '/v1/fails/coded');
  t.match(coded, { status: 409, headers: { 'retry-after': '2' } });
  t.strictSame(coded.json, {
    code: 3011,
    message: 'It waits.',
    status: 409,
    details: { retryAfterMs: 1500 },
  });
  for (const how of ['thrown', 'unencodable']) {
    const { status, json, text } = await ask(origin, `/v1/fails/${how}`);
    t.match({ status, ...json }, { status: 500, code: 9001, details: { requestId: String } }, how);
    t.notMatch(text, /secret/);
  }
});

t.test('request ids: taken over if harmless, else made', async (t) => {
  const { origin } = await startIngress(t, { routes });
  const id = async (given: string) => {
    const { headers } = await ask(origin, '/livez', { headers: { 'x-request-id': given } });
    return headers['x-request-id'];
  };
  t.equal(await id('abc-1._Z'), 'abc-1._Z');
  for (const odd of ['a b', 'x'.repeat(65), '"']) t.match(await id(odd), /^[0-9a-f-]{36}$/);
});

t.test('requests under way are bounded; health still answers', async (t) => {
  const { origin } = await startIngress(t, { routes, requestsMax: 1 });
  const slow = ask(origin, '/v1/slow');
  await new Promise((resolve) => setTimeout(resolve, 50));
  const refused = await ask(origin, '/v1/things/a');
  t.match(refused, { status: 503, json: { code: 1010 }, headers: { 'retry-after': '1' } });
  t.equal((await ask(origin, '/livez')).status, 200);
  release();
  t.equal((await slow).status, 200);
  t.equal((await ask(origin, '/v1/things/a')).status, 200);
});

t.test('a client that goes is no failure, and its place is free again', async (t) => {
  const { origin } = await startIngress(t, { routes, requestsMax: 1 });
  const port = Number(origin.split(':')[1]);
  for (const start of [
    'GET /v1/slow HTTP/1.1\r\n\r\n',
    'PUT /v1/things/a HTTP/1.1\r\nContent-Length: 9\r\n\r\n{',
  ]) {
    const socket = connectTcp(port, '127.0.0.1');
    socket.write(start.replace('\r\n', '\r\nHost: x\r\n'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    t.equal((await ask(origin, '/v1/things/a')).status, 503, 'it holds the only place');
    socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 20));
    release();
    let status = 0;
    await until(() => {
      if (status === 0) {
        status = -1;
        void ask(origin, '/v1/things/a').then((answer) => {
          status = answer.status === 200 ? 200 : 0;
        });
      }
      return status === 200;
    });
  }
});

t.test('one connection serves many requests, also after refusals with bodies', async (t) => {
  const { origin } = await startIngress(t, { routes });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const body = JSON.stringify('x'.repeat(50_000));
  for (let index = 0; index < 5; index += 1) {
    const refused = await ask(origin, '/v1/secret', { method: 'PUT', body, agent });
    t.equal(refused.status, 401);
    const taken = await ask(origin, '/v1/things/a', { method: 'PUT', body, agent });
    t.equal(taken.status, 200);
  }
});

t.test('before it serves: health answers, resources do not', async (t) => {
  const { origin, ingress } = await startIngress(t, { routes });
  const ready = await ask(origin, '/readyz');
  t.match(ready, { status: 200, json: { status: 'ready', reasons: [] } });
  ingress.setReady(false, ['disk is full']);
  const unready = await ask(origin, '/readyz');
  t.match(unready, { status: 503, json: { status: 'not ready', reasons: ['disk is full'] } });
  t.equal((await ask(origin, '/v1/things/a')).status, 200, 'it goes on serving');
  t.match(await ask(origin, '/livez'), { status: 200, json: { version: '1.2.3' } });
});
