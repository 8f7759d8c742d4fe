// What a request gets from peers that answer, stall, break off, flood or do not speak HTTP.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createTls } from 'node:https';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { OutboundError } from '../../src/outbound/outbound-error.ts';
import { httpPeer, localClient } from '../support/http-peer.ts';

const failureOf = async (work: Promise<unknown>): Promise<[string, boolean]> => {
  try {
    await work;
    return ['answered', true];
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    return [error.kind, error.sentMaybe];
  }
};

/** A server that says what it is told to, byte for byte, to each connection. */
async function rawPeer(t: Test, talk: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    talk(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

t.test('request and answer', async (t) => {
  const peer = await httpPeer((response, { url }) => {
    response.writeHead(url === '/gone' ? 410 : 200, { 'x-a': ['1', '2'], 'retry-after': '7' });
    response.end('0123456789');
  });
  const client = localClient();
  t.teardown(() => Promise.all([peer.close(), client.close()]));
  const answer = await client.send({
    url: `${peer.url}/a%20b?x=1#fragment`,
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Own': 'v' },
    body: '{"ü":1}',
    timeoutMs: 1_000,
    answerBytesMax: 4,
  });
  t.equal(answer.status, 200);
  t.equal(answer.body.toString(), '0123', 'cut at the bound');
  t.strictSame(answer.headers['x-a'], ['1', '2']);
  t.ok(answer.ms > 0 && answer.ms < 1_000);
  const [got] = peer.received;
  t.match(got, { method: 'POST', url: '/a%20b?x=1', body: '{"ü":1}' });
  t.match(got?.headers, {
    host: `127.0.0.1:${peer.port}`,
    'accept-encoding': 'identity',
    'content-type': 'application/json',
    'content-length': '8',
    'x-own': 'v',
  });
  const gone = await client.send({ url: `${peer.url}/gone`, method: 'GET', timeoutMs: 1_000 });
  t.equal(gone.status, 410);
  t.equal(gone.body.length, 0);
  t.equal(gone.headers['retry-after'], '7');
  t.equal(peer.connections(), 1, 'the socket was used again');
  t.match(client.numbers, { requests: 2, failed: 0, sockets: 1, idle: 1, waiting: 0, origins: 1 });
});

t.test('headers that would make something else of the request', async (t) => {
  const client = localClient();
  t.teardown(() => client.close());
  for (const headers of [
    { Host: 'other' },
    { connection: 'close' },
    { 'transfer-encoding': 'chunked' },
    { 'content-length': '1' },
    { 'Accept-Encoding': 'gzip' },
    { 'x-a': 'b\r\nx-c: d' },
    { 'x-a': 'ü' },
    { 'x a': 'b' },
    { '': 'b' },
  ]) {
    const work = client.send({
      url: 'http://127.0.0.1:1/',
      method: 'GET',
      timeoutMs: 500,
      headers,
    });
    t.strictSame(await failureOf(work), ['badUrl', false], JSON.stringify(headers));
  }
});

t.test('an unasked 100 Continue means nothing, however it comes', async (t) => {
  const client = localClient();
  t.teardown(() => client.close());
  const go = 'HTTP/1.1 100 Continue\r\n\r\n';
  const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n';
  // A body may say it too.
  const body = `${go}4711`;
  const texts = {
    'with the answer': [`${go}${answer}${body}`],
    'before it': [go, answer, body],
    twice: [`${go}${go}`, `${answer}`, body],
    'with headers': [`HTTP/1.1 100 Continue\r\nx-a: b\r\n\r\n`, answer, body],
    'byte by byte': [...`${go}${answer}`, body],
    'an answer alone': [...answer, body],
  };
  for (const [how, pieces] of Object.entries(texts)) {
    let connections = 0;
    const url = await rawPeer(t, (socket) => {
      connections += 1;
      socket.setNoDelay(true);
      socket.on('data', async () => {
        for (const piece of pieces) {
          socket.write(piece);
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      });
    });
    for (let count = 0; count < 3; count += 1) {
      const request = { method: 'POST', body: 'x', timeoutMs: 5_000, answerBytesMax: 99 } as const;
      const got = await client.send({ url, ...request });
      t.strictSame([got.status, got.body.toString()], [200, body], how);
    }
    t.equal(connections, 1, 'the socket was used again');
  }
});

t.test('an answer that breaks off behind its head tells the head', async (t) => {
  const client = localClient();
  t.teardown(() => client.close());
  const half = 'HTTP/1.1 503 Later\r\nretry-after: 7\r\ncontent-length: 5\r\n\r\nab';
  for (const isEnd of [true, false]) {
    const url = await rawPeer(t, (socket) =>
      socket.once('data', () => (isEnd ? socket.end(half) : socket.write(half))),
    );
    const work = client.send({ url, method: 'POST', timeoutMs: 300, answerBytesMax: 99 });
    const error = await work.catch((failure: unknown) => failure);
    t.match(error, { head: { status: 503, headers: { 'retry-after': '7' } }, sentMaybe: true });
  }
  const silent = await rawPeer(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 2')));
  const work = client.send({ url: silent, method: 'POST', timeoutMs: 300 });
  const failure = await work.catch((error: unknown) => error);
  t.match(failure, { kind: 'reset', head: undefined });
});

t.test('peers that fail, and whether they may have the request', async (t) => {
  const client = localClient({ connectTimeoutMs: 300 });
  t.teardown(() => client.close());
  const post = (url: string) =>
    failureOf(client.send({ url, method: 'POST', body: 'x', timeoutMs: 400, answerBytesMax: 99 }));
  t.strictSame(await post('http://127.0.0.1:1/'), ['refused', false]);
  t.strictSame(await post('https://127.0.0.1:1/'), ['refused', false]);
  const silent = await rawPeer(t, () => {});
  t.strictSame(await post(silent), ['timeout', true]);
  const breaking = await rawPeer(t, (socket) => socket.once('data', () => socket.destroy()));
  t.strictSame(await post(breaking), ['reset', true]);
  const halfAnswer = await rawPeer(t, (socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab')),
  );
  t.strictSame(await post(halfAnswer), ['reset', true]);
  const stalling = await rawPeer(t, (socket) =>
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab')),
  );
  t.strictSame(await post(stalling), ['timeout', true]);
  const notHttp = await rawPeer(t, (socket) =>
    socket.once('data', () => socket.write('220 smtp\r\n')),
  );
  t.strictSame(await post(notHttp), ['reset', true]);
  t.strictSame(await post(notHttp.replace('http:', 'https:')), ['tls', false]);
  const longHead = await rawPeer(t, (socket) =>
    socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)),
  );
  t.strictSame(await post(longHead), ['tooLarge', true]);
  t.equal(client.numbers.sockets, 0, 'no socket of a failure is kept');
});

t.test('an answer that counts with its head', async (t) => {
  const endless = await rawPeer(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
        const flood = setInterval(() => socket.write(`4000\r\n${'z'.repeat(0x4000)}\r\n`), 1);
        socket.on('close', () => clearInterval(flood));
      });
    });
  });
  const client = localClient();
  t.teardown(() => client.close());
  const post = () =>
    client.send({ url: endless, method: 'POST', timeoutMs: 5_000, expectBody: false });
  t.equal((await post()).status, 204);
  const { status, body, ms } = await post();
  t.strictSame([status, body.length], [200, 0]);
  t.ok(ms < 2_500);
  while (client.numbers.sockets > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.pass('the socket of the flood was ended');
});

t.test('a flood is cut where the body is kept', async (t) => {
  const flood = await rawPeer(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      const timer = setInterval(() => socket.write(`4000\r\n${'z'.repeat(0x4000)}\r\n`), 1);
      socket.on('close', () => clearInterval(timer));
    });
  });
  const client = localClient();
  t.teardown(() => client.close());
  const { body } = await client.send({
    url: flood,
    method: 'GET',
    timeoutMs: 2_000,
    answerBytesMax: 20_000,
  });
  t.equal(body.length, 20_000);
  t.equal(client.numbers.sockets, 0);
});

t.test('sockets are bounded, and origins take turns', async (t) => {
  const order: string[] = [];
  const slow = await httpPeer((response, { url }) => {
    order.push(url);
    setTimeout(() => response.end(), 20);
  });
  const client = localClient({ socketsMax: 3, socketsPerOriginMax: 2 });
  t.teardown(() => Promise.all([slow.close(), client.close()]));
  const origins = ['127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1'];
  const many = origins.map((host, index) =>
    client.send({ url: `http://${host}:${slow.port}/a${index}`, method: 'GET', timeoutMs: 2_000 }),
  );
  t.match(client.numbers, { sockets: 2, waiting: 4 }, 'two to one origin');
  await Promise.all(many);
  t.equal(slow.connections(), 2);

  const six = await httpPeer((response) => setTimeout(() => response.end(), 20), {
    host: '::1',
  });
  t.teardown(() => six.close());
  const others = [0, 1, 2, 3].map((index) =>
    client.send({ url: `${six.url}/b${index}`, method: 'GET', timeoutMs: 2_000 }),
  );
  t.ok(client.numbers.sockets <= 3);
  const again = [0, 1, 2].map((index) =>
    client.send({ url: `${slow.url}/c${index}`, method: 'GET', timeoutMs: 2_000 }),
  );
  t.equal(client.numbers.sockets, 3, 'an idle one gave way');
  await Promise.all([...others, ...again]);
  t.ok(client.numbers.sockets <= 3);
  t.equal(client.numbers.waiting, 0);
});

t.test('an origin that hangs keeps no other from its turn', async (t) => {
  const hanging = await httpPeer(() => {});
  const fine = await httpPeer();
  const client = localClient({ socketsMax: 2, socketsPerOriginMax: 2 });
  t.teardown(() => Promise.all([hanging.close(), fine.close(), client.close()]));
  const stuck = Array.from({ length: 6 }, () =>
    failureOf(client.send({ url: hanging.url, method: 'GET', timeoutMs: 150 })),
  );
  const { status } = await client.send({ url: fine.url, method: 'GET', timeoutMs: 1_000 });
  t.equal(status, 200);
  t.strictSame(
    (await Promise.all(stuck)).map(([kind]) => kind),
    Array.from({ length: 6 }, () => 'timeout'),
  );
  t.strictSame(client.numbers.waiting, 0);
});

t.test('a peer that closes after each answer', async (t) => {
  const peer = await httpPeer((response) => {
    response.setHeader('connection', 'close');
    response.end('x');
  });
  const client = localClient();
  t.teardown(() => Promise.all([peer.close(), client.close()]));
  for (let index = 0; index < 20; index += 1) {
    const { status } = await client.send({ url: peer.url, method: 'POST', timeoutMs: 1_000 });
    t.equal(status, 200);
  }
  t.equal(peer.connections(), 20);
});

t.test('certificates are checked', async (t) => {
  const folder = t.testdir();
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=peer.test', '-addext', 'subjectAltName=DNS:peer.test'];
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  execFileSync(
    'openssl',
    [...made, '-nodes', '-keyout', key, '-out', cert, '-days', '2', ...subject],
    {
      stdio: 'ignore',
    },
  );
  const pem = readFileSync(cert, 'utf8');
  let hits = 0;
  const server = createTls({ key: readFileSync(key), cert: pem }, (_, response) => {
    hits += 1;
    response.end('secret');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const resolve = () => Promise.resolve(['127.0.0.1']);
  const trusting = localClient({ resolve, ca: [pem] });
  const strict = localClient({ resolve });
  t.teardown(async () => {
    await Promise.all([trusting.close(), strict.close()]);
    server.close();
  });
  const get = (client: typeof strict, host: string) =>
    failureOf(client.send({ url: `https://${host}:${port}/`, method: 'GET', timeoutMs: 1_000 }));
  t.strictSame(await get(trusting, 'peer.test'), ['answered', true]);
  t.strictSame(await get(trusting, 'other.test'), ['tls', false], 'another name');
  t.strictSame(await get(trusting, '127.0.0.1'), ['tls', false], 'an address');
  t.strictSame(await get(strict, 'peer.test'), ['tls', false], 'nobody vouches for it');
  t.equal(hits, 1);
});

t.test('closing ends what is under way', async (t) => {
  const hanging = await httpPeer(() => {});
  t.teardown(() => hanging.close());
  const client = localClient({ socketsPerOriginMax: 1 });
  const get = () => failureOf(client.send({ url: hanging.url, method: 'GET', timeoutMs: 5_000 }));
  const works = [get(), get()];
  while (hanging.received.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await client.close();
  t.strictSame(await Promise.all(works), [
    ['reset', true],
    ['reset', false],
  ]);
  t.strictSame(await get(), ['reset', false]);
  t.equal(client.numbers.sockets, 0);
});
