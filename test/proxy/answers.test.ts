// What backends answer that is no answer, and backends that die behind any byte: the client gets a refusal or a broken
// connection, never the bytes, and nothing of it reaches the next answer.
import type { Socket } from 'node:net';
import t from 'tap';
import { badAnswers, goodAnswers } from '../support/answer-corpus.ts';
import { proxyWorld, RawClient, until } from './harness.ts';
import { rawBackend } from './raw-backend.ts';

const HOST = 'Host: api.example.com\r\n';
const GOOD = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood';

async function world(t: Parameters<typeof rawBackend>[0], say: (socket: Socket) => void) {
  const backend = await rawBackend(t, (socket, { target }) => {
    if (target === '/good') socket.write(GOOD);
    else say(socket);
  });
  const { port, bearer, gate } = await proxyWorld(t, {
    routes: [{ backends: [backend.url], timeoutMs: 5_000 }],
  });
  const authorization = await bearer();
  const request = (target: string): string =>
    `GET ${target} HTTP/1.1\r\n${HOST}Authorization: ${authorization}\r\n\r\n`;
  return { backend, port, gate, request };
}

t.test('what is no answer is 502, and nothing of it is seen', async (t) => {
  let now = { raw: '', ends: false };
  const { backend, port, gate, request } = await world(t, (socket) => {
    socket.write(Buffer.from(now.raw, 'latin1'));
    if (now.ends) socket.end();
  });
  const client = new RawClient(port);
  for (const [name, { raw, ends = false }] of Object.entries(badAnswers)) {
    now = { raw, ends };
    client.text = '';
    client.send(request('/bad'));
    await until(() => client.text.includes('"reason"'));
    t.match(
      client.text,
      /^HTTP\/1\.1 502 [\s\S]*"code":4011,[\s\S]*"reason":"(badAnswer|tooLarge|reset)","sentMaybe":true/,
      name,
    );
    await until(() => backend.sockets.size === 0);
    client.text = '';
    client.send(request('/good'));
    await until(() => client.text.endsWith('good'));
    t.match(client.text, /^HTTP\/1\.1 200 OK\r\n/, name);
    for (const socket of backend.sockets) socket.destroy();
    await until(() => backend.sockets.size === 0);
  }
  t.notOk(client.isClosed, 'on one connection of the client');
  t.strictSame([gate.total, gate.faults, backend.faults], [0, [], []]);
});

t.test('what follows an answer is dropped, and its connection with it', async (t) => {
  const { raw } = goodAnswers['a second answer behind it'] as { readonly raw: string };
  const { backend, port, request } = await world(t, (socket) => socket.write(raw));
  const client = new RawClient(port);
  for (let round = 1; round <= 5; round += 1) {
    client.text = '';
    client.send(request('/two'));
    await until(() => client.text.endsWith('\r\n\r\nab'));
    client.send(request('/good'));
    await until(() => client.text.endsWith('good'));
    t.strictSame(client.statuses, [200, 200]);
    t.notMatch(client.text, 'evil');
  }
  t.equal(backend.connections, 6, 'the good ones share theirs');
});

t.test('a backend that dies behind any byte', async (t) => {
  const raws = [
    'HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 12\r\n\r\nabcdefghijkl',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0a\r\ndefghijklm\r\n0\r\nT: u\r\n\r\n',
  ];
  let cut = { raw: '', resets: false, waits: false };
  const { backend, port, gate, request } = await world(t, (socket) => {
    socket.write(cut.raw, () => {
      const end = (): void => {
        if (cut.resets) socket.resetAndDestroy();
        else socket.end();
      };
      if (cut.waits) setTimeout(end, 5);
      else end();
    });
  });
  const ends = { whole: 0, failed: 0, broken: 0 };
  for (const raw of raws) {
    for (let bytes = 0; bytes <= raw.length; bytes += 1) {
      cut = { raw: raw.slice(0, bytes), resets: bytes % 2 === 0, waits: bytes % 3 === 0 };
      const client = new RawClient(port);
      client.send(request(`/${bytes}`));
      const isAll = (): boolean => /\r\n\r\n(abcdefghijkl|abcdefghijklm)$/.test(client.text);
      const isRefused = (): boolean => client.text.includes('"code":4011');
      await until(() => client.isClosed || isAll() || isRefused());
      await until(() => gate.total === 0);
      const [isFailed, isWhole] = [client.statuses[0] === 502, isAll()];
      if (isWhole) ends.whole += 1;
      else if (isFailed) ends.failed += 1;
      else ends.broken += 1;
      // A reset may overtake the last bytes.
      if (bytes < raw.length && isWhole)
        t.fail(`complete after ${bytes} bytes of ${JSON.stringify(raw)}`);
      if (isFailed) t.match(client.text, /"code":4011/);
      else if (!isWhole) t.ok(client.isClosed, 'what is not all ends the connection');
      client.socket.destroy();
    }
  }
  t.comment(JSON.stringify(ends));
  t.ok(ends.whole > 0 && ends.failed > 50 && ends.broken > 5);
  await until(() => gate.total === 0 && backend.sockets.size === 0);
  t.equal(gate.left.length, gate.passed);
  t.strictSame(gate.faults, []);
});
