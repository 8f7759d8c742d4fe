// Raw requests over sockets, made so that two servers may read them differently: what reaches the backend is exactly one
// well-formed request or none, and it carries what the client sent for it and nothing else.
import t from 'tap';
import { pause, proxyWorld, RawClient, until } from './harness.ts';
import { headerOf, rawBackend } from './raw-backend.ts';

const HOST = 'Host: api.example.com\r\n';
const SMUGGLED = `GET /smuggled HTTP/1.1\r\n${HOST}X-Tenant: evil\r\n\r\n`;
/** Time for whatever would leak to arrive. */
const SETTLE_MS = 60;

const get = (target: string, more = '', version = 'HTTP/1.1'): string =>
  `GET ${target} ${version}\r\n${HOST}X-Tenant: acme\r\n${more}\r\n`;
const post = (more: string, body: string): string =>
  `POST /in HTTP/1.1\r\n${HOST}X-Tenant: acme\r\n${more}\r\n${body}`;

interface Case {
  readonly raw: string;
  /** Status of the answer; `cut`: the connection ends without one, `held`: nothing comes. */
  readonly answer: number | 'cut' | 'held';
  /** The body that the one request has at the backend; left out: none arrives. */
  readonly arrives?: string;
  /** It passed the gate, but never became complete. */
  readonly isCounted?: boolean;
}

const chunked = 'Transfer-Encoding: chunked\r\n';

/** Which of them the network library ends by itself is part of what is checked: another version may not. */
const framing: Record<string, Case> = {
  'length and chunked': {
    raw: post(`Content-Length: 4\r\n${chunked}`, `0\r\n\r\n${SMUGGLED}`),
    answer: 'cut',
  },
  'chunked and length': {
    raw: post(`${chunked}Content-Length: 4\r\n`, `0\r\n\r\n${SMUGGLED}`),
    answer: 'cut',
  },
  'two equal lengths': {
    raw: post('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc'),
    answer: 400,
  },
  'two lengths, the shorter first': {
    raw: post(`Content-Length: 0\r\nContent-Length: ${SMUGGLED.length}\r\n`, SMUGGLED),
    answer: 'cut',
  },
  'two lengths, the longer first': {
    raw: post(`Content-Length: ${SMUGGLED.length}\r\nContent-Length: 0\r\n`, SMUGGLED),
    answer: 400,
  },
  'lengths in a list': { raw: post('Content-Length: 3, 3\r\n', 'abc'), answer: 'cut' },
  'a length with a sign': { raw: post('Content-Length: +3\r\n', 'abc'), answer: 'cut' },
  'a negative length': { raw: post('Content-Length: -1\r\n', 'abc'), answer: 'cut' },
  'a length in hexadecimal': { raw: post('Content-Length: 0x3\r\n', 'abc'), answer: 'cut' },
  'a length past any': {
    raw: post('Content-Length: 99999999999999999999\r\n', 'abc'),
    answer: 'cut',
  },
  'an empty length': { raw: post('Content-Length:\r\n', SMUGGLED), answer: 'cut' },
  'a length with space before the colon': {
    raw: post('Content-Length : 3\r\n', 'abc'),
    answer: 'held',
  },
  'an encoding that is not chunked': {
    raw: post('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${SMUGGLED}`),
    answer: 'cut',
  },
  'two encodings': {
    raw: post(`Transfer-Encoding: gzip\r\n${chunked}`, '0\r\n\r\n'),
    answer: 400,
  },
  'encodings in a list': {
    raw: post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'),
    answer: 400,
  },
  identity: { raw: post('Transfer-Encoding: identity\r\n', '0\r\n\r\n'), answer: 400 },
  'an encoding with space before the colon': {
    raw: post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${SMUGGLED}`),
    answer: 'held',
  },
  'an encoding in quotes': {
    raw: post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n'),
    answer: 400,
  },
  'an encoding over two lines': {
    raw: post('Transfer-Encoding:\r\n chunked\r\n', `0\r\n\r\n${SMUGGLED}`),
    answer: 'held',
  },
  'an encoding after a tab': {
    raw: post('Transfer-Encoding:\tchunked\r\n', '3\r\nabc\r\n0\r\n\r\n'),
    answer: 200,
    arrives: 'abc',
  },
  'an encoding in capitals': {
    raw: post('TRANSFER-ENCODING: CHUNKED\r\n', '3\r\nabc\r\n0\r\n\r\n'),
    answer: 200,
    arrives: 'abc',
  },
  'a chunk size that is none': {
    raw: post(chunked, `Z\r\nabc\r\n0\r\n\r\n${SMUGGLED}`),
    answer: 'cut',
  },
  'a negative chunk size': { raw: post(chunked, '-3\r\nabc\r\n0\r\n\r\n'), answer: 'cut' },
  'a chunk size with 0x': { raw: post(chunked, '0x3\r\nabc\r\n0\r\n\r\n'), answer: 'cut' },
  'a chunk size past any': {
    raw: post(chunked, 'FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n'),
    answer: 'cut',
  },
  'a chunk size that wraps around': {
    raw: post(chunked, '10000000000000003\r\nabc\r\n0\r\n\r\n'),
    answer: 'cut',
  },
  'a chunk with an extension': { raw: post(chunked, '3;x=y\r\nabc\r\n0\r\n\r\n'), answer: 'cut' },
  // The library takes it for a longer size and waits for more: nothing is complete.
  'a chunk with an extension of hexadecimal letters': {
    raw: post(chunked, `3;a=b\r\nabc\r\n0\r\n\r\n${SMUGGLED}`),
    answer: 'held',
    isCounted: true,
  },
};

const heads: Record<string, Case> = {
  'a folded header': { raw: get('/in', 'X-A: b\r\n c: d\r\n'), answer: 'held' },
  'bare line feeds': { raw: `GET /in HTTP/1.1\n${HOST.trim()}\n\n`, answer: 'held' },
  'one bare line feed': { raw: get('/in', 'X-A: b\nX-B: c\r\n'), answer: 'held' },
  'a bare carriage return': { raw: get('/in', 'X-A: b\rX-B: c\r\n'), answer: 'held' },
  'a zero byte': { raw: get('/in', 'X-A: b\0c\r\n'), answer: 'held' },
  'a control character': { raw: get('/in', 'X-A: b\x01c\r\n'), answer: 'held' },
  'a name that is none': { raw: get('/in', 'X(A): b\r\n'), answer: 'held' },
  'a name with an underscore': { raw: get('/in', 'X_Tenant: evil\r\n'), answer: 'held' },
  'a line without a colon': { raw: get('/in', 'nothing\r\n'), answer: 'held' },
  'no host': { raw: 'GET /in HTTP/1.1\r\nX-Tenant: acme\r\n\r\n', answer: 'cut' },
  'two hosts': { raw: get('/in', 'Host: other\r\n'), answer: 400 },
  'a host with a path': {
    raw: 'GET /in HTTP/1.1\r\nHost: a/b\r\nX-Tenant: acme\r\n\r\n',
    answer: 400,
  },
  'a host with a user': {
    raw: 'GET /in HTTP/1.1\r\nHost: a@b\r\nX-Tenant: acme\r\n\r\n',
    answer: 400,
  },
  'an absolute target': { raw: get('http://api.example.com/in'), answer: 'held' },
  'an authority as target': {
    raw: `CONNECT api.example.com:80 HTTP/1.1\r\n${HOST}\r\n`,
    answer: 'held',
  },
  'an asterisk as target': { raw: `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, answer: 'held' },
  'a target with a space': { raw: get('/in /smuggled'), answer: 'held' },
  'two spaces': { raw: get(' /in'), answer: 'held' },
  'tabs in the line': { raw: `GET\t/in\tHTTP/1.1\r\n${HOST}\r\n`, answer: 'held' },
  'another version': { raw: get('/in', '', 'HTTP/2.0'), answer: 'held' },
  'the version before': { raw: get('/in', '', 'HTTP/1.0'), answer: 'held' },
  'a method in small letters': { raw: get('/in').replace('GET', 'get'), answer: 'cut' },
  'a trace': { raw: get('/in').replace('GET', 'TRACE'), answer: 405 },
  'an upgrade': { raw: get('/in', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'), answer: 501 },
  'an upgrade without Connection': { raw: get('/in', 'Upgrade: foo/2\r\n'), answer: 501 },
  'an offer of HTTP/2': {
    raw: get(
      '/in',
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n',
    ),
    answer: 200,
    arrives: '',
  },
  'a fragment': { raw: get('/in#x'), answer: 400 },
  'a line break in the path, encoded': { raw: get('/in%0d%0aX-A:%20b'), answer: 400 },
  'a backslash': { raw: get('/in\\..\\smuggled'), answer: 400 },
  'bytes above ASCII in the path': { raw: get('/in\xe9'), answer: 400 },
  'bytes that are no UTF-8 in a header': { raw: get('/in', 'X-A: a\xe9b\r\n'), answer: 400 },
  'a broken escape': { raw: get('/in%2'), answer: 400 },
  'a line break in the query, encoded': { raw: get('/in?a=%0d%0ab'), answer: 200, arrives: '' },
  'the head of 4 KiB': { raw: get('/in', `X-A: ${'b'.repeat(4_000)}\r\n`), answer: 431 },
  'the head of 200 KiB': { raw: get('/in', `X-A: ${'b'.repeat(200_000)}\r\n`), answer: 'cut' },
  'sixty headers': { raw: get('/in', 'A: b\r\n'.repeat(60)), answer: 'held' },
  'forty headers': { raw: get('/in', 'A: b\r\n'.repeat(40)), answer: 200, arrives: '' },
};

for (const path of [
  '/in/../smuggled',
  '/in/./x',
  '/in/..',
  '/in/%2e%2e/smuggled',
  '/in/%2E./smuggled',
  '/in/.%2e',
  '/in/..;a=b/smuggled',
  '/in/%2e%2e%2fsmuggled',
  '/in%2f..%2fsmuggled',
  '/in/..%5csmuggled',
  '/in%2fx',
  '/in%5Cx',
  '/in//x',
  '//in',
]) {
  heads[`the path ${path}`] = { raw: get(path), answer: 400 };
}

for (const [name, { raw, answer, arrives, isCounted }] of Object.entries({
  ...framing,
  ...heads,
})) {
  t.test(name, async (t) => {
    const backend = await rawBackend(t);
    const { port, gate } = await proxyWorld(t, {
      routes: [{ backends: [backend.url], tenantFrom: 'header:x-tenant' }],
      listener: { trust: ['127.0.0.1'] },
    });
    const client = new RawClient(port);
    t.teardown(() => client.socket.destroy());
    client.send(raw);
    if (answer === 'cut') await client.closed;
    else if (answer !== 'held') await until(() => client.statuses.length > 0);
    if (arrives === undefined) await pause(SETTLE_MS);
    t.strictSame(backend.faults, [], 'nothing malformed arrives');
    t.strictSame(
      backend.requests.map(({ target, body }) => [target.startsWith('/in'), body]),
      arrives === undefined ? [] : [[true, arrives]],
    );
    for (const request of backend.requests) t.equal(headerOf(request, 'x-tenant'), 'acme');
    if (answer === 'held') t.strictSame([client.isClosed, client.text], [false, '']);
    else if (answer === 'cut') t.strictSame([client.isClosed, client.text], [true, '']);
    else t.strictSame(client.statuses, [answer]);
    const passed = isCounted === true ? 1 : backend.requests.length;
    t.equal(gate.passed, passed, 'what does not arrive is not counted');
    client.socket.destroy();
    await until(() => gate.total === 0);
  });
}

t.test(
  'a request that follows before the answer ends both: one of them arrives at most',
  async (t) => {
    const backend = await rawBackend(t, (socket) => {
      setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), 30);
    });
    const { port, gate } = await proxyWorld(t, {
      routes: [{ backends: [backend.url], tenantFrom: 'header:x-tenant' }],
      listener: { trust: ['127.0.0.1'] },
    });
    for (const raw of [get('/1') + get('/2'), post('Content-Length: 3\r\n', `abc${SMUGGLED}`)]) {
      const client = new RawClient(port);
      client.send(raw);
      await client.closed;
      t.equal(client.text, '');
    }
    await pause(SETTLE_MS);
    t.strictSame(backend.faults, []);
    t.ok(backend.requests.every(({ target }) => target === '/1' || target === '/in'));
    t.ok(backend.requests.length <= 2);
    t.equal(gate.total, 0);
  },
);

t.test(
  'headers that Connection names stay, and none can make the proxy drop its own',
  async (t) => {
    const backend = await rawBackend(t);
    const { port } = await proxyWorld(t, {
      routes: [{ backends: [backend.url], tenantFrom: 'header:x-tenant' }],
      listener: { trust: ['127.0.0.1'] },
    });
    const client = new RawClient(port);
    client.send(
      get(
        '/in',
        'Connection: close, X-Hop, X-Forwarded-For, Host, X-Request-Id\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n' +
          'Trailer: x\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nX-Stays: 2\r\n',
      ),
    );
    await until(() => client.statuses.length > 0);
    t.strictSame(client.statuses, [200]);
    const [request] = backend.requests;
    if (request === undefined) throw new Error('nothing arrived');
    const names = request.headers.map(([name]) => name).sort();
    t.strictSame(names, [
      'connection',
      'forwarded',
      'host',
      'via',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'x-request-id',
      'x-stays',
      'x-tenant',
    ]);
    t.equal(headerOf(request, 'host'), `127.0.0.1:${backend.port}`);
    t.equal(headerOf(request, 'connection'), 'keep-alive');
  },
);

t.test('answers cannot bring headers of their own making', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.write(
      'HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-A: \xe9\r\nConcurrent-Requests: 99\r\n' +
        'X-Request-Id: theirs\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: late\r\n\r\n',
      'latin1',
    );
  });
  const { port } = await proxyWorld(t, {
    routes: [{ backends: [backend.url], tenantFrom: 'header:x-tenant' }],
    listener: { trust: ['127.0.0.1'] },
  });
  const client = new RawClient(port);
  client.send(get('/in', 'X-Request-Id: mine\r\n'));
  await until(() => client.text.endsWith('ok'));
  const [head = '', body] = client.text.split('\r\n\r\n');
  const lines = head.split('\r\n').filter((line) => !/^(Date|uWebSockets):/.test(line));
  t.strictSame(lines, [
    'HTTP/1.1 200 OK',
    'X-A: \xe9',
    'x-request-id: mine',
    'concurrent-requests: 1',
    'Content-Length: 2',
  ]);
  t.equal(body, 'ok');
});
