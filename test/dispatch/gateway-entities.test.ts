// Gateways, accounts, numbers, routes, services and webhooks as resources: what they refer to, who is
// told, and what is never shown.
import t from 'tap';
import { applyEntities } from '../../src/dispatch/apply.ts';
import { auditPage } from '../../src/dispatch/audit-log.ts';
import type { EntityKind } from '../../src/dispatch/entity-kinds.ts';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import type { EntityChange } from '../../src/dispatch/ports.ts';
import { restRoutes } from '../../src/dispatch/rest-routes.ts';
import { rotateSecret, rotateTokens } from '../../src/dispatch/secret-rotation.ts';
import { signingSecrets } from '../../src/dispatch/secret-routes.ts';
import { shardOfKey } from '../../src/dispatch/shard-of-key.ts';
import { encodeChange } from '../../src/dispatch/shard-requests.ts';
import { FairleadError } from '../../src/errors.ts';
import { LIMITS } from '../../src/limits.ts';
import { unpack } from '../../src/protocol/msgpack.ts';
import { EntityStore } from '../../src/store/entity-store.ts';
import { FakeShards, FakeTable, operator } from './fakes.ts';

const SID = `AC${'0'.repeat(32)}`;
const OTHER = `AC${'1'.repeat(32)}`;
const SERVICE = `MG${'2'.repeat(32)}`;

const make = () => {
  const calls: string[] = [];
  const table = new FakeTable(calls);
  const shards = new FakeShards(2, calls);
  const entities = EntityService.open({ table, shards, autoCreateDestinations: false });
  const put = (kind: EntityKind, name: string, body: unknown = {}) =>
    entities.put(kind, name, body, operator);
  return { calls, table, shards, entities, put };
};

const refused = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof FairleadError) return `${error.error}: ${error.message}`;
    throw error;
  }
  return 'not refused';
};

const webhook = { url: 'https://gw.example/send' };

t.test(
  'a shard lets a gateway of the daemon have more than its window, where nothing is lost by it',
  async (t) => {
    const { shards, entities, put } = make();
    for (const name of ['d', 'e']) await put('destination', name, { shardKey: 'k' });
    const seen = () => {
      const { change } = shards.changes.at(-1) ?? {};
      return change?.kind === 'gateway' ? change.fields?.inFlightMax : undefined;
    };
    const driven = { type: 'webhook', webhook, inFlightMax: 5 };
    const ahead = 5 + LIMITS.gatewayAhead;
    await put('gateway', 'w', { ...driven, destinations: ['d'] });
    t.equal(seen(), ahead);
    t.equal(entities.get('gateway', 'w').fields.inFlightMax, 5);
    const [atStart] = [...entities.changesFor(shardOfKey('k', 2))].filter(
      ({ kind }) => kind === 'gateway',
    );
    t.match(atStart?.fields, { inFlightMax: ahead });

    await put('destination', 'd', { shardKey: 'k', onDoubt: 'fail' });
    t.equal(seen(), 5, 'its destination is not one that a crash may find waiting');
    await put('destination', 'd', { shardKey: 'k', onDoubt: 'redeliver' });
    t.equal(seen(), ahead);
    await put('destination', 'd', { shardKey: 'k', ratePerSec: 7 });
    t.equal(seen(), undefined, 'nothing else is told twice');

    await put('gateway', 'w', { ...driven, destinations: ['d', 'e'] });
    t.equal(seen(), 5);
    await put('gateway', 'p', { type: 'pull', destinations: ['d'], inFlightMax: 9 });
    t.equal(seen(), 9);
  },
);

t.test('a gateway has the defaults of its type', async (t) => {
  const { put } = make();
  await put('destination', 'd');
  const fields = async (name: string, body: object) =>
    (await put('gateway', name, { destinations: ['d'], ...body })).row.fields;
  t.match(await fields('p', { type: 'pull' }), { inFlightMax: null, weight: 100, hook: null });
  t.match(await fields('w', { type: 'webhook', webhook }), {
    inFlightMax: 64,
    webhook: { ...webhook, timeoutMs: 10_000, batchMax: 1, secret: null },
    smpp: null,
  });
  const smpp = { host: 'smpp.example', port: 2775, systemId: 'me' };
  t.match(await fields('s', { type: 'smpp', smpp, inFlightMax: 50 }), {
    inFlightMax: 50,
    smpp: { ...smpp, bind: 'transceiver', sessions: 1, tls: false, enquireMs: 30_000 },
  });
  t.match(await fields('s', { type: 'smpp', smpp: { ...smpp, sessions: 3 } }), { inFlightMax: 30 });
});

t.test('a gateway that cannot be is refused', async (t) => {
  const { put } = make();
  await put('destination', 'a', { shardKey: 'k' });
  await put('destination', 'b', { shardKey: 'l' });
  const gateway = (body: object) => refused(put('gateway', 'g', { destinations: ['a'], ...body }));
  t.match(await gateway({}), /^invalidValue: type: is pull, webhook or smpp, received nothing/);
  t.match(await gateway({ type: 'webhook' }), /^invalidValue: webhook: is given for the type webh/);
  t.match(await gateway({ type: 'smpp', webhook }), /webhook: is given .*smpp: is given/);
  const hook = { url: 'https://hook.example/' };
  t.match(await gateway({ type: 'pull', hook }), /hook: is null for the type pull/);
  t.match(await gateway({ type: 'pull', destinations: [] }), /has at least 1 entries/);
  t.match(await gateway({ type: 'pull', destinations: ['a', 'a'] }), /has each destination once/);
  t.match(
    await gateway({ type: 'pull', destinations: ['a', 'x'] }),
    'unknownDestination: destinations.1: there is no destination "x".',
  );
  t.match(
    await gateway({ type: 'pull', destinations: ['a', 'b'] }),
    'invalidValue: destinations: those of one gateway have one shardKey, but a has "k", b has "l".',
  );
  t.match(
    await gateway({ type: 'webhook', webhook: { url: 'ftp://x' } }),
    /webhook.url: is an http/,
  );
  t.match(await gateway({ type: 'webhook', webhook: { ...webhook, secret: 'a b' } }), /secret/);
  for (const secret of ['.', '..']) {
    const message = /secret: is a name of a file/;
    t.match(await gateway({ type: 'webhook', webhook: { ...webhook, secret } }), message);
    t.match(await gateway({ type: 'webhook', webhook, hook: { ...hook, secret } }), message);
  }
  const smsc = (more: object) =>
    gateway({ type: 'smpp', smpp: { host: 'smpp.example', port: 2775, systemId: 'me', ...more } });
  t.match(await smsc({ systemId: 'x'.repeat(16) }), /smpp.systemId: is at most 15, received/);
  t.match(await smsc({ systemId: 'a\0b' }), /smpp.systemId: is printable ASCII/);
  t.match(await smsc({ systemId: 'ünder' }), /smpp.systemId: is printable ASCII/);
  t.match(await smsc({ systemType: '\0' }), /smpp.systemType: is printable ASCII/);
  t.match(await smsc({ password: '..' }), /smpp.password: is a name of a file/);
  t.match(await smsc({ tls: true, ca: '.' }), /smpp.ca: is a name of a file/);
  t.match(await smsc({ ca: 'carrier-ca' }), /smpp.ca: is null without tls/);
  t.equal(await smsc({ systemId: 'x'.repeat(15), tls: true, ca: 'carrier-ca' }), 'not refused');
});

t.test('the shard of its destinations is told of a gateway, and no other', async (t) => {
  const { put, shards, entities, calls } = make();
  const keys = Array.from({ length: 8 }, (_, index) => `k${index}`);
  const [first = ''] = keys.filter((key) => shardOfKey(key, 2) === 0);
  const [second = ''] = keys.filter((key) => shardOfKey(key, 2) === 1);
  await put('destination', 'a', { shardKey: first });
  await put('destination', 'b', { shardKey: first });
  await put('destination', 'c', { shardKey: second });
  calls.length = 0;
  await put('gateway', 'g', { type: 'pull', destinations: ['a', 'b'] });
  t.strictSame(calls.splice(0), ['put 6 g', 'configure 0 gateway g']);
  const change = shards.changes.at(-1)?.change;
  t.ok(change);
  if (change === undefined) return;
  t.strictSame(unpack(encodeChange(change)), [6, 'g', [0, ['a', 'b'], 100, null, 1, null, false]]);
  t.strictSame(
    [...entities.changesFor(0)].map(({ kind, name }) => `${kind} ${name}`),
    ['set default', 'destination a', 'destination b', 'gateway g'],
  );
  t.notMatch([...entities.changesFor(1)], [{}, {}, { kind: 'gateway' }]);
  await put('gateway', 'g', { type: 'pull', destinations: ['c'] });
  t.strictSame(calls.splice(0), ['put 6 g', 'reset 0 gateway g', 'configure 1 gateway g']);
  t.match(
    await refused(entities.remove('destination', 'c', operator)),
    'inUse: Gateways, numbers or routes name the destination c: 1 of them.',
  );
  await entities.remove('destination', 'a', operator);
  shards.busy.add('gateway/g');
  t.match(
    await refused(entities.remove('gateway', 'g', operator)),
    /^inUse: Messages of the gatew/,
  );
  shards.busy.clear();
  calls.length = 0;
  await entities.remove('gateway', 'g', operator);
  t.strictSame(calls, ['reset 1 gateway g', 'remove 6 g']);
  await entities.remove('destination', 'c', operator);
});

t.test('no shard is told of what concerns the main thread only', async (t) => {
  const { put, shards, entities } = make();
  await put('destination', 'd');
  const count = shards.changes.length;
  shards.onInUse = () => t.fail('a shard was asked');
  const rows = [
    ['account', SID, {}],
    ['number', '+4930123', { tenant: 'acme', destination: 'd' }],
    ['route', '49', { destination: 'd' }],
    ['route', '*', { destination: 'd' }],
    ['service', SERVICE, { tenant: 'acme', senders: ['1', '2'] }],
    ['webhook', 'acme', {}],
  ] as const;
  for (const [kind, name, body] of rows) t.match(await put(kind, name, body), { created: true });
  const gone = await refused(entities.remove('destination', 'd', operator));
  t.match(gone, /^inUse: Gateways, numbers or routes name the destination d: 3 of them/);
  for (const [kind, name] of rows) await entities.remove(kind, name, operator);
  t.equal(shards.changes.length, count);
});

t.test('names stand for what they are', async (t) => {
  const { put } = make();
  await put('destination', 'd');
  const bodies = {
    route: { destination: 'd' },
    number: { tenant: 'a', destination: 'd' },
  } as const;
  for (const [kind, name] of [
    ['account', 'AC1'],
    ['account', `AC${'A'.repeat(32)}`],
    ['service', SID],
    ['number', '4930'],
    ['number', '+0301'],
    ['number', '+1'],
    ['number', `+${'1'.repeat(16)}`],
    ['route', '049'],
    ['route', ''],
    ['route', '1'.repeat(16)],
    ['route', '+49'],
    ['gateway', 'a b'],
  ] as const) {
    t.match(await refused(put(kind, name)), /^invalidName: .* received/, `${kind} ${name}`);
  }
  for (const name of ['+12', `+${'1'.repeat(15)}`]) await put('number', name, bodies.number);
  for (const name of ['1', '1'.repeat(15), '*']) await put('route', name, bodies.route);
  t.match(await refused(put('number', '+12', { tenant: 'a' })), /webhookUrl: is given, or else/);
  t.match(await refused(put('route', '1', { destination: 'x' })), /^unknownDestination/);
  t.match(await refused(put('service', SERVICE, { tenant: 'a', senders: [] })), /at least 1 entr/);
});

t.test('a tenant has one account', async (t) => {
  const { put, entities } = make();
  t.match(await put('account', SID), { row: { fields: { tenant: SID } } });
  await put('account', SID, { tenant: 'acme' });
  t.equal(entities.accountOf('acme')?.name, SID);
  t.equal(entities.accountOf(SID), undefined, 'the tenant before is free again');
  t.equal(
    await refused(put('account', OTHER, { tenant: 'acme' })),
    'tenantTaken: tenant: another account has the tenant "acme".',
  );
  t.equal(entities.find('account', OTHER), undefined);
  const both = await Promise.allSettled([
    put('account', SID, { tenant: 'zeta' }),
    put('account', OTHER, { tenant: 'zeta' }),
  ]);
  t.strictSame(
    both.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
  await put('account', OTHER, { tenant: 'acme' });
  await entities.remove('account', SID, operator);
  await put('account', OTHER, { tenant: 'zeta' });
  t.equal(entities.accountOf('zeta')?.name, OTHER);
});

t.test('tokens are in the first answer and in that of a rotation, and nowhere else', async (t) => {
  const { table, shards, entities } = make();
  const status = async () => ({});
  const secretOf = (tenant: string, version: number) => `whsec_${tenant}_${version}`;
  const routes = restRoutes({ entities, table, shards, status, secretOf });
  const call = async (method: string, path: string, body?: unknown) => {
    const found = routes.find((each) => each.method === method && each.path === path);
    return await found?.handler({
      params: { name: SID },
      query: new URLSearchParams(),
      headers: new Map(),
      body,
      identity: undefined,
      remoteAddress: '',
    });
  };
  const shape = { primaryToken: /^[0-9a-f]{32}$/, secondaryToken: /^[0-9a-f]{32}$/ };
  const made = await call('PUT', '/v1/accounts/:name', { tenant: 'acme' });
  t.match(made, { status: 201, body: { ...shape, tokenVersion: 1 } });
  const first = entities.get('account', SID).fields;
  const rotated = await call('POST', '/v1/accounts/:name/tokens');
  t.match(rotated, { status: 200, body: { secondaryToken: first.primaryToken, tokenVersion: 2 } });
  const second = entities.get('account', SID).fields;
  t.not(second.primaryToken, first.primaryToken);
  const shown = await call('GET', '/v1/accounts/:name');
  t.match(shown, { status: 200, body: { tenant: 'acme', tokenVersion: 2 } });
  const again = await call('PUT', '/v1/accounts/:name', shown?.body);
  t.match(again, { status: 200 });
  t.match(
    entities.get('account', SID).fields,
    { ...second, updatedMs: Number },
    'a PUT leaves the tokens',
  );
  const body = { accounts: { [SID]: { tenant: 'acme', friendlyName: 'x' }, [OTHER]: {} } };
  const plan = await applyEntities(entities, body, { dryRun: true, prune: false, actor: operator });
  t.equal(plan.changes.length, 2);
  const { items } = auditPage(table, { limit: 10, below: Number.MAX_SAFE_INTEGER });
  t.equal(items.length, 3);
  t.match(items[1], { before: { tokenVersion: 1 }, after: { tokenVersion: 2 } });
  const page = await call('GET', '/v1/accounts');
  const audit = await call('GET', '/v1/audit');
  for (const answer of [shown, again, page, plan, items, audit]) {
    const text = JSON.stringify(answer);
    for (const { primaryToken, secondaryToken } of [first, second]) {
      t.notOk(text.includes(primaryToken) || text.includes(secondaryToken), text.slice(0, 200));
    }
  }
  t.match(await refused(rotateTokens(entities, OTHER, operator)), /^entityNotFound/);
});

t.test('secrets that sign: the newest, and the one before for a while', async (t) => {
  const { entities, put } = make();
  const secretOf = (tenant: string, version: number) => `${tenant} ${version}`;
  const now = (nowMs?: number) =>
    signingSecrets(entities, secretOf, 'acme', nowMs).map(({ secret }) => secret);
  t.strictSame(now(), ['acme 1'], 'without a PUT');
  await rotateSecret(entities, 'acme', 60_000, operator);
  t.strictSame(now(), ['acme 2', 'acme 1']);
  t.strictSame(now(Date.now() + 61_000), ['acme 2']);
  await put('webhook', 'acme', {});
  t.strictSame(now(), ['acme 2', 'acme 1'], 'an empty PUT changes nothing');
  await rotateSecret(entities, 'acme', 0, operator);
  t.strictSame(now(), ['acme 3']);
  await put('webhook', 'acme', { secretVersion: 9, previousUntilMs: null });
  t.strictSame(now(), ['acme 9']);
  await entities.remove('webhook', 'acme', operator);
  t.strictSame(now(), ['acme 1']);
});

t.test('listeners hear of a change once it is complete', async (t) => {
  const { entities, put, calls, shards } = make();
  const heard: EntityChange[] = [];
  entities.onChange((change) => {
    heard.push(change);
    calls.push(`heard ${change.kind} ${change.name} ${change.fields === null}`);
  });
  await put('destination', 'd');
  await put('gateway', 'g', { type: 'pull', destinations: ['d'] });
  const shard = shardOfKey('d', 2);
  t.strictSame(calls.splice(0), [
    ...['put 1 d', `configure ${shard} destination d`, 'heard destination d false'],
    ...['put 6 g', `configure ${shard} gateway g`, 'heard gateway g false'],
  ]);
  t.match(heard.at(-1), { version: 2, fields: { destinations: ['d'] } });
  await entities.amend('gateway', 'g', { paused: true }, operator);
  t.match(heard.at(-1), { fields: { paused: true } });
  await entities.amend('gateway', 'g', { paused: true }, operator);
  t.equal(heard.length, 3, 'what changes nothing is not told');
  shards.busy.add('gateway/g');
  await refused(entities.remove('gateway', 'g', operator));
  t.equal(heard.length, 3, 'nor what was refused');
  shards.busy.clear();
  await entities.remove('gateway', 'g', operator);
  t.strictSame(heard.at(-1), { kind: 'gateway', name: 'g', fields: null });
});

t.test('a plan knows what gateways and accounts will find', async (t) => {
  const { entities } = make();
  const apply = (body: unknown, prune = false) =>
    applyEntities(entities, body, { dryRun: false, prune, actor: operator });
  const gateway = { type: 'pull', destinations: ['a', 'b'] };
  const file = {
    gateways: { g: gateway },
    destinations: { a: { shardKey: 'k' }, b: { shardKey: 'k' } },
    routes: { '*': { destination: 'a' } },
    accounts: { [SID]: { tenant: 'acme' } },
  };
  t.match(await apply(file), { created: 5 });
  t.match(await apply(file), { created: 0, changed: 0, unchanged: 5 });
  t.match(await refused(apply({ gateways: { g: gateway } }, true)), /^unknownDestination/);
  const apart = { ...file, destinations: { a: { shardKey: 'k' }, b: {}, c: {} } };
  t.match(await apply({ destinations: { c: {} } }), { created: 1 });
  const wrong = { ...apart, gateways: { h: { type: 'pull', destinations: ['a', 'c'] } } };
  t.match(await refused(apply(wrong)), /one shardKey, but a has "k", c has "c"\. Nothing was/);
  t.match(await refused(apply({ accounts: { [OTHER]: { tenant: 'acme' } } })), /^tenantTaken/);
  const twice = { accounts: { [SID]: { tenant: 'x' }, [OTHER]: { tenant: 'x' } } };
  t.match(await refused(apply(twice)), /^tenantTaken/);
  t.match(await apply({}, true), { deleted: 6 });
  t.equal(entities.accountOf('acme'), undefined);
});

t.test('they are the same after a restart', async (t) => {
  const path = t.testdir();
  const shards = new FakeShards(1);
  const first = EntityStore.open(path, 'flushed');
  const before = EntityService.open({ table: first, shards, autoCreateDestinations: false });
  await before.put('destination', 'd', {}, operator);
  await before.put('gateway', 'g', { type: 'webhook', destinations: ['d'], webhook }, operator);
  await before.put('account', SID, { tenant: 'acme' }, operator);
  await rotateSecret(before, 'acme', 0, operator);
  const rows = (['gateway', 'account', 'webhook'] as const).map((kind) => [...before.all(kind)]);
  await first.close();
  const table = EntityStore.open(path, 'flushed');
  const entities = EntityService.open({ table, shards, autoCreateDestinations: false });
  t.strictSame(
    (['gateway', 'account', 'webhook'] as const).map((kind) => [...entities.all(kind)]),
    rows,
  );
  t.equal(entities.accountOf('acme')?.name, SID);
  await t.rejects(entities.remove('destination', 'd', operator), /name the destination d/);
  await t.rejects(entities.put('account', OTHER, { tenant: 'acme' }, operator), /another account/);
  await table.close();
});
