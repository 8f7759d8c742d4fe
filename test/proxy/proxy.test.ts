// What clients and backends of the proxy see: the gate's answers, who the tenant is, both streams, and how things end.
import { createHash } from 'node:crypto';
import t from 'tap';
import { pause, proxyWorld, RawClient, until } from './harness.ts';
import { headerOf, plainAnswer, rawBackend } from './raw-backend.ts';

const HOST = 'Host: api.example.com\r\n';

t.test(
  'within the limit it is passed on, over it impeded, and the answers tell the counts',
  async (t) => {
    const sockets: (() => void)[] = [];
    const backend = await rawBackend(t, (...args) => sockets.push(() => plainAnswer(...args)));
    const { url, gate, bearer, joined } = await proxyWorld(t, {
      routes: [{ backends: [backend.url], seats: 2, resource: 'calls.create' }],
      terms: { limit: 2 },
    });
    const headers = { authorization: await bearer() };
    const first = fetch(`${url}/a`, { headers });
    await until(() => sockets.length === 1);
    const refused = await fetch(`${url}/b`, { headers });
    t.equal(refused.status, 429);
    t.strictSame(await refused.json(), {
      code: 20429,
      message:
        'As many are under way as the limit allows; this was not processed and is safe to retry.',
      status: 429,
      details: {
        code: 4002,
        reason: 'concurrencyLimit',
        retryAfterMs: 1500,
        used: 2,
        limit: 2,
        estimateMs: null,
      },
    });
    t.equal(refused.headers.get('retry-after'), '2');
    t.equal(refused.headers.get('concurrent-requests-remaining'), '0');
    sockets[0]?.();
    const answer = await first;
    t.strictSame(
      ['', '-limit', '-remaining'].map((name) => answer.headers.get(`concurrent-requests${name}`)),
      ['2', '2', '0'],
    );
    t.equal(await answer.text(), 'ok');
    t.strictSame(gate.asks[0], { resource: 'calls.create', tenant: 'acme', seats: 2 });
    t.strictSame([gate.total, gate.left, gate.faults], [0, [true], []]);
    t.equal(backend.requests.length, 1, 'what is impeded never leaves');
    const { requests } = joined.proxy.counts.of('calls.create');
    t.strictSame([requests['2xx'], requests.impeded], [1, 1]);
  },
);

t.test(
  'what waits is held, and goes on when there is room; its answer says where it waited',
  async (t) => {
    const sockets: (() => void)[] = [];
    const backend = await rawBackend(t, (...args) => sockets.push(() => plainAnswer(...args)));
    const { url, port, gate, bearer, joined } = await proxyWorld(t, {
      routes: [{ backends: [backend.url], waitMs: 4_000 }],
      terms: { limit: 1, waitersMax: 10 },
    });
    const authorization = await bearer();
    const first = fetch(`${url}/a`, { headers: { authorization } });
    await until(() => sockets.length === 1);
    const second = fetch(`${url}/b`, {
      headers: { authorization },
      method: 'POST',
      body: 'x'.repeat(300_000),
    });
    await until(() => gate.waiting === 1);
    // One that goes while it waits: its place is given up.
    const gone = new RawClient(port);
    gone.send(`GET /gone HTTP/1.1\r\n${HOST}Authorization: ${authorization}\r\n\r\n`);
    await until(() => gate.waiting === 2);
    gone.socket.destroy();
    await until(() => gate.givenUp === 1);
    await pause(30);
    t.ok(joined.proxy.counts.heldBytes <= 600_000, 'no more than a piece beyond the bound is read');
    t.equal(backend.requests.length, 1);
    sockets[0]?.();
    await first;
    await until(() => sockets.length === 2);
    sockets[1]?.();
    const answer = await second;
    t.equal(answer.headers.get('concurrent-requests-position'), '1');
    t.equal(answer.headers.get('concurrent-requests-estimate'), '11');
    await answer.text();
    t.equal(backend.requests[1]?.body.length, 300_000);
    t.strictSame([gate.total, gate.asks[1]?.waitMs, gate.faults], [0, 4_000, []]);
    t.strictSame([joined.proxy.counts.heldBytes, joined.proxy.underway], [0, 0]);
  },
);

t.test('a wait that is over is impeded', async (t) => {
  const backend = await rawBackend(t, () => {});
  const { url, bearer, gate } = await proxyWorld(t, {
    routes: [{ backends: [backend.url], waitMs: 50, timeoutMs: 400 }],
    terms: { limit: 1, waitersMax: 1 },
  });
  const headers = { authorization: await bearer() };
  const first = fetch(`${url}/a`, { headers });
  await until(() => gate.total === 1);
  const answer = await fetch(`${url}/b`, { headers });
  t.equal(answer.status, 429);
  t.match(await answer.json(), { code: 20429, details: { code: 4007 } });
  t.equal((await first).status, 504);
  t.strictSame([gate.total, gate.left], [0, [false]]);
});

t.test('an unknown resource and a gate that recovers have their own status', async (t) => {
  const backend = await rawBackend(t);
  const { url, bearer, gate } = await proxyWorld(t, { routes: [{ backends: [backend.url] }] });
  const headers = { authorization: await bearer() };
  const counts = { used: 0, limit: undefined, estimateMs: undefined };
  for (const [code, status] of [
    [4001, 404],
    [4009, 503],
  ] as const) {
    gate.enter = () => ({ kind: 'impeded', code, retryAfterMs: 100, ...counts });
    const answer = await fetch(url, { headers });
    t.equal(answer.status, status);
    t.match(await answer.json(), { code, status });
    t.equal(answer.headers.get('retry-after'), status === 404 ? null : '1');
    t.equal(answer.headers.get('concurrent-requests-limit'), null);
  }
  gate.enter = () => {
    throw new Error('a fault');
  };
  t.equal((await fetch(url, { headers })).status, 500);
});

t.test('the tenant: of a token, of an API key, of a trusted front', async (t) => {
  const backend = await rawBackend(t);
  const hashed = createHash('sha256').update('k-two').digest('hex');
  const env: Record<string, string> = {
    FAIRLEAD_SECRET_KEYS: `# ours\nacme k-one\nbeta sha256:${hashed}\n`,
  };
  const { url, bearer, gate } = await proxyWorld(t, {
    routes: [
      { path: '/jwt', backends: [backend.url] },
      { path: '/key', backends: [backend.url], tenantFrom: 'key', keys: 'keys' },
      { path: '/front', backends: [backend.url], tenantFrom: 'header:x-tenant' },
    ],
    env,
  });
  const status = async (path: string, headers: Record<string, string>): Promise<number> =>
    (await fetch(`${url}${path}`, { headers })).status;
  t.equal(await status('/jwt', {}), 401);
  t.equal(await status('/jwt', { authorization: 'Bearer nothing' }), 401);
  t.equal(await status('/jwt', { authorization: await bearer('acme') }), 200);
  t.equal(await status('/key', {}), 401);
  t.equal(await status('/key', { 'x-api-key': 'k-three' }), 401);
  t.equal(await status('/key', { 'x-api-key': 'k-one' }), 200);
  t.equal(await status('/key', { 'x-api-key': 'k-two' }), 200);
  t.equal(await status('/front', { 'x-tenant': 'acme' }), 403);
  t.strictSame(
    gate.asks.map(({ tenant }) => tenant),
    ['acme', 'acme', 'beta'],
  );
  env.FAIRLEAD_SECRET_KEYS = 'acme k-three\n';
  await pause(1_100);
  t.equal(await status('/key', { 'x-api-key': 'k-three' }), 200, 'a new key needs no restart');
  t.equal(await status('/key', { 'x-api-key': 'k-one' }), 401);
  env.FAIRLEAD_SECRET_KEYS = 'acme';
  await pause(1_100);
  t.equal(
    await status('/key', { 'x-api-key': 'k-three' }),
    200,
    'a file that is none changes nothing',
  );
});

t.test(
  'routes: host, prefix, method; the prefix stripped; the base path of the backend',
  async (t) => {
    const backend = await rawBackend(t);
    const common = { tenantFrom: 'header:x-tenant' };
    const { port, gate } = await proxyWorld(t, {
      routes: [
        { ...common, path: '/v1', backends: [backend.url], resource: 'v1' },
        {
          ...common,
          path: '/v1/calls',
          methods: ['POST'],
          backends: [backend.url],
          resource: 'calls',
        },
        {
          ...common,
          path: '/old',
          backends: [`${backend.url}/base/`],
          resource: 'old',
          stripPrefix: true,
        },
        {
          ...common,
          path: '/v1',
          host: 'b.example.com',
          backends: [backend.url],
          resource: 'b',
          preserveHost: true,
        },
        { ...common, path: '/raw', backends: [backend.url], resource: 'raw', encodedSlashes: true },
        { ...common, path: '/only', methods: ['PUT', 'DELETE'], backends: [backend.url] },
      ],
      listener: { trust: ['127.0.0.0/8'] },
    });
    const ask = async (method: string, path: string, host = 'a.example.com'): Promise<string> => {
      const client = new RawClient(port);
      client.send(
        `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Tenant: acme\r\nConnection: close\r\n\r\n`,
      );
      await client.closed;
      const [status] = client.statuses;
      if (status !== 200) return `${status} ${/allow: (.*)\r/.exec(client.text)?.[1] ?? ''}`.trim();
      const request = backend.requests.at(-1);
      return `${gate.asks.at(-1)?.resource} ${request?.target}`;
    };
    t.equal(await ask('GET', '/v1'), 'v1 /v1');
    t.equal(await ask('GET', '/v1/calls?a=b'), 'v1 /v1/calls?a=b');
    t.equal(await ask('POST', '/v1/calls?'), 'calls /v1/calls?');
    t.equal(await ask('POST', '/v1/callsign'), 'v1 /v1/callsign');
    t.equal(await ask('GET', '/v10'), '404');
    t.equal(await ask('GET', '/old/x/y'), 'old /base/x/y');
    t.equal(await ask('GET', '/old'), 'old /base/');
    t.equal(await ask('GET', '/v1/x', 'B.example.com:8080'), 'b /v1/x');
    t.equal(headerOf(backend.requests.at(-1) as never, 'host'), 'B.example.com:8080');
    t.equal(await ask('GET', '/raw/a%2Fb//c'), 'raw /raw/a%2Fb//c');
    t.equal(await ask('GET', '/raw/a%2F..'), '400');
    t.equal(await ask('GET', '/only'), '405 DELETE, PUT');
  },
);

t.test('who it comes from: rebuilt for strangers, continued for fronts', async (t) => {
  const backend = await rawBackend(t);
  const lines =
    'Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 1.1.1.1, ::1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n' +
    'X-Forwarded-Port: 1\r\nX-Real-IP: 1.1.1.1\r\n';
  const names = [
    'forwarded',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-host',
    'x-forwarded-port',
    'x-real-ip',
  ];
  const seen = async (trust: string[], more = lines): Promise<(string | undefined)[]> => {
    const { port, bearer } = await proxyWorld(t, {
      routes: [{ backends: [backend.url] }],
      listener: { trust },
    });
    const client = new RawClient(port);
    client.send(`GET / HTTP/1.1\r\n${HOST}Authorization: ${await bearer()}\r\n${more}\r\n`);
    await until(() => client.statuses.length > 0);
    return names.map((name) => headerOf(backend.requests.at(-1) as never, name));
  };
  const own = 'for=127.0.0.1;host=api.example.com;proto=http';
  t.strictSame(await seen([]), [own, '127.0.0.1', 'http', 'api.example.com', undefined, undefined]);
  t.strictSame(await seen(['10.0.0.0/8', '::1']), [
    own,
    '127.0.0.1',
    'http',
    'api.example.com',
    undefined,
    undefined,
  ]);
  t.strictSame(await seen(['127.0.0.1']), [
    `for=1.1.1.1, ${own}`,
    '1.1.1.1, ::1, 127.0.0.1',
    'https',
    'h',
    '1',
    '1.1.1.1',
  ]);
  const older = 'X-Forwarded-For: 1.1.1.1, ::1\r\n';
  t.equal((await seen(['127.0.0.1'], older))[0], `for=1.1.1.1, for="[::1]", ${own}`);
});

t.test('answers without a body, and bodies of every framing', async (t) => {
  const answers: Record<string, string> = {
    '/head': 'HTTP/1.1 200 OK\r\nContent-Length: 123\r\n\r\n',
    '/204': 'HTTP/1.1 204 No Content\r\n\r\n',
    '/304': 'HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: "x"\r\n\r\n',
    '/empty': 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    '/chunked':
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n',
    '/pieces': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n',
    '/close': 'HTTP/1.1 200 OK\r\n\r\nabc',
    '/early':
      'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc',
    '/404': 'HTTP/1.1 404 Not Here\r\nContent-Length: 3\r\n\r\nabc',
  };
  const backend = await rawBackend(t, (socket, { target }) => {
    socket.write(answers[target] as string);
    if (target === '/close') socket.end();
    if (target === '/pieces') setTimeout(() => socket.write('1\r\nc\r\n0\r\n\r\n'), 20);
  });
  const { port, bearer, gate } = await proxyWorld(t, { routes: [{ backends: [backend.url] }] });
  const authorization = await bearer();
  const client = new RawClient(port);
  const ask = async (method: string, path: string): Promise<string> => {
    client.text = '';
    client.send(`${method} ${path} HTTP/1.1\r\n${HOST}Authorization: ${authorization}\r\n\r\n`);
    await until(() => client.text.includes('\r\n\r\n') && gate.total === 0);
    await pause(10);
    const [head = '', ...body] = client.text.split('\r\n\r\n');
    const framing = head
      .split('\r\n')
      .filter((line) => /^(content-length|transfer-encoding|HTTP)/i.test(line));
    return [...framing, body.join('|')].join(' ').toLowerCase();
  };
  // All on one connection: each has to leave it at the beginning of the next.
  t.equal(await ask('HEAD', '/head'), 'http/1.1 200 ok content-length: 123 ');
  t.equal(await ask('GET', '/204'), 'http/1.1 204 no content ');
  t.equal(await ask('GET', '/304'), 'http/1.1 304 not modified content-length: 99 ');
  t.equal(await ask('GET', '/empty'), 'http/1.1 200 ok content-length: 0 ');
  t.equal(
    await ask('GET', '/chunked'),
    'http/1.1 200 ok content-length: 3 abc',
    'what came at once leaves at once',
  );
  t.equal(
    await ask('GET', '/pieces'),
    'http/1.1 200 ok transfer-encoding: chunked 2\r\nab\r\n1\r\nc\r\n0|',
  );
  t.match(await ask('GET', '/close'), /^http\/1.1 200 ok [\s\S]*abc/);
  t.equal(await ask('GET', '/early'), 'http/1.1 200 ok content-length: 3 abc');
  t.equal(await ask('GET', '/404'), 'http/1.1 404 not found content-length: 3 abc');
  t.equal(await ask('HEAD', '/204'), 'http/1.1 204 no content ');
  t.notOk(client.isClosed);
  t.strictSame([gate.left.length, gate.faults], [10, []]);
});

t.test('bodies: bounds, Expect, and one answer before the body is there', async (t) => {
  const backend = await rawBackend(t);
  const { port, bearer, gate } = await proxyWorld(t, {
    routes: [{ backends: [backend.url], bodyBytesMax: 100_000 }],
  });
  const line = `${HOST}Authorization: ${await bearer()}\r\n`;
  const send = async (raw: string): Promise<RawClient> => {
    const client = new RawClient(port);
    client.send(raw);
    await until(() => client.statuses.some((status) => status >= 200) || client.isClosed);
    return client;
  };
  const large = await send(`POST / HTTP/1.1\r\n${line}Content-Length: 100001\r\n\r\n`);
  t.match(large.text, /^HTTP\/1\.1 413 [\s\S]*"code":1018/);
  t.equal(gate.passed, 0);
  const chunk = `fff0\r\n${'x'.repeat(0xfff0)}\r\n`;
  const chunked = await send(
    `POST / HTTP/1.1\r\n${line}Transfer-Encoding: chunked\r\n\r\n${chunk}${chunk}`,
  );
  t.match(chunked.text, /^HTTP\/1\.1 413 /);
  await until(() => gate.total === 0);
  t.equal(backend.requests.length, 0);
  const client = new RawClient(port);
  client.send(`POST / HTTP/1.1\r\n${line}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`);
  await until(() => client.text.startsWith('HTTP/1.1 100 Continue\r\n\r\n'));
  client.send('abc');
  await until(() => client.statuses.includes(200));
  t.strictSame([backend.requests.length, backend.requests[0]?.body], [1, 'abc']);
  t.equal(headerOf(backend.requests[0] as never, 'expect'), undefined);
});

t.test('a slow sender of a short body keeps nobody out', async (t) => {
  const backend = await rawBackend(t);
  const { port, bearer, gate } = await proxyWorld(t, { routes: [{ backends: [backend.url] }] });
  const client = new RawClient(port);
  client.send(
    `POST / HTTP/1.1\r\n${HOST}Authorization: ${await bearer()}\r\nContent-Length: 4\r\n\r\nab`,
  );
  await pause(50);
  t.equal(gate.asks.length, 0);
  client.send('cd');
  await until(() => client.statuses.length > 0);
  t.strictSame([gate.asks.length, backend.requests[0]?.body], [1, 'abcd']);
});
