// The proxy of a whole daemon: its requests and the permits of clients are counted together.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { GateClient } from '../support/gate-client.ts';
import { auth, start } from '../support/in-process-daemon.ts';
import { until } from './harness.ts';

/** Holds each request until the test answers it. */
async function holdingBackend(t: Test) {
  const held: ServerResponse[] = [];
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    held.push(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.closeAllConnections());
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const answer = (): void => {
    held.shift()?.end('done');
  };
  return { origin: `http://127.0.0.1:${port}`, held, seen, answer };
}

async function running(
  t: Test,
  resource: object | undefined,
  more: Readonly<Record<string, unknown>> = {},
) {
  const backend = await holdingBackend(t);
  const daemon = await start(t.testdir(), {
    proxy: [{ path: '/v1/calls', resource: 'calls', backends: [backend.origin] }],
    'proxyListener.port': 0,
    ...more,
  });
  t.teardown(() => daemon.stop());
  const operator = await auth.issueToken({ scope: 'platform', ttlSec: 600 });
  const call = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${operator}` };
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
    const answer = await fetch(`${daemon.url}/v1/${path}`, init);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status}`);
    return (await answer.json()) as { readonly used: number; readonly waiting: number };
  };
  const put = async (fields: object) => await call('PUT', 'resources/calls', fields);
  if (resource !== undefined) await put(resource);
  const token = await auth.issueToken({ tenant: 'acme', scope: 'gate', ttlSec: 600 });
  const headers = { authorization: `Bearer ${token}` };
  const ask = async (signal?: AbortSignal) =>
    await fetch(`http://127.0.0.1:${daemon.proxyPort}/v1/calls`, {
      headers,
      signal: signal ?? null,
    });
  const used = async (): Promise<number> => {
    const { chain } = (await call('GET', 'gate/keys/calls/acme')) as unknown as {
      readonly chain: readonly { readonly cap: string; readonly used: number }[];
    };
    return chain.find(({ cap }) => cap === 'key')?.used ?? 0;
  };
  return { daemon, backend, put, ask, used, token };
}

t.test('requests and permits share a limit, which changes at once', async (t) => {
  const { daemon, backend, put, ask, used, token } = await running(t, { tenantLimit: 2 });
  const client = await GateClient.open(daemon.url, token);
  const permit = await client.take('calls');
  const first = ask();
  await until(() => backend.held.length === 1);
  t.equal(await used(), 2);
  const refused = await ask();
  t.equal(refused.status, 429);
  t.match(await refused.json(), { code: 20429, status: 429 });
  t.ok(Number(refused.headers.get('retry-after')) >= 1);
  t.equal(refused.headers.get('concurrent-requests-limit'), '2');
  t.equal(refused.headers.get('concurrent-requests-remaining'), '0');
  t.equal(backend.seen.length, 1, 'the backend saw nothing of it');

  await put({ tenantLimit: 3 });
  const second = ask();
  await until(() => backend.held.length === 2);
  await client.release(permit);
  backend.answer();
  backend.answer();
  for (const answer of [await first, await second]) {
    t.equal(answer.status, 200);
    t.equal(await answer.text(), 'done');
  }
  t.equal(await used(), 0);
});

t.test(
  'what waits goes on when there is room, and is counted down if its client leaves',
  async (t) => {
    const resource = { tenantLimit: 1, mode: 'queue', waitMs: 20_000 };
    const { backend, ask, used } = await running(t, resource);
    const first = ask();
    await until(() => backend.held.length === 1);
    const second = ask();
    const leaving = new AbortController();
    const third = ask(leaving.signal).catch(() => 'left');
    await new Promise((resolve) => setTimeout(resolve, 100));
    t.equal(backend.seen.length, 1);
    leaving.abort();
    t.equal(await third, 'left');
    backend.answer();
    await (await first).text();
    await until(() => backend.held.length === 1);
    backend.answer();
    const answer = await second;
    t.equal(answer.status, 200);
    t.ok(Number(answer.headers.get('concurrent-requests-position')) >= 1);
    await answer.text();
    t.equal(backend.seen.length, 2, 'not that of the client that left');
    t.equal(await used(), 0);
  },
);

t.test('a client that leaves and a backend that fails are counted down, too', async (t) => {
  const { backend, ask, used } = await running(t, { tenantLimit: 8 });
  const leaving = new AbortController();
  const left = ask(leaving.signal).catch(() => 'left');
  await until(() => backend.held.length === 1);
  t.equal(await used(), 1);
  leaving.abort();
  t.equal(await left, 'left');
  backend.held.shift()?.destroy();
  const failing = ask();
  await until(() => backend.held.length === 1);
  backend.held.shift()?.socket?.destroy();
  const failed = await failing;
  t.equal(failed.status, 502);
  t.match(await failed.json(), { code: 4011 });
  t.equal(await used(), 0);
});

t.test('a stop waits for requests under way', async (t) => {
  const { daemon, backend, ask } = await running(t, { tenantLimit: 8 });
  const under = ask();
  await until(() => backend.held.length === 1);
  const stopped = daemon.stop();
  await new Promise((resolve) => setTimeout(resolve, 100));
  backend.answer();
  t.equal((await under).status, 200);
  await stopped;
});

t.test('the first request of a resource makes it, where that is configured', async (t) => {
  const more = { 'gate.autoCreateResources': true };
  const { backend, ask, used } = await running(t, undefined, more);
  const first = ask();
  await until(() => backend.held.length === 1);
  t.equal(await used(), 1);
  backend.answer();
  t.equal((await first).status, 200);
  t.equal(await used(), 0);
});
