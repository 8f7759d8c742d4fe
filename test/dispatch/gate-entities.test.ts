// Resources and policies as entities: fields, names, what refers, who is told, what always exists.
import t from 'tap';
import { applyEntities } from '../../src/dispatch/apply.ts';
import type { EntityKind } from '../../src/dispatch/entity-kinds.ts';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import type { EntityChange } from '../../src/dispatch/ports.ts';
import { FairleadError } from '../../src/errors.ts';
import { encodeGateConfigure, type GateChange } from '../../src/protocol/gate-exchange.ts';
import { unpack } from '../../src/protocol/msgpack.ts';
import { EntityStore } from '../../src/store/entity-store.ts';
import { FakeShards, FakeTable, operator } from './fakes.ts';

const make = () => {
  const calls: string[] = [];
  const table = new FakeTable(calls);
  const shards = new FakeShards(2, calls);
  const entities = EntityService.open({ table, shards, autoCreateDestinations: false });
  const put = (kind: EntityKind, name: string, body: unknown = {}) =>
    entities.put(kind, name, body, operator);
  return { calls, table, shards, entities, put };
};

const apply = { dryRun: false, prune: false, actor: operator };

const refused = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof FairleadError) return `${error.error}: ${error.message}`;
    throw error;
  }
  return 'not refused';
};

t.test('absent fields get their defaults', async (t) => {
  const { put } = make();
  t.strictSame((await put('resource', 'calls.create')).row.fields, {
    limit: null,
    tenantLimit: null,
    mode: 'reject',
    waitersMax: 1_000,
    waitMs: 10_000,
    ratePerSec: null,
    leaseMs: 30_000,
    adaptive: null,
  });
  t.strictSame((await put('policy', 'calls.create/acme')).row.fields, {
    limit: null,
    floor: 0,
    weight: null,
    mode: null,
    waitersMax: null,
    waitMs: null,
    ratePerSec: null,
  });
});

t.test('a policy that delays has a pace, its own or the resource’s', async (t) => {
  const { put, entities } = make();
  await put('resource', 'r');
  const delay = { mode: 'delay' };
  const none = /^invalidValue: .*ratePerSec is given for the mode delay: neither/;
  t.match(await refused(put('policy', 'r/acme', delay)), none);
  await put('policy', 'r/acme', { ...delay, ratePerSec: 2 });
  const resources = { r: { ratePerSec: 5 } };
  const policies = { 'r/acme': delay, 'r/beta': delay };
  const plan = { resources, policies };
  t.match(await refused(applyEntities(entities, { policies }, apply)), none);
  await applyEntities(entities, plan, apply);
  t.equal(entities.find('policy', 'r/beta')?.fields.ratePerSec, null);
  // The resource is changed all the same; from then on they queue.
  await put('resource', 'r');
  t.match(await refused(put('policy', 'r/acme', delay)), none);
});

t.test('floors are at most what the resource has, also those put at one time', async (t) => {
  const { put, entities } = make();
  await put('resource', 'r', { limit: 10 });
  const floor = (name: string, seats: number) => refused(put('policy', name, { floor: seats }));
  const tooMany = /^invalidValue: floor: those of the resource r would come to 12 seats, of 10/;
  const both = await Promise.all([floor('r/a', 6), floor('r/b', 6)]);
  t.equal(both[0], 'not refused');
  t.match(both[1], tooMany);
  t.equal(await floor('r/b', 4), 'not refused');
  t.match(await floor('r/a', 8), tooMany);
  await entities.remove('policy', 'r/b', operator);
  t.equal(await floor('r/a', 8), 'not refused');
  await put('resource', 'r', { limit: 5 });
  t.equal(await floor('r/a', 7), 'not refused', 'one that is lowered may be');
  await put('resource', 'r', { limit: null, adaptive: { min: 1, max: 20 } });
  t.match(await floor('r/b', 14), /would come to 21 seats, of 20/);
  const policies = { 'r/b': { floor: 11 }, 'r/c': { floor: 3 } };
  t.match(await refused(applyEntities(entities, { policies }, apply)), /come to 21 seats, of 20/);
  await applyEntities(entities, { resources: { r: { limit: 21 } }, policies }, apply);
  t.equal(entities.find('policy', 'r/c')?.fields.floor, 3);
});

t.test('what is wrong is refused by name', async (t) => {
  const { put, entities } = make();
  await put('resource', 'r');
  const table: [EntityKind, string, unknown, RegExp][] = [
    ['resource', 'a/b', {}, /^invalidName/],
    ['resource', 'r', { mode: 'wait' }, /^invalidValue: mode: is reject, queue or delay/],
    ['resource', 'r', { mode: 'delay' }, /^invalidValue: ratePerSec: is given for the mode delay/],
    ['resource', 'r', { limit: -1 }, /^invalidValue: limit/],
    ['resource', 'r', { limit: 1_000_001 }, /^invalidValue: limit/],
    [
      'resource',
      'r',
      { limit: 1e300 },
      /^invalidValue: limit: is at most 1000000, received 1e\+300\.$/,
    ],
    ['resource', 'r', { leaseMs: 999 }, /^invalidValue: leaseMs/],
    ['resource', 'r', { leaseMs: 3_600_001 }, /^invalidValue: leaseMs/],
    [
      'resource',
      'r',
      { adaptive: { min: 5, max: 4 } },
      /^invalidValue: adaptive.max: is at least min/,
    ],
    ['resource', 'r', { adaptive: { min: 5 } }, /^invalidValue: adaptive.max/],
    ['resource', 'r', { floor: 1 }, /^unknownField/],
    ['policy', 'r', {}, /^invalidName: A policy is named resource\/tenant, received "r"/],
    ['policy', 'r/a/b', {}, /^invalidName/],
    ['policy', 'r/acme', { limit: 5, floor: 6 }, /^invalidValue: floor: is at most limit/],
    ['policy', 'r/acme', { weight: 0 }, /^invalidValue: weight/],
    ['policy', 'other/acme', {}, /^unknownResource: resource: there is no resource "other"/],
    ['tenant', 'acme', { concurrencyMax: 1.5 }, /^invalidValue: concurrencyMax/],
  ];
  for (const [kind, name, body, expected] of table) {
    t.match(await refused(put(kind, name, body)), expected, `${kind} ${name}`);
  }
  await put('policy', 'r/acme');
  t.match(await refused(entities.remove('resource', 'r', operator)), /^inUse: Policies are of the/);
  await entities.remove('policy', 'r/acme', operator);
  await entities.remove('resource', 'r', operator);
  t.equal(entities.find('resource', 'r'), undefined);
});

t.test('a resource with permits out is not deleted', async (t) => {
  const asked: string[] = [];
  const resourceInUse = async (name: string) => {
    asked.push(name);
    return name === 'busy';
  };
  const options = { table: new FakeTable(), shards: new FakeShards(1), resourceInUse };
  const entities = EntityService.open({ ...options, autoCreateDestinations: false });
  for (const name of ['busy', 'idle']) await entities.put('resource', name, {}, operator);
  t.match(await refused(entities.remove('resource', 'busy', operator)), /^inUse: Permits of the/);
  await entities.remove('resource', 'idle', operator);
  t.strictSame([...new Set(asked)], ['busy', 'idle']);
});

t.test('the resource of the REST interface always exists', async (t) => {
  const { put, entities } = make();
  t.match(entities.find('resource', 'fairlead.api'), {
    version: 0,
    fields: { limit: 1_000, tenantLimit: 250, mode: 'reject' },
  });
  const gone = entities.remove('resource', 'fairlead.api', operator);
  t.match(await refused(gone), /^reservedName: The resource fairlead.api always exists/);
  await put('policy', 'fairlead.api/acme', { limit: 3 });
  const { created } = await put('resource', 'fairlead.api', { tenantLimit: 9 });
  t.equal(created, false);
  t.equal(entities.find('resource', 'fairlead.api')?.fields.limit, null);
});

t.test('shards hear of none of it, listeners of all', async (t) => {
  const { put, shards, calls, entities } = make();
  const heard: EntityChange[] = [];
  entities.onChange((change) => heard.push(change));
  await put('resource', 'r', { limit: 5, adaptive: { min: 2, max: 9, tolerance: 0.5 } });
  await put('policy', 'r/acme', { floor: 2, mode: 'queue' });
  t.strictSame(shards.changes, []);
  t.strictSame(calls, ['put 12 r', 'put 13 r/acme']);
  await put('tenant', 'acme', { concurrencyMax: 7 });
  const told = heard.map((change) => unpack(encodeGateConfigure(change as GateChange)));
  t.strictSame(told, [
    [12, 'r', [5, null, 0, 1_000, 10_000, null, 30_000, [2, 9, 0.5]]],
    [13, 'r/acme', [null, 2, null, 1, null, null, null]],
    [3, 'acme', [7, 100]],
  ]);
  await entities.remove('policy', 'r/acme', operator);
  const last = heard.at(-1) as GateChange;
  t.strictSame(unpack(encodeGateConfigure(last)), [13, 'r/acme', null]);
});

t.test('a file brings them in an order that holds, and prunes them', async (t) => {
  const { entities } = make();
  const file = {
    policies: { 'calls/acme': { limit: 2 } },
    resources: { calls: { tenantLimit: 1 } },
    tenants: { acme: { concurrencyMax: 3 } },
  };
  const options = { dryRun: false, prune: true, actor: operator };
  const { changes } = await applyEntities(entities, file, options);
  const names = changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`);
  t.strictSame(names, ['create tenant acme', 'create resource calls', 'create policy calls/acme']);
  const again = await applyEntities(entities, file, options);
  t.equal(again.changes.length, 0);
  const bad = applyEntities(entities, { policies: { 'other/acme': {} } }, options);
  t.match(await refused(bad), /unknownResource/);
  const none = await applyEntities(entities, {}, options);
  const gone = none.changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`);
  t.strictSame(gone, ['delete policy calls/acme', 'delete resource calls', 'delete tenant acme']);
  t.ok(entities.find('resource', 'fairlead.api'), 'what always exists is never pruned');
});

t.test('a resource is made once, however many ask for it', async (t) => {
  const { entities, table } = make();
  await Promise.all([entities.create('r', 'resource'), entities.create('r', 'resource')]);
  t.equal(table.records.length, 1);
  t.match(table.records[0]?.value, { actor: 'daemon', kind: 'resource', name: 'r' });
  t.match(await refused(entities.create('a b', 'resource')), /^invalidName/);
});

t.test('they are there after a restart', async (t) => {
  const dir = t.testdir();
  const store = EntityStore.open(dir, 'flushed');
  const options = { shards: new FakeShards(1), autoCreateDestinations: false };
  const before = EntityService.open({ table: store, ...options });
  await before.put('resource', 'fairlead.api', { limit: 5 }, operator);
  await before.put('resource', 'r', { mode: 'delay', ratePerSec: 2.5 }, operator);
  await before.put('policy', 'r/acme', { weight: 7 }, operator);
  const rows = (['resource', 'policy'] as const).map((kind) => [...before.all(kind)]);
  await store.close();
  const reopened = EntityStore.open(dir, 'flushed');
  t.teardown(() => reopened.close());
  const after = EntityService.open({ table: reopened, ...options });
  t.strictSame(
    (['resource', 'policy'] as const).map((kind) => [...after.all(kind)]),
    rows,
  );
});
