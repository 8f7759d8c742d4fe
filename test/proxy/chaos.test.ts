// Hundreds of requests at once, each with bodies of its own pattern, clients that leave at any moment and backends that fail in
// any way: every body is whole and its own or visibly broken, and at the end nothing is counted, held or open.
import type { Socket } from 'node:net';
import t from 'tap';
import { pause, proxyWorld, RawClient, until } from './harness.ts';
import { type RawRequest, rawBackend } from './raw-backend.ts';

const HOST = 'Host: api.example.com\r\n';
const REQUESTS = 700;
const AT_ONCE = 120;

/** mulberry32: the seed is printed, so a run can be repeated. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The body of a request or an answer: every piece tells whose it is. */
function pattern(id: number, bytes: number): string {
  const piece = `<${id}:${bytes}>`;
  return piece.repeat(Math.ceil(bytes / piece.length)).slice(0, bytes);
}

function answer(socket: Socket, { target, body }: RawRequest, random: () => number): void {
  const url = new URL(target, 'http://x');
  const number = (name: string): number => Number(url.searchParams.get(name));
  const [id, sent, bytes] = [number('id'), number('sent'), number('bytes')];
  if (body !== pattern(id, sent)) throw new Error(`the body of ${id} is not its own`);
  const content = pattern(id, bytes);
  const kind = random();
  const after = random() * 20;
  const write = (text: string): void => {
    if (!socket.destroyed) socket.write(text);
  };
  setTimeout(() => {
    if (kind < 0.05) socket.resetAndDestroy();
    else if (kind < 0.1) {
      write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes + 1}\r\n\r\n${content}`);
      socket.end();
    } else if (kind < 0.14) {
      write(
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${(bytes || 1).toString(16)}\r\n${content}`,
      );
      socket.resetAndDestroy();
    } else if (kind < 0.17) {
      // Nothing: its time has to end it.
    } else if (kind < 0.5) {
      const chunks = bytes === 0 ? '' : `${bytes.toString(16)}\r\n${content}\r\n`;
      write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    } else {
      const half = Math.floor(bytes / 2);
      write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n${content.slice(0, half)}`);
      setTimeout(() => write(content.slice(half)), random() * 10);
    }
  }, after);
}

/** The body of an answer, or undefined when it is not all there. */
function wholeBody(text: string): string | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const length = /content-length: (\d+)/i.exec(text.slice(0, end))?.[1];
  const rest = text.slice(end + 4);
  if (length !== undefined)
    return rest.length >= Number(length) ? rest.slice(0, Number(length)) : undefined;
  let body = '';
  for (let at = 0; ; ) {
    const line = rest.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = Number.parseInt(rest.slice(at, line), 16);
    if (size === 0) return rest.length >= line + 4 ? body : undefined;
    if (rest.length < line + 2 + size + 2) return undefined;
    body += rest.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
}

t.test('whatever happens, nothing stays and nothing is mixed up', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  t.comment(`seed ${seed}`);
  const random = randomOf(seed);
  const mixed: string[] = [];
  const backend = await rawBackend(t, (socket, request) => {
    try {
      answer(socket, request, random);
    } catch (error) {
      mixed.push((error as Error).message);
    }
  });
  const { port, bearer, gate, joined } = await proxyWorld(t, {
    routes: [{ backends: [backend.url], timeoutMs: 2_000, idleMs: 2_000 }],
    listener: { socketsPerBackend: 40 },
    terms: { limit: 15, waitersMax: 20, waitMs: 1_000 },
  });
  const tenants = await Promise.all(['a', 'b', 'c'].map((tenant) => bearer(tenant)));
  const outcomes = { whole: 0, broken: 0, refused: 0, left: 0, failed: 0 };

  const one = async (id: number): Promise<void> => {
    const sizes = [0, 1, 100, 5_000, 70_000, 300_000];
    const size = (): number => sizes[Math.floor(random() * sizes.length)] as number;
    const [sent, bytes] = [random() < 0.5 ? 0 : size(), size()];
    const isChunked = sent > 0 && random() < 0.4;
    const client = new RawClient(port);
    await client.connected;
    const authorization = tenants[id % tenants.length];
    const framing = isChunked
      ? 'Transfer-Encoding: chunked\r\n'
      : sent > 0
        ? `Content-Length: ${sent}\r\n`
        : '';
    const method = sent > 0 ? 'POST' : 'GET';
    const head = `${method} /x?id=${id}&sent=${sent}&bytes=${bytes} HTTP/1.1\r\n${HOST}Authorization: ${authorization}\r\n${framing}\r\n`;
    const body = pattern(id, sent);
    const raw = `${head}${isChunked ? `${sent.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body}`;
    // A third leaves: before its head is there, in the middle of its body, while it waits, while it is answered.
    const leaves = random() < 0.33 ? random() : undefined;
    const cut =
      leaves !== undefined && random() < 0.4 ? Math.floor(raw.length * leaves) : raw.length;
    const pieces = 1 + Math.floor(random() * 3);
    for (let piece = 0; piece < pieces; piece += 1) {
      client.send(
        raw.slice(Math.floor((cut * piece) / pieces), Math.floor((cut * (piece + 1)) / pieces)),
      );
      if (piece + 1 < pieces) await pause(random() * 8);
    }
    if (leaves !== undefined) {
      await pause(random() * 60);
      if (random() < 0.5) client.socket.resetAndDestroy();
      else client.socket.destroy();
      outcomes.left += 1;
      return;
    }
    await until(() => client.isClosed || wholeBody(client.text) !== undefined);
    const got = wholeBody(client.text);
    client.socket.destroy();
    const status = client.statuses[0];
    if (got === undefined) outcomes.broken += 1;
    else if (status === 200) {
      outcomes.whole += 1;
      if (got !== pattern(id, bytes)) mixed.push(`the answer of ${id} is not its own`);
    } else if (status === 429) outcomes.refused += 1;
    else if (status === 502 || status === 504) outcomes.failed += 1;
    else mixed.push(`${id}: status ${status}`);
  };

  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < REQUESTS) {
      next += 1;
      await one(next);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await until(() => gate.total === 0 && gate.waiting === 0 && joined.proxy.underway === 0);
  t.comment(JSON.stringify(outcomes));
  t.strictSame(mixed, []);
  t.strictSame(backend.faults, []);
  t.strictSame(gate.faults, []);
  t.ok(gate.peak <= 15, 'never more than the limit');
  t.equal(gate.left.length, gate.passed, 'each pass was left once');
  t.equal(joined.proxy.counts.heldBytes, 0);
  const { underway, waiting } = joined.proxy.counts.of('api');
  t.strictSame([underway, waiting], [0, 0]);
  for (const [what, count] of Object.entries(outcomes)) t.ok(count > 0, `${what}: ${count}`);
  t.ok(backend.connections > 0 && backend.sockets.size <= 40);
});

t.test('memory stays flat', async (t) => {
  const backend = await rawBackend(t);
  const { port, bearer, gate, joined } = await proxyWorld(t, {
    routes: [{ backends: [backend.url] }],
  });
  const line = `${HOST}Authorization: ${await bearer()}\r\n`;
  const round = async (): Promise<void> => {
    const clients = Array.from({ length: 20 }, () => new RawClient(port));
    for (let turn = 1; turn <= 40; turn += 1) {
      for (const client of clients) {
        client.text = '';
        client.send(`POST / HTTP/1.1\r\n${line}Content-Length: 1000\r\n\r\n${'z'.repeat(1000)}`);
      }
      await until(() => clients.every(({ text }) => text.endsWith('ok')));
    }
    // And as many that leave.
    for (const client of clients) {
      client.send(`POST / HTTP/1.1\r\n${line}Content-Length: 90000\r\n\r\n${'z'.repeat(80_000)}`);
      client.socket.destroy();
    }
    await until(() => gate.total === 0 && joined.proxy.underway === 0);
    backend.requests.length = 0;
    gate.asks.length = 0;
    gate.left.length = 0;
  };
  const used = (): number => {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--expose-gc');
  const { runInNewContext } = await import('node:vm');
  globalThis.gc = runInNewContext('gc') as NonNullable<typeof globalThis.gc>;
  await round();
  await round();
  const before = used();
  for (let index = 0; index < 4; index += 1) await round();
  let grown = used() - before;
  // What closed sockets hold goes when their ends are heard of; what is leaked stays.
  for (let look = 0; look < 40 && grown >= 3 * 1024 * 1024; look += 1) {
    await pause(50);
    grown = used() - before;
  }
  t.ok(grown < 3 * 1024 * 1024, `${(grown / 1024).toFixed(0)} KiB after 3,280 requests`);
});
