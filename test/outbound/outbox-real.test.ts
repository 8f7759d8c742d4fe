// The outbox with LMDB, sockets and a real server: signatures, restarts, kill -9.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import twilio from 'twilio';
import { ProcessClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { ConfigError, loadConfig } from '../../src/config/index.ts';
import { type Outbound, openOutbound } from '../../src/outbound/open-outbound.ts';
import type { NewItem } from '../../src/outbound/outbox-records.ts';
import { keyText } from '../../src/outbound/signatures.ts';
import { httpPeer } from '../support/http-peer.ts';
import { tsHook } from '../support/ts-hook.ts';

const key = keyText(Buffer.alloc(24, 1));
const token = '0123456789abcdef0123456789abcdef';
const clock = ProcessClock.start();
t.teardown(() => clock.stop());

function open(path: string, more: Readonly<Record<string, unknown>> = {}): Outbound {
  const values = { 'outbound.allow': ['127.0.0.1'], 'outbound.retryMs': [0, 50, 50], ...more };
  const settings = Object.entries(values).map(([key, value]) => ({ key, value, from: 'test' }));
  return openOutbound({
    options: loadConfig({ file: undefined, env: {}, settings }).config.outbound,
    path,
    durability: 'flushed',
    keys: { standardKeys: () => [key], formToken: () => token },
    clock,
    logger: silentLogger,
    onFatal: (error) => {
      throw error;
    },
  });
}

const item = (id: string, url: string, more: Partial<NewItem> = {}): NewItem => ({
  id,
  stream: null,
  url,
  method: 'POST',
  contentType: 'application/json',
  body: Buffer.from(JSON.stringify({ id })),
  signing: { kind: 'standard', tenant: 'acme' },
  createdMs: Date.now(),
  ...more,
});

async function until(isSo: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

t.test('what is sent is signed, once, and gone', async (t) => {
  // Fewer in a row than make the endpoint count as down.
  let failing = 4;
  const peer = await httpPeer((response) => {
    failing -= 1;
    response.statusCode = failing >= 0 ? 500 : 204;
    response.end();
  });
  const outbound = open(t.testdir());
  t.teardown(async () => {
    await outbound.close(1_000);
    await peer.close();
  });
  const { outbox } = outbound;
  outbox.start();
  const url = `${peer.url}/hook?x=1`;
  const form = new URLSearchParams({ MessageSid: 'SM1', MessageStatus: 'sent', To: '+49' });
  await outbox.put([
    ...Array.from({ length: 200 }, (_, at) => item(`m${at}`, url, { stream: `s${at % 10}` })),
    item('form', url, {
      contentType: 'application/x-www-form-urlencoded; charset=UTF-8',
      body: Buffer.from(form.toString()),
      signing: { kind: 'form', account: 'AC1' },
    }),
    item('get', url, { method: 'GET', signing: { kind: 'form', account: 'AC1' } }),
  ]);
  await until(() => outbox.numbers.waiting === 0, 'all are delivered');
  t.match(outbox.numbers, { failed: 0, bytes: 0, delivered: 202, inFlight: 0 });
  t.equal(peer.received.length, 206);
  for (const { headers, body, method } of peer.received) {
    if (headers['webhook-id'] === undefined) {
      const signature = String(headers['x-twilio-signature']);
      const params = method === 'GET' ? {} : Object.fromEntries(new URLSearchParams(body));
      t.ok(twilio.validateRequest(token, signature, url, params), method);
      t.equal(headers['i-twilio-idempotency-token'], method === 'GET' ? 'get' : 'form');
    } else {
      const verified = new Webhook(key).verify(body, headers as Record<string, string>);
      t.strictSame(verified, { id: headers['webhook-id'] });
    }
  }
  t.equal(outbound.numbers.client.requests, 206);
});

t.test('a restart goes on where it was', async (t) => {
  const path = t.testdir();
  const first = open(path, { 'outbound.retryMs': [0, 3_600_000] });
  const peer = await httpPeer();
  t.teardown(() => peer.close());
  // Not started: nothing is sent.
  await first.outbox.put(Array.from({ length: 50 }, (_, at) => item(`m${at}`, peer.url)));
  await first.outbox.put([item('refused', 'http://127.0.0.1:1/')]);
  await first.close(0);
  t.equal(peer.received.length, 0);

  const second = open(path, { 'outbound.retryMs': [0, 3_600_000] });
  t.equal(second.outbox.numbers.waiting, 51);
  second.outbox.start();
  await until(() => second.outbox.numbers.delivered === 50, 'those that can be');
  await until(() => second.outbox.numbers.attempts === 51, 'the other was tried');
  await second.close(1_000);
  const third = open(path);
  t.match(third.outbox.numbers, { waiting: 1, failed: 0 });
  third.outbox.start();
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(third.outbox.numbers.attempts, 0, 'its wait goes on');
  await third.close(1_000);
});

t.test('options that cannot be used', async (t) => {
  t.throws(() => open(t.testdir(), { 'outbound.allow': ['10.0.0.0/40'] }), ConfigError);
  t.throws(() => open(t.testdir(), { 'outbound.caFile': '/nowhere/ca.pem' }), ConfigError);
});

t.test('kill -9: what was answered arrives, and streams keep their order', async (t) => {
  const path = t.testdir();
  const answered: string[] = [];
  let count = 0;
  const peer = await httpPeer((response) => {
    count += 1;
    response.statusCode = count % 7 === 0 ? 503 : 200;
    response.end();
  });
  for (let life = 0; life < 4; life += 1) {
    const script = join(import.meta.dirname, 'outbox-process.ts');
    const child = spawn(process.execPath, ['--import', tsHook, script, path, peer.url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const before = answered.length;
    createInterface({ input: child.stdout }).on('line', (line) => answered.push(line));
    await until(() => answered.length >= before + 100 + 37 * life, 'the process answers');
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  const outbound = open(path, { 'outbound.retryMs': Array.from({ length: 20 }, () => 20) });
  t.teardown(async () => {
    await outbound.close(1_000);
    await peer.close();
  });
  outbound.outbox.start();
  await until(() => outbound.outbox.numbers.waiting === 0, 'the rest is delivered');
  const ids = peer.received.map(({ headers }) => String(headers['webhook-id']));
  const came = new Set(ids);
  t.strictSame(
    answered.filter((id) => !came.has(id)),
    [],
  );
  t.equal(outbound.outbox.numbers.failed, 0);
  for (const stream of [0, 1, 2]) {
    const order = ids.filter((id) => id.endsWith(`-${stream}`)).map(placeOf);
    t.strictSame(
      order,
      [...order].sort((one, other) => one - other),
      `stream ${stream}`,
    );
  }
});

/** Runs ascend with time, and numbers within a run. */
function placeOf(id: string): number {
  const [, run = '', number = ''] = /^r(\d+)-(\d+)-/.exec(id) ?? [];
  return Number(run) * 100_000 + Number(number);
}
