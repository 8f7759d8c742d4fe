// The ledger: one line a firing whatever crashes, its bounds, its pages, and that of a real daemon.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import type { Firing } from '../../src/protocol/usage-exchange.ts';
import { Environment } from '../../src/store/environment.ts';
import { Firings } from '../../src/usage/firings.ts';
import { Ledger, type LedgerQuery } from '../../src/usage/ledger.ts';
import { BuiltDaemon, freePort } from '../crash/daemon-process.ts';
import { seededRandom } from '../outbound/outbox-world.ts';
import { CrashingEnvironment } from '../support/crashing-environment.ts';
import { MessageApi } from '../support/message-api.ts';
import { until } from '../support/webhook-peer.ts';

const DAY_MS = 86_400_000;
const AT_MS = Date.parse('2026-11-22T10:00:00Z');
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const tokenOf = ({ account, threshold }: Firing): string => `${account}-${threshold}`;
const ALL: LedgerQuery = {
  tenant: undefined,
  fromMs: 0,
  toMs: Number.POSITIVE_INFINITY,
  limit: 1_000,
  after: undefined,
};

/** Number `at` of a trigger with steps. */
function firingOf(at: number, { account = 'acme', firedMs = AT_MS + at } = {}): Firing {
  const which = { category: 'pages', tag: '', by: 'usage', recurring: 'none' } as const;
  const action = { kind: 'ledger', number: 2.5, code: null } as const;
  const sid = new Uint8Array(16).fill(account.charCodeAt(0));
  const values = { threshold: at, value: `${at}`, currentValue: `${at + 1}`, period: 'alltime' };
  const rest = { arming: 0, firedMs, callbacks: [], action, friendlyName: null };
  return { sequence: at + 1, sid, account, ...which, ...values, ...rest };
}

/** As the machine tells it. */
function told(firing: Firing): Uint8Array {
  const { sequence, sid, account, category, threshold, value, currentValue, period } = firing;
  const fields = [sid, account, category, '', 1, 0, threshold, value, currentValue, period];
  const bytes = pack([...fields, 0, firing.firedMs, [], [4, 2.5, null], null]);
  const head = new Uint8Array(8);
  new DataView(head.buffer).setBigUint64(0, BigInt(sequence), true);
  return Buffer.concat([head, bytes]);
}

t.test('one line a firing, wherever crashes fall', async (t) => {
  const random = seededRandom(7);
  const COUNT = 300;
  const untold = new Map(Array.from({ length: COUNT }, (_, at) => [at + 1, firingOf(at)]));
  let environment = new CrashingEnvironment(random);
  let again = 0;
  for (let crashes = 0; untold.size > 0; crashes += 1) {
    let isUp = true;
    const ledger = new Ledger({ environment });
    const at = environment;
    const firings = new Firings({
      outbox: {
        put: async (_, alsoWrite) => {
          await at.commitQueued(alsoWrite ?? (() => {}));
          return [];
        },
      },
      holds: { holdOf: () => undefined, apply: async () => {} },
      ledger,
      formsOf: () => ({ account: undefined, categoryOf: (name) => name }),
      tellConnections: () => {},
      // The mark of the machine is lost with the process as often as not.
      told: (sequence) => {
        if (!isUp) return;
        if (random() < 0.5) untold.delete(sequence);
        else again += 1;
      },
      logger: silentLogger,
      onFatal: (error) => t.fail(error.message),
    });
    for (const firing of untold.values()) {
      firings.take(told(firing));
      if (random() < 0.05) await turn();
    }
    const turns = crashes < 20 ? Math.floor(random() * 6) : 400;
    for (let waited = 0; waited < turns; waited += 1) await turn();
    isUp = false;
    environment = environment.crash();
  }
  t.ok(again > COUNT / 4, 'many were told again');
  const ledger = new Ledger({ environment });
  const { items } = ledger.page(ALL);
  t.strictSame(
    items.map(({ token }) => token),
    Array.from({ length: COUNT }, (_, at) => `acme-FIRES-UT${'61'.repeat(16)}-alltime-${at}-0`),
  );
  t.equal(ledger.size, COUNT);
});

t.test('the oldest go when there are too many; pages', async (t) => {
  const environment = Environment.open({
    path: t.testdir(),
    durability: 'flushed',
    mapBytes: 64 * 1024 * 1024,
  });
  t.teardown(() => environment.close());
  const open = () => new Ledger({ environment, linesMax: 12, linesPerTenantMax: 5 });
  let ledger = open();
  const add = (...firings: Firing[]) => environment.commitQueued(ledger.add(firings, tokenOf));
  const tokens = (query: Partial<LedgerQuery> = {}) =>
    ledger.page({ ...ALL, ...query }).items.map(({ token }) => token);
  await add(firingOf(0), firingOf(1), firingOf(2));
  await add(firingOf(3), firingOf(0), { ...firingOf(9), action: null });
  t.strictSame(tokens(), ['acme-0', 'acme-1', 'acme-2', 'acme-3'], 'those of the ledger, once');
  await add(firingOf(4), firingOf(5), firingOf(6));
  t.strictSame(tokens(), ['acme-2', 'acme-3', 'acme-4', 'acme-5', 'acme-6']);
  ledger = open();
  await add(firingOf(7));
  t.strictSame(tokens(), ['acme-3', 'acme-4', 'acme-5', 'acme-6', 'acme-7'], 'after a restart');
  // Its name begins with another's.
  const later = { account: 'acme2', firedMs: AT_MS + DAY_MS };
  await add(firingOf(0, later), firingOf(1, later));
  for (const account of ['b', 'c']) {
    await add(...[0, 1, 2].map((at) => firingOf(at, { account })));
  }
  t.equal(ledger.size, 12);
  const acme = [3, 4, 5, 6, 7].map((at) => `acme-${at}`);
  const others = ['acme2-0', 'acme2-1', 'b-1', 'b-2', 'c-0', 'c-1', 'c-2'];
  t.strictSame(tokens(), [...acme, ...others], 'of all the oldest goes');
  t.strictSame(tokens({ tenant: 'acme2' }), ['acme2-0', 'acme2-1']);
  t.strictSame(tokens({ tenant: 'acme', fromMs: AT_MS + 5, toMs: AT_MS + 7 }), [
    'acme-5',
    'acme-6',
  ]);
  t.strictSame(tokens({ fromMs: AT_MS + DAY_MS }), ['acme2-0', 'acme2-1'], 'of all tenants');
  const paged: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const after = cursor === '' ? undefined : Buffer.from(cursor, 'base64url');
    const page = ledger.page({ ...ALL, limit: 2, after });
    paged.push(...page.items.map(({ token }) => token));
    cursor = page.cursor;
  }
  t.strictSame(paged, tokens(), 'pages of two are the whole list');
  const [line] = ledger.page({ ...ALL, tenant: 'acme2' }).items;
  t.match(line, { tenant: 'acme2', atMs: AT_MS + DAY_MS, tag: null, amount: 2.5, value: '0' });
});

t.test('a trigger adds lines, which are listed', async (t) => {
  const api = await MessageApi.start(t);
  const action = { kind: 'ledger', number: 9.95 };
  const fields = { tenant: 'acme', category: 'pages', by: 'usage', value: 10, step: 10, action };
  const made = await api.call('POST /v1/triggers', fields);
  t.match(made, { status: 201, body: { action } });
  const event = { tenant: 'acme', category: 'pages', quantity: 25, tag: 'scan' };
  await api.call('POST /v1/usage/events', { events: [event] });
  const list = async (query = '') => (await api.call(`GET /v1/usage/ledger?${query}`)).body;
  await until('both are there', async () => (await list()).items.length === 2);
  const { sid } = made.body;
  const line = { tenant: 'acme', trigger: sid, category: 'pages', tag: null, by: 'usage' };
  const common = { ...line, currentValue: '25', amount: 9.95, period: 'alltime' };
  const { items } = await list('tenant=acme');
  t.strictSame(
    items.map(({ atMs, ...rest }: { atMs: number }) => rest).sort(),
    ['10', '20'].map((value, at) => {
      return { ...common, token: `acme-FIRES-${sid}-alltime-${at}-0`, value };
    }),
  );
  t.ok(Math.abs(items[0].atMs - Date.now()) < 60_000);
  const today = new Date().toISOString().slice(0, 10);
  t.equal((await list(`from=${today}`)).items.length, 2);
  t.strictSame(await list('to=2020-01-01'), { items: [], cursor: null });
  t.match(await list('cursor=abc'), { code: 1015, message: /^cursor: / });
  t.match(await list('from=2026-02-30'), { code: 1015, message: /^from: / });
  const first = await list('limit=1');
  t.strictSame((await list(`limit=5&cursor=${first.cursor}`)).items, items.slice(1));
  const beyond = { ...fields, action: { kind: 'ledger', number: 1e16 } };
  t.match((await api.call('POST /v1/triggers', beyond)).body, { code: 1015 });
});

t.test('kill -9 between a firing and its line', { timeout: 120_000 }, async (t) => {
  const options = { dataDir: t.testdir(), port: await freePort() };
  let daemon = await BuiltDaemon.start(options);
  t.teardown(() => daemon.end());
  const call = async (path: string, body?: object) => {
    const answer = await fetch(`${daemon.url}/v1/${path}`, {
      headers: { authorization: `Bearer ${daemon.token}` },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
    return (await answer.json()) as { items: { token: string }[] };
  };
  const action = { kind: 'ledger' };
  const fields = { tenant: 'acme', category: 'pages', by: 'usage', value: 1, step: 1, action };
  await call('triggers', fields);
  const STEPS = 200;
  for (const delayMs of [0, 3]) {
    await call('usage/events', {
      events: [{ tenant: 'acme', category: 'pages', quantity: STEPS }],
    });
    await sleep(delayMs);
    await daemon.kill();
    daemon = await BuiltDaemon.start(options);
  }
  const tokens = async () =>
    (await call('usage/ledger?limit=1000')).items.map(({ token }) => token);
  await until('all are there', async () => (await tokens()).length >= 2 * STEPS);
  const lines = await tokens();
  t.equal(lines.length, 2 * STEPS);
  t.equal(new Set(lines).size, 2 * STEPS);
});
