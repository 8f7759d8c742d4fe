// Defaults, replacement, deletion, order of flush and shards, and what happens at the same time.
import t from 'tap';
import type { EntityKind } from '../../src/dispatch/entity-kinds.ts';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import { shardOfKey } from '../../src/dispatch/shard-of-key.ts';
import { FairleadError } from '../../src/errors.ts';
import { FakeShards, FakeTable, operator } from './fakes.ts';

const make = async ({ shards: count = 2, autoCreateDestinations = false } = {}) => {
  const calls: string[] = [];
  const table = new FakeTable(calls);
  const shards = new FakeShards(count, calls);
  const entities = EntityService.open({ table, shards, autoCreateDestinations });
  return { calls, table, shards, entities };
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

t.test('absent fields get their defaults', async (t) => {
  const { entities } = await make();
  const { row, created } = await entities.put(
    'destination',
    'sms-de',
    { ratePerSec: 100 },
    operator,
  );
  t.ok(created);
  t.strictSame(row, {
    kind: 'destination',
    name: 'sms-de',
    version: 1,
    fields: {
      ratePerSec: 100,
      burst: null,
      inFlightMax: null,
      leaseMs: 30_000,
      attemptsMax: 16,
      onDoubt: 'redeliver',
      fairBy: 'auto',
      shardKey: 'sms-de',
      paused: false,
      retryBaseMs: 1_000,
      retryMaxMs: 600_000,
      retryJitter: 0.2,
      validityMs: 36_000_000,
      refuseNew: false,
      admission: 'off',
      owner: null,
    },
  });
  t.strictSame((await entities.put('tenant', 'acme', {}, operator)).row.fields, {
    set: 'default',
    weight: 100,
    ratePerSec: null,
    burst: null,
    inFlightMax: null,
    paused: false,
    refuseNew: false,
    refuseCode: null,
    levelFloors: null,
    waitingMax: null,
    waitingBytesMax: null,
    concurrencyMax: null,
    parent: null,
  });
  t.strictSame((await entities.put('pool', 'campaign', {}, operator)).row.fields, {
    ratePerSec: null,
    burst: null,
  });
  const { row: sender } = await entities.put('sender', 'acme/1', { pool: 'campaign' }, operator);
  t.strictSame(sender.fields, {
    ratePerSec: null,
    burst: null,
    inFlightMax: null,
    pool: 'campaign',
    paused: false,
    refuseNew: false,
  });
  t.strictSame(entities.get('set', 'default'), {
    kind: 'set',
    name: 'default',
    version: 0,
    fields: {
      weight: 100,
      ratePerSec: null,
      burst: null,
      inFlightMax: null,
      order: 'fifo',
      borrowMax: null,
      paused: false,
      refuseNew: false,
      policy: 'fair',
      slots: 64,
      hand: 4,
    },
  });
});

t.test('a PUT replaces everything, flushes, then tells the shards', async (t) => {
  const { entities, calls } = await make();
  await entities.put('set', 'gold', { weight: 900, order: 'strict' }, operator);
  t.strictSame(calls, ['put 2 gold', 'configure 0 set gold', 'configure 1 set gold']);
  const { row, created } = await entities.put('set', 'gold', { ratePerSec: 5 }, operator);
  t.notOk(created);
  t.match(row, { version: 2, fields: { weight: 100, order: 'fifo', ratePerSec: 5 } });
  calls.length = 0;
  await entities.put('destination', 'd', {}, operator);
  t.strictSame(calls, ['put 1 d', `configure ${shardOfKey('d', 2)} destination d`]);
});

t.test('entities survive and each shard starts with what concerns it', async (t) => {
  const { entities, table } = await make();
  await entities.put('set', 'gold', {}, operator);
  await entities.put('tenant', 'acme', { set: 'gold' }, operator);
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const name of names) await entities.put('destination', name, {}, operator);
  const again = EntityService.open({
    table,
    shards: new FakeShards(2),
    autoCreateDestinations: false,
  });
  for (const shard of [0, 1]) {
    const changes = [...again.changesFor(shard)].map(({ kind, name }) => `${kind} ${name}`);
    t.strictSame(changes.slice(0, 3).sort(), ['set default', 'set gold', 'tenant acme']);
    t.strictSame(
      changes.slice(3),
      names.filter((name) => shardOfKey(name, 2) === shard).map((name) => `destination ${name}`),
    );
  }
  t.match(await refused(again.remove('set', 'gold', operator)), /^inUse: Tenants/);
});

t.test('wrong bodies are told what, why and what was received', async (t) => {
  const { entities } = await make();
  const table: [[kind: EntityKind, name: string, body: unknown], string][] = [
    [
      ['destination', 'd', { ratePerSecond: 1 }],
      'unknownField: A destination has no field "ratePerSecond"; did you mean ratePerSec?',
    ],
    [['set', 's', { weight: 0 }], 'invalidValue: weight: is at least 1, received 0.'],
    [
      ['set', 's', { weight: 1.5 }],
      'invalidValue: weight: is a whole number from 1 to 10000, received 1.5.',
    ],
    [['tenant', 't', { ratePerSec: 0 }], 'invalidValue: ratePerSec: is above 0, received 0.'],
    [
      ['tenant', 't', { ratePerSec: 1e-300 }],
      'invalidValue: ratePerSec: is at least 0.000001, received 1e-300.',
    ],
    [
      ['resource', 'calls', { mode: 'delay', ratePerSec: 1e-300 }],
      'invalidValue: ratePerSec: is at least 0.000011574074074074073, received 1e-300.',
    ],
    [
      ['tenant', 't', { ratePerSec: 10_000_001, paused: 'no' }],
      'invalidValue: ratePerSec: is at most 10000000, received 10000001; paused: is true or false, received "no".',
    ],
    [['tenant', 't', { set: 'nowhere' }], 'unknownSet: set: there is no set "nowhere".'],
    [['set', 's', { borrowMax: -1 }], 'invalidValue: borrowMax: is at least 0, received -1.'],
    [
      ['set', 's', { policy: 'random' }],
      'invalidValue: policy: is fair or shuffle, received "random".',
    ],
    [['set', 's', { slots: 2, hand: 3 }], 'invalidValue: hand: is at most slots, received 3.'],
    [['set', 's', { slots: 1, hand: 1 }], 'invalidValue: slots: is at least 2, received 1.'],
    [
      ['destination', 'd', { retryBaseMs: 700_000 }],
      'invalidValue: retryMaxMs: is at least retryBaseMs (600000 unless given), received nothing.',
    ],
    [
      ['destination', 'd', { retryJitter: 1.1, validityMs: 2_592_000_001, admission: 'maybe' }],
      'invalidValue: retryJitter: is at most 1, received 1.1; validityMs: is at most 2592000000, received 2592000001; admission: is off, shadow or on, received "maybe".',
    ],
    [
      ['tenant', 't', { levelFloors: [0] }],
      'invalidValue: levelFloors: has at least 2 entries, received [0].',
    ],
    [
      ['tenant', 't', { levelFloors: [0, 0, 0, 0, 0, 0, 0, 0, 0] }],
      'invalidValue: levelFloors: has at most 8 entries, received [0,0,0,0,0,0,0,0,0].',
    ],
    [
      ['tenant', 't', { levelFloors: [0.1, 0.1] }],
      'invalidValue: levelFloors: has 0 first, received [0.1,0.1].',
    ],
    [
      ['tenant', 't', { levelFloors: [0, 0.3, 0.3] }],
      'invalidValue: levelFloors: adds up to at most 0.5, received [0,0.3,0.3].',
    ],
    [
      ['tenant', 't', { levelFloors: [0, -1] }],
      'invalidValue: levelFloors.1: is at least 0, received -1.',
    ],
    [['sender', 'a/b', { pool: 'nowhere' }], 'unknownPool: pool: there is no pool "nowhere".'],
    [['sender', 'ab', {}], 'invalidName: A sender is named tenant/sender, received "ab".'],
    [
      ['sender', 'a/b/c', {}],
      'invalidName: A name is made of A-Z a-z 0-9 . _ : + @ -, received "b/c".',
    ],
    [
      ['pool', 'p', { inFlightMax: 1 }],
      'unknownField: A pool has no field "inFlightMax"; it has ratePerSec, burst',
    ],
    [['set', 's', []], 'invalidValue: The body is a JSON object, received [].'],
    [['set', 's', { name: 'x' }], 'invalidValue: name: the path says s, the body says "x".'],
    [
      ['destination', 'a b', {}],
      'invalidName: A name is made of A-Z a-z 0-9 . _ : + @ -, received "a b".',
    ],
    [
      ['destination', 'x'.repeat(129), {}],
      'fieldTooLong: A name has at most 128 bytes, received 129.',
    ],
    [
      ['destination', 'd', { onDoubt: 'maybe' }],
      'invalidValue: onDoubt: is redeliver or fail, received "maybe".',
    ],
  ];
  for (const [args, expected] of table) {
    t.equal(await refused(entities.put(...args, operator)), expected);
  }
});

t.test('what an answer shows can be PUT again', async (t) => {
  const { entities } = await make();
  const { row } = await entities.put('destination', 'd', { shardKey: 'k' }, operator);
  const body = { name: 'd', version: row.version, ...row.fields };
  t.match(await entities.put('destination', 'd', body, operator), {
    created: false,
    row: { version: 2 },
  });
});

t.test('the shardKey is fixed once the destination exists', async (t) => {
  const { entities } = await make();
  await entities.put('destination', 'd', { shardKey: 'k' }, operator);
  t.equal(entities.shardOf('d'), shardOfKey('k', 2));
  t.match((await entities.put('destination', 'd', {}, operator)).row.fields, { shardKey: 'k' });
  t.match(
    await refused(entities.put('destination', 'd', { shardKey: 'l' }, operator)),
    /^shardKeyFixed: shardKey is "k" .* received "l"/,
  );
  await entities.remove('destination', 'd', operator);
  t.match((await entities.put('destination', 'd', {}, operator)).row.fields, { shardKey: 'd' });
});

t.test('the hash of a shardKey never changes', async (t) => {
  const keys = ['sms-de', 'voice', '+4930', 'übung'];
  t.strictSame(
    keys.map((key) => shardOfKey(key, 256)),
    [130, 249, 138, 244],
  );
});

t.test('deletion waits for work and references', async (t) => {
  const { entities, shards, calls } = await make();
  await entities.put('destination', 'd', {}, operator);
  shards.busy.add('destination/d');
  t.match(await refused(entities.remove('destination', 'd', operator)), /^inUse: Messages of/);
  t.equal(entities.shardOf('d'), shardOfKey('d', 2), 'still served');
  shards.busy.clear();
  calls.length = 0;
  await entities.remove('destination', 'd', operator);
  t.strictSame(calls, [`reset ${shardOfKey('d', 2)} destination d`, 'remove 1 d']);
  t.equal(entities.shardOf('d'), undefined);
  t.match(await refused(entities.remove('destination', 'd', operator)), /^entityNotFound/);
  t.match(await refused(entities.remove('set', 'default', operator)), /^reservedName/);

  await entities.put('set', 'gold', {}, operator);
  await entities.put('tenant', 'acme', { set: 'gold' }, operator);
  t.match(await refused(entities.remove('set', 'gold', operator)), /^inUse: Tenants belong/);
  await entities.put('tenant', 'acme', {}, operator);
  await entities.remove('set', 'gold', operator);
});

t.test('a pool cannot go while a sender shares it', async (t) => {
  const { entities, calls } = await make();
  await entities.put('pool', 'p', { ratePerSec: 5 }, operator);
  await entities.put('sender', 'acme/1', { pool: 'p' }, operator);
  t.equal(
    await refused(entities.remove('pool', 'p', operator)),
    'inUse: Senders share the pool p: 1 of them.',
  );
  await entities.put('sender', 'acme/1', {}, operator);
  calls.length = 0;
  await entities.remove('pool', 'p', operator);
  t.strictSame(calls, ['reset 0 pool p', 'reset 1 pool p', 'remove 5 p']);
  await entities.put('pool', 'p', {}, operator);
  await entities.put('sender', 'acme/1', { pool: 'p' }, operator);
  await entities.remove('sender', 'acme/1', operator);
  await entities.remove('pool', 'p', operator);
});

t.test('some fields are amended, the others stay', async (t) => {
  const { entities, table } = await make();
  await entities.put('destination', 'd', { ratePerSec: 5, shardKey: 'k' }, operator);
  const { row } = await entities.amend('destination', 'd', { paused: true }, operator);
  t.match(row, { version: 2, fields: { ratePerSec: 5, shardKey: 'k', paused: true } });
  const again = await entities.amend('destination', 'd', { paused: true }, operator);
  t.strictSame(again, { row, created: false }, 'the same again writes nothing');
  t.equal(table.records.length, 2);
  t.match(await refused(entities.amend('set', 's', { paused: true }, operator)), /entityNotFound/);
  const made = await entities.amend('sender', 'acme/1', { refuseNew: true }, operator);
  t.match(made, { created: true, row: { fields: { refuseNew: true, paused: false } } });
  await entities.amend('tenant', 'acme', { paused: false }, operator);
  t.equal(entities.get('tenant', 'acme').version, 4, 'one that was never PUT is made');
  const beyond = entities.amend('tenant', 'acme', { concurrencyMax: 2 ** 32 }, operator);
  t.match(await refused(beyond), /^invalidValue/, 'what a PUT may not have is not stored');
  t.equal(entities.get('tenant', 'acme').fields.concurrencyMax, null);
});

t.test('every change is recorded with who made it', async (t) => {
  const { entities, table } = await make({ autoCreateDestinations: true });
  await entities.create('d');
  await entities.put('destination', 'd', { ratePerSec: 5 }, operator);
  await entities.remove('destination', 'd', operator);
  const [made, changed, deleted] = table.records.map(({ value }) => value);
  t.match(made, { actor: 'daemon', address: null, before: null, after: { ratePerSec: null } });
  const who = { actor: 'operator', address: '10.0.0.1', kind: 'destination', name: 'd' };
  t.match(changed, { ...who, before: { ratePerSec: null }, after: { ratePerSec: 5 } });
  t.match(deleted, { ...who, before: { ratePerSec: 5 }, after: null });
  t.match(
    table.records.map(({ sequence }) => sequence),
    [1, 2, 3],
  );
});

t.test('nothing is sent to a destination while it is being deleted', async (t) => {
  const { entities, shards } = await make();
  await entities.put('destination', 'd', {}, operator);
  const seen: (number | undefined)[] = [];
  shards.onInUse = () => seen.push(entities.shardOf('d'));
  await entities.remove('destination', 'd', operator);
  t.strictSame(seen, [shardOfKey('d', 2), undefined]);
});

t.test('a set cannot go while a tenant that names it is being stored', async (t) => {
  const { entities, table } = await make();
  await entities.put('set', 'gold', {}, operator);
  let flushed = (): void => {};
  table.flush = new Promise((resolve) => {
    flushed = resolve;
  });
  const put = entities.put('tenant', 'acme', { set: 'gold' }, operator);
  t.match(await refused(entities.remove('set', 'gold', operator)), /^inUse/);
  flushed();
  await put;

  await entities.put('tenant', 'acme', {}, operator);
  // However many turns the deletion is ahead: exactly one of the two wins.
  for (let turns = 0; turns < 12; turns += 1) {
    await entities.put('set', 'gold', {}, operator);
    const removal = refused(entities.remove('set', 'gold', operator));
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    const late = await refused(entities.put('tenant', 'acme', { set: 'gold' }, operator));
    const gone = (await removal) === 'not refused';
    t.equal(late, gone ? 'unknownSet: set: there is no set "gold".' : 'not refused');
    await entities.put('tenant', 'acme', {}, operator);
  }
});

t.test('concurrent callers make a destination once', async (t) => {
  const { entities, calls } = await make({ autoCreateDestinations: true });
  t.ok(entities.autoCreate);
  await Promise.all(Array.from({ length: 20 }, () => entities.create('d')));
  t.equal(entities.shardOf('d'), shardOfKey('d', 2));
  t.equal(calls.filter((call) => call === 'put 1 d').length, 1);
  t.match(await refused(entities.create('a b')), /^invalidName/);
});

t.test('changes of one entity run one after another', async (t) => {
  const { entities } = await make();
  const puts = Array.from({ length: 10 }, (_, index) =>
    entities.put('set', 's', { weight: index + 1 }, operator),
  );
  const versions = (await Promise.all(puts)).map(({ row }) => row.version);
  t.strictSame(versions, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  t.match(entities.get('set', 's').fields, { weight: 10 });
});

t.test('lists are paged in order of name', async (t) => {
  const { entities } = await make();
  for (const name of ['c', 'a', 'e', 'B', 'd'])
    await entities.put('destination', name, {}, operator);
  const names: string[] = [];
  let after: string | undefined = '';
  while (after !== undefined) {
    const page = entities.list('destination', { limit: 2, after });
    names.push(...page.rows.map((row) => row.name));
    after = page.next;
  }
  t.strictSame(names, ['B', 'a', 'c', 'd', 'e']);
});
