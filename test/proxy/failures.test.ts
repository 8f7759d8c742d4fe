// How requests end that do not end well: backends that fail in every way, clients that go at every moment, and a stop.
// Whatever happens is counted down exactly once, and no answer looks complete that is not.
import t from 'tap';
import { pause, proxyWorld, RawClient, until } from './harness.ts';
import { plainAnswer, rawBackend } from './raw-backend.ts';

const HOST = 'Host: api.example.com\r\n';

t.test(
  'what a backend does wrong has a code, and says whether it may have been processed',
  async (t) => {
    const backend = await rawBackend(t, (socket, { target }) => {
      const answers: Record<string, () => void> = {
        '/reset': () => socket.resetAndDestroy(),
        '/close': () => socket.end(),
        '/garbage': () => socket.end('what?\r\n\r\n'),
        '/two-lengths': () =>
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
        '/both': () =>
          socket.end(
            'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
          ),
        '/control': () => socket.end('HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n'),
        '/upgrade': () =>
          socket.end(
            'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
          ),
        '/head': () => socket.end(`HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`),
        '/slow': () => {},
      };
      answers[target]?.();
    });
    const gone = await rawBackend(t);
    await gone.close();
    const { url, bearer, gate } = await proxyWorld(t, {
      routes: [
        { backends: [backend.url], timeoutMs: 200 },
        { path: '/gone', backends: [gone.url] },
      ],
    });
    const headers = { authorization: await bearer() };
    const ask = async (path: string): Promise<unknown[]> => {
      const answer = await fetch(`${url}${path}`, { headers });
      const { code, details } = (await answer.json()) as {
        code: number;
        details: { sentMaybe?: boolean };
      };
      return [answer.status, code, details?.sentMaybe];
    };
    for (const path of [
      '/reset',
      '/close',
      '/garbage',
      '/two-lengths',
      '/both',
      '/control',
      '/upgrade',
      '/head',
    ]) {
      t.strictSame((await ask(path)).slice(0, 2), [502, 4011], path);
    }
    t.strictSame(await ask('/slow'), [504, 4012, true]);
    t.strictSame(await ask('/gone'), [502, 4011, false]);
    t.strictSame([gate.total, gate.passed, gate.faults], [0, 10, []]);
    t.ok(gate.left.every((ok) => ok === false));
  },
);

t.test('an answer that breaks off breaks off at the client', async (t) => {
  const begin: Record<string, string> = {
    '/length': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc',
    '/chunked': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    '/idle': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc',
  };
  const backend = await rawBackend(t, (socket, { target }) => {
    socket.write(begin[target] as string);
    if (target !== '/idle') setTimeout(() => socket.destroy(), 30);
  });
  const { port, bearer, gate, joined } = await proxyWorld(t, {
    routes: [{ backends: [backend.url], idleMs: 100 }],
  });
  const authorization = await bearer();
  for (const path of Object.keys(begin)) {
    const client = new RawClient(port);
    client.send(`GET ${path} HTTP/1.1\r\n${HOST}Authorization: ${authorization}\r\n\r\n`);
    await client.closed;
    t.match(client.text, /abc(\r\n)?$/, path);
  }
  t.strictSame([gate.total, gate.left, gate.faults], [0, [false, false, false], []]);
  t.match(joined.proxy.counts.of('api'), {
    requests: { aborted: 3 },
    upstreamFailures: { reset: 2, idle: 1 },
  });
});

t.test(
  'a kept connection that was dead is replaced once, for requests that may come twice',
  async (t) => {
    const backend = await rawBackend(t, (socket, request, index) => {
      // The second request of a connection finds it dead, without a byte of an answer.
      if (socket.listenerCount('second') > 0) {
        socket.resetAndDestroy();
        return;
      }
      socket.on('second', () => {});
      plainAnswer(socket, request, index);
    });
    const { url, bearer } = await proxyWorld(t, { routes: [{ backends: [backend.url] }] });
    const headers = { authorization: await bearer() };
    const ask = async (method: string, body?: string): Promise<number> => {
      const answer = await fetch(url, { headers, method, ...(body === undefined ? {} : { body }) });
      await answer.text();
      await pause(20);
      return answer.status;
    };
    t.equal(await ask('GET'), 200);
    t.equal(await ask('GET'), 200, 'over a new connection');
    t.strictSame([backend.requests.length, backend.connections], [3, 2]);
    t.equal(await ask('POST', 'a'), 502, 'this one may have been processed');
    t.equal(await ask('POST', 'a'), 200);
    t.equal(await ask('PUT', 'a'), 502, 'a body is not sent twice');
    t.strictSame([backend.requests.length, backend.connections], [6, 3]);
  },
);

t.test('a fresh connection that dies is not replaced', async (t) => {
  const backend = await rawBackend(t, (socket) => socket.resetAndDestroy());
  const { url, bearer } = await proxyWorld(t, { routes: [{ backends: [backend.url] }] });
  t.equal((await fetch(url, { headers: { authorization: await bearer() } })).status, 502);
  t.equal(backend.requests.length, 1);
});

t.test('several backends: in turn, and another one where no connection is made', async (t) => {
  const one = await rawBackend(t);
  const two = await rawBackend(t);
  const { url, bearer, joined } = await proxyWorld(t, {
    routes: [{ backends: [one.url, two.url] }],
  });
  const headers = { authorization: await bearer() };
  for (let round = 0; round < 6; round += 1) await (await fetch(url, { headers })).text();
  t.strictSame([one.requests.length, two.requests.length], [3, 3]);
  await two.close();
  await pause(30);
  for (let round = 0; round < 6; round += 1) {
    t.equal((await fetch(url, { headers, method: 'POST', body: 'abc' })).status, 200);
  }
  t.equal(one.requests.length, 9);
  t.equal(
    joined.proxy.counts.of('api').upstreamFailures.refused,
    1,
    'it is left alone for a while',
  );
});

t.test('back-pressure both ways: nobody has to hold a body', async (t) => {
  const size = 48 * 1024 * 1024;
  const piece = Buffer.alloc(64 * 1024, 'x');
  const backend = await rawBackend(t, (socket, { target }) => {
    const head = target === '/measured' ? `Content-Length: ${size}` : 'Connection: close';
    socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`);
    let left = size / piece.length;
    const write = (): void => {
      while (left > 0) {
        left -= 1;
        if (!socket.write(piece)) {
          socket.once('drain', write);
          return;
        }
      }
      if (target !== '/measured') socket.end();
    };
    write();
  });
  const { port, bearer, gate } = await proxyWorld(t, { routes: [{ backends: [backend.url] }] });
  const authorization = await bearer();
  for (const path of ['/measured', '/unmeasured']) {
    const client = new RawClient(port);
    let bytes = 0;
    client.socket.removeAllListeners('data');
    client.socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    client.socket.pause();
    const before = process.memoryUsage();
    client.send(`GET ${path} HTTP/1.1\r\n${HOST}Authorization: ${authorization}\r\n\r\n`);
    await pause(400);
    const held = process.memoryUsage();
    const grown = held.arrayBuffers + held.external - before.arrayBuffers - before.external;
    t.ok(
      grown < 24 * 1024 * 1024,
      `${path}: ${(grown / 1e6).toFixed(1)} MB held while the client reads nothing`,
    );
    t.equal(gate.total, 1);
    client.socket.resume();
    await until(() => bytes >= size && gate.total === 0);
    client.socket.destroy();
  }
  t.strictSame(gate.left, [true, true]);
});

t.test('an upload stands still while its backend does not read', async (t) => {
  const { createServer } = await import('node:net');
  let read = 0;
  let resume = (): void => {};
  const server = createServer((socket) => {
    socket.pause();
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      read += chunk.length;
      if (read > size)
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    });
    resume = () => socket.resume();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.teardown(() => server.close());
  const size = 40 * 1024 * 1024;
  const { port: backend } = server.address() as { port: number };
  const { port, bearer, gate } = await proxyWorld(t, {
    routes: [{ backends: [`http://127.0.0.1:${backend}`] }],
  });
  const client = new RawClient(port);
  client.send(
    `POST / HTTP/1.1\r\n${HOST}Authorization: ${await bearer()}\r\nContent-Length: ${size}\r\n\r\n`,
  );
  client.socket.write(Buffer.alloc(size, 'y'));
  await pause(500);
  const waiting = client.socket.writableLength;
  t.ok(waiting > 0, 'the client is made to wait');
  t.equal(gate.total, 1);
  resume();
  await until(() => client.statuses.includes(200));
  t.equal(gate.total, 0);
});

t.test(
  'a stop: what waits is refused, what is under way goes on, what stays too long is cut',
  async (t) => {
    const answers = new Map<string, () => void>();
    const backend = await rawBackend(t, (...args) => {
      answers.set(args[1].target, () => plainAnswer(...args));
    });
    const { port, url, bearer, gate, joined } = await proxyWorld(t, {
      routes: [{ backends: [backend.url] }],
      terms: { limit: 2, waitersMax: 5 },
    });
    const authorization = await bearer();
    const headers = { authorization };
    const kept = new RawClient(port);
    await kept.connected;
    const first = fetch(`${url}/1`, { headers });
    const second = fetch(`${url}/2`, { headers });
    second.catch(() => {});
    await until(() => answers.size === 2);
    const third = fetch(`${url}/3`, { headers });
    await until(() => gate.waiting === 1);
    const drained = joined.drain(300);
    const refused = await third;
    t.equal(refused.status, 503);
    t.match(await refused.json(), { code: 1011 });
    kept.send(`GET /4 HTTP/1.1\r\n${HOST}Authorization: ${authorization}\r\n\r\n`);
    await kept.closed;
    t.strictSame(kept.statuses, [503]);
    answers.get('/1')?.();
    t.equal((await first).status, 200);
    await drained;
    t.equal(gate.total, 1);
    await joined.close();
    await t.rejects(second);
    t.strictSame([gate.total, gate.waiting, gate.givenUp, gate.faults], [0, 0, 1, []]);
    const late = new RawClient(port);
    await late.closed;
    t.equal(late.text, '', 'nobody listens any more');
  },
);

t.test('a request that lives too long ends', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    const timer = setInterval(() => socket.write('1\r\na\r\n'), 20);
    socket.on('close', () => clearInterval(timer));
  });
  const { port, bearer, gate } = await proxyWorld(t, {
    routes: [{ backends: [backend.url], lifeMs: 200 }],
  });
  const client = new RawClient(port);
  client.send(`GET / HTTP/1.1\r\n${HOST}Authorization: ${await bearer()}\r\n\r\n`);
  await client.closed;
  t.match(client.text, /\r\n1\r\na/);
  await until(() => backend.sockets.size === 0);
  t.equal(gate.total, 0);
});
