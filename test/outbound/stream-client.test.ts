// Connections of the streaming client: when one is used again, when never, what goes over it, and how it ends.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import t, { type Test } from 'tap';
import type { OutboundError } from '../../src/outbound/outbound-error.ts';
import {
  type Exchange,
  StreamClient,
  type StreamClientOptions,
  type StreamRequest,
} from '../../src/outbound/stream-client.ts';
import { makeCertificate, noOpenssl } from '../support/certificate.ts';

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

interface Peer {
  readonly origin: string;
  /** What each connection brought, in order of connecting. */
  readonly got: string[];
  readonly sockets: Socket[];
}

type Certificate = ReturnType<typeof makeCertificate>;

/** A server that is told each piece it gets; with a certificate over TLS. */
async function peer(
  t: Test,
  talk: (socket: Socket, text: string, connection: number) => void,
  certificate?: Certificate,
): Promise<Peer> {
  const got: string[] = [];
  const sockets: Socket[] = [];
  const take = (socket: Socket): void => {
    const connection = sockets.push(socket) - 1;
    got.push('');
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      got[connection] += chunk.toString('latin1');
      talk(socket, chunk.toString('latin1'), connection);
    });
  };
  const server = certificate === undefined ? createServer(take) : createTls(certificate, take);
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const origin =
    certificate === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`;
  return { origin, got, sockets };
}

function clientOf(t: Test, options: Partial<StreamClientOptions> = {}): StreamClient {
  const client = new StreamClient({
    connectTimeoutMs: 1_000,
    socketsMax: 100,
    socketsPerOriginMax: 100,
    ...options,
  });
  t.teardown(() => client.close());
  return client;
}

interface Asked {
  readonly exchange: Exchange;
  /** `200 body`, or the error's kind and whether it may have been sent. */
  readonly end: Promise<string>;
}

function ask(client: StreamClient, request: Partial<StreamRequest> & { origin: string }): Asked {
  let settle: (text: string) => void = () => {};
  const end = new Promise<string>((resolve) => {
    settle = resolve;
  });
  let status = 0;
  let body = '';
  const whole: StreamRequest = {
    method: 'GET',
    target: '/',
    host: undefined,
    lines: '',
    body: undefined,
    length: undefined,
    idempotent: true,
    ...request,
  };
  const exchange = client.send(whole, {
    head: (code) => {
      status = code;
    },
    data: (chunk) => {
      body += Buffer.from(chunk).toString('latin1');
      return true;
    },
    paused: () => {},
    end: () => settle(`${status} ${body}`),
    failed: ({ kind, sentMaybe }: OutboundError) => settle(`${kind} ${sentMaybe}`),
    room: () => {},
  });
  return { exchange, end };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

t.test('one request after another goes over one connection, in one write each', async (t) => {
  const pieces: string[] = [];
  const { origin, sockets } = await peer(t, (socket, text) => {
    pieces.push(text);
    socket.write(ANSWER);
  });
  const client = clientOf(t);
  const host = `host: ${new URL(origin).host}\r\nconnection: keep-alive\r\n`;
  t.equal(await ask(client, { origin, target: '/a?b', lines: 'x-a: b\r\n' }).end, '200 ok');
  t.equal(await ask(client, { origin, method: 'POST', body: Buffer.from('abc') }).end, '200 ok');
  t.equal(await ask(client, { origin, method: 'POST', host: 'h:1' }).end, '200 ok');
  t.strictSame(pieces, [
    `GET /a?b HTTP/1.1\r\n${host}x-a: b\r\n\r\n`,
    `POST / HTTP/1.1\r\n${host}content-length: 3\r\n\r\nabc`,
    'POST / HTTP/1.1\r\nhost: h:1\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n',
  ]);
  t.equal(sockets.length, 1);
  t.match(client.numbers, { sockets: 1, idle: 1, waiting: 0 });
});

t.test(
  'a body that streams: in chunks, against a length, before there is a connection',
  async (t) => {
    const { origin, got } = await peer(t, (socket, text) => {
      if (text.endsWith('0\r\n\r\n') || text.endsWith('!')) socket.write(ANSWER);
    });
    const client = clientOf(t);
    const bodyOf = (): string => got[0]?.split('\r\n\r\n').slice(1).join('\r\n\r\n') ?? '';
    const chunked = ask(client, { origin, method: 'POST', body: 'stream', idempotent: false });
    t.ok(chunked.exchange.write(Buffer.from('abc')));
    chunked.exchange.write(Buffer.alloc(0));
    await pause(30);
    chunked.exchange.write(Buffer.from('0123456789012345'));
    chunked.exchange.finish();
    t.equal(await chunked.end, '200 ok');
    t.equal(bodyOf(), '3\r\nabc\r\n10\r\n0123456789012345\r\n0\r\n\r\n');
    got[0] = '';
    const stream = { origin, method: 'POST', body: 'stream', idempotent: false } as const;
    const measured = ask(client, { ...stream, length: 4 });
    measured.exchange.write(Buffer.from('abc'));
    await pause(30);
    measured.exchange.write(Buffer.from('!'));
    measured.exchange.finish();
    t.equal(await measured.end, '200 ok');
    t.equal(bodyOf(), 'abc!');
    t.equal(got.length, 1, 'over one connection');
    const longer = ask(client, { ...stream, length: 2 });
    longer.exchange.write(Buffer.from('abc'));
    t.equal(await longer.end, 'badUrl true', 'more than it was said to be');
    const shorter = ask(client, { ...stream, length: 5 });
    shorter.exchange.write(Buffer.from('abc'));
    shorter.exchange.finish();
    t.match(await shorter.end, /^badUrl /, 'less than it was said to be');
  },
);

t.test('a head that would become two is not sent', async (t) => {
  const { origin, got } = await peer(t, (socket) => socket.write(ANSWER));
  const client = clientOf(t);
  const bad: Partial<StreamRequest>[] = [
    { lines: 'a: b\r\n\r\nGET /evil HTTP/1.1\r\n' },
    { lines: 'a: b\nc: d\r\n' },
    { lines: 'a: b' },
    { lines: 'a : b\r\n' },
    { lines: 'a: \0\r\n' },
    { target: '/ HTTP/1.1\r\nx: y' },
    { target: '/a b' },
    { target: 'a' },
    { target: '/\xe9' },
    { method: 'GET / HTTP/1.1\r\n' },
    { method: 'get' },
    { host: 'a\r\nb: c' },
    { host: '' },
  ];
  for (const request of bad) {
    t.equal(await ask(client, { origin, ...request }).end, 'badUrl false', JSON.stringify(request));
  }
  t.strictSame(
    got.filter((text) => text !== ''),
    [],
  );
});

t.test('bytes that nobody asked for end a connection that is idle', async (t) => {
  const { origin, sockets, got } = await peer(t, (socket, _, connection) => {
    socket.write(ANSWER);
    if (connection === 0) setTimeout(() => socket.write('HTTP/1.1 200 OK\r\n'), 20);
  });
  const client = clientOf(t);
  t.equal(await ask(client, { origin }).end, '200 ok');
  t.match(client.numbers, { idle: 1 });
  await once(sockets[0] as Socket, 'close');
  t.match(client.numbers, { sockets: 0, idle: 0 });
  t.equal(await ask(client, { origin, method: 'POST' }).end, '200 ok');
  t.equal(got.length, 2);
});

t.test('what a peer says of its connection is kept', async (t) => {
  const lines: Record<string, string> = {
    '/close': 'Connection: close\r\n',
    '/now': 'Keep-Alive: timeout=2\r\n',
    '/soon': 'Keep-Alive: timeout=3, max=9\r\n',
    '/long': 'Keep-Alive: timeout=3600\r\n',
  };
  const { origin, got } = await peer(t, (socket, text) => {
    const [, target = ''] = text.split(' ');
    socket.write(`HTTP/1.1 200 OK\r\n${lines[target]}Content-Length: 0\r\n\r\n`);
  });
  const client = clientOf(t);
  for (const target of ['/close', '/now']) {
    t.equal(await ask(client, { origin, target }).end, '200 ');
    t.match(client.numbers, { sockets: 0 }, target);
  }
  t.equal(await ask(client, { origin, target: '/soon' }).end, '200 ');
  t.match(client.numbers, { idle: 1 });
  await pause(1_100);
  t.match(client.numbers, { sockets: 0 }, 'a second before it said');
  t.equal(await ask(client, { origin, target: '/long' }).end, '200 ');
  await pause(1_100);
  t.match(client.numbers, { idle: 1 });
  t.equal(got.length, 4);
});

t.test('an answer before the whole request leaves a connection nobody uses', async (t) => {
  const { origin, got, sockets } = await peer(t, (socket) => socket.write(ANSWER));
  const client = clientOf(t);
  const body = { method: 'POST', body: 'stream', idempotent: false } as const;
  const early = ask(client, { origin, ...body });
  early.exchange.write(Buffer.from('abc'));
  t.equal(await early.end, '200 ok');
  await once(sockets[0] as Socket, 'close');
  t.ok(early.exchange.write(Buffer.from('late')), 'what comes later goes nowhere');
  early.exchange.finish();
  t.equal(await ask(client, { origin }).end, '200 ok');
  t.equal(got.length, 2);
  t.notMatch(got.join(), 'late');
});

t.test('an abort at every moment gives its socket back', async (t) => {
  const { origin } = await peer(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc');
  });
  const client = clientOf(t, { socketsPerOriginMax: 1 });
  for (const afterMs of [0, 1, 30]) {
    const first = ask(client, { origin });
    const waiting = ask(client, { origin });
    t.match(client.numbers, { sockets: 1, waiting: 1 });
    if (afterMs > 0) await pause(afterMs);
    waiting.exchange.abort();
    first.exchange.abort();
    first.exchange.abort();
    t.match(client.numbers, { sockets: 0, waiting: 0 }, `after ${afterMs} ms`);
  }
});

t.test('past the sockets of an origin requests wait for one', async (t) => {
  const { origin, got } = await peer(t, (socket) => setTimeout(() => socket.write(ANSWER), 5));
  const client = clientOf(t, { socketsPerOriginMax: 2 });
  const all = Array.from({ length: 20 }, () => ask(client, { origin }).end);
  t.match(client.numbers, { sockets: 2, waiting: 18 });
  t.ok((await Promise.all(all)).every((end) => end === '200 ok'));
  t.equal(got.length, 2);
});

t.test('a peer that makes no connection is given up in time', async (t) => {
  // It takes the connection and never says a word of TLS.
  const { origin } = await peer(t, () => {});
  const client = clientOf(t, { connectTimeoutMs: 100 });
  const secure = origin.replace('http:', 'https:');
  t.equal(await ask(client, { origin: secure }).end, 'timeout false');
  t.equal(await ask(client, { origin: 'http://127.0.0.1:1' }).end, 'refused false');
  t.equal(await ask(client, { origin: 'http://nowhere.invalid' }).end, 'dns false');
  t.match(client.numbers, { sockets: 0, origins: 0 });
});

t.test('a connection that is there after a stall of this process is not too late', async (t) => {
  const { origin } = await peer(t, (socket) => socket.write(ANSWER));
  const client = clientOf(t, { connectTimeoutMs: 100 });
  const { end } = ask(client, { origin });
  // The connection is under way; it is made while this thread does something else.
  await new Promise((resolve) => process.nextTick(resolve));
  const untilMs = performance.now() + 300;
  while (performance.now() < untilMs);
  t.equal(await end, '200 ok');
});

t.test('a close fails what is under way and what waits', async (t) => {
  const { origin } = await peer(t, () => {});
  const client = clientOf(t, { socketsPerOriginMax: 1 });
  const [first, waiting] = [ask(client, { origin }), ask(client, { origin })];
  await pause(30);
  await client.close();
  t.strictSame([await first.end, await waiting.end], ['reset true', 'reset false']);
  t.equal(await ask(client, { origin }).end, 'reset false');
});

async function readSlowly(t: Test, certificate?: Certificate): Promise<void> {
  const size = 30_000_000;
  const talk = (socket: Socket): void => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
    socket.write(Buffer.alloc(size, 'x'));
  };
  const { origin, sockets } = await peer(t, talk, certificate);
  const client = clientOf(t, certificate === undefined ? {} : { ca: [certificate.cert] });
  let [bytes, parts] = [0, 0];
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const request = { origin, method: 'GET', target: '/', lines: '', idempotent: true };
  const exchange = client.send(
    { ...request, host: undefined, body: undefined, length: undefined },
    {
      head: () => {},
      data: (chunk) => {
        bytes += chunk.byteLength;
        parts += 1;
        return parts % 2 === 0;
      },
      paused: () => {},
      end,
      failed: (error) => t.fail(error.message),
      room: () => {},
    },
  );
  await pause(300);
  t.ok(bytes < 300_000, 'nothing more is read');
  t.ok((sockets[0] as Socket).writableLength > 0, 'the peer waits');
  const timer = setInterval(() => exchange.resume(), 1);
  await ended;
  clearInterval(timer);
  t.equal(bytes, size);
  t.match(client.numbers, { idle: 1 });
}

t.test('who reads slowly makes the peer wait', (t) => readSlowly(t));

t.test('over TLS, too; the certificate is that of the origin', { skip: noOpenssl }, async (t) => {
  const certificate = makeCertificate();
  await readSlowly(t, certificate);
  const { origin } = await peer(t, (socket) => socket.write(ANSWER), certificate);
  const client = clientOf(t, { ca: [certificate.cert] });
  t.equal(await ask(client, { origin, host: 'other.example.com' }).end, '200 ok');
  t.equal(await ask(client, { origin: origin.replace('localhost', '127.0.0.1') }).end, 'tls false');
  t.equal(await ask(clientOf(t), { origin }).end, 'tls false', 'nobody vouches for it');
});
