// Defaults, replacement, deletion, order of flush and shards, and what happens at the same time.
import t from 'tap';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import { shardOfKey } from '../../src/dispatch/shard-of-key.ts';
import { FairleadError } from '../../src/errors.ts';
import { FakeShards, FakeTable } from './fakes.ts';

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
  const { row, created } = await entities.put('destination', 'sms-de', { ratePerSec: 100 });
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
    },
  });
  t.strictSame((await entities.put('tenant', 'acme', {})).row.fields, {
    set: 'default',
    weight: 100,
    ratePerSec: null,
    burst: null,
    inFlightMax: null,
    paused: false,
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
    },
  });
});

t.test('a PUT replaces everything, flushes, then tells the shards', async (t) => {
  const { entities, calls } = await make();
  await entities.put('set', 'gold', { weight: 900, order: 'strict' });
  t.strictSame(calls, ['put 2 gold', 'configure 0 set gold', 'configure 1 set gold']);
  const { row, created } = await entities.put('set', 'gold', { ratePerSec: 5 });
  t.notOk(created);
  t.match(row, { version: 2, fields: { weight: 100, order: 'fifo', ratePerSec: 5 } });
  calls.length = 0;
  await entities.put('destination', 'd', {});
  t.strictSame(calls, ['put 1 d', `configure ${shardOfKey('d', 2)} destination d`]);
});

t.test('entities survive and each shard starts with what concerns it', async (t) => {
  const { entities, table } = await make();
  await entities.put('set', 'gold', {});
  await entities.put('tenant', 'acme', { set: 'gold' });
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const name of names) await entities.put('destination', name, {});
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
  t.match(await refused(again.remove('set', 'gold')), /^inUse: Tenants/);
});

t.test('wrong bodies are told what, why and what was received', async (t) => {
  const { entities } = await make();
  const table: [Parameters<typeof entities.put>, string][] = [
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
      ['tenant', 't', { ratePerSec: 10_000_001, paused: 'no' }],
      'invalidValue: ratePerSec: is at most 10000000, received 10000001; paused: is true or false, received "no".',
    ],
    [['tenant', 't', { set: 'nowhere' }], 'unknownSet: set: there is no set "nowhere".'],
    [
      ['set', 's', { borrowMax: 1 }],
      'notYetSupported: borrowMax is null (no cap), received 1: a cap on borrowing is not served yet.',
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
    t.equal(await refused(entities.put(...args)), expected);
  }
});

t.test('what an answer shows can be PUT again', async (t) => {
  const { entities } = await make();
  const { row } = await entities.put('destination', 'd', { shardKey: 'k' });
  const body = { name: 'd', version: row.version, ...row.fields };
  t.match(await entities.put('destination', 'd', body), { created: false, row: { version: 2 } });
});

t.test('the shardKey is fixed once the destination exists', async (t) => {
  const { entities } = await make();
  await entities.put('destination', 'd', { shardKey: 'k' });
  t.equal(entities.shardOf('d'), shardOfKey('k', 2));
  t.match((await entities.put('destination', 'd', {})).row.fields, { shardKey: 'k' });
  t.match(
    await refused(entities.put('destination', 'd', { shardKey: 'l' })),
    /^shardKeyFixed: shardKey is "k" .* received "l"/,
  );
  await entities.remove('destination', 'd');
  t.match((await entities.put('destination', 'd', {})).row.fields, { shardKey: 'd' });
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
  await entities.put('destination', 'd', {});
  shards.busy.add('destination/d');
  t.match(await refused(entities.remove('destination', 'd')), /^inUse: Messages of/);
  t.equal(entities.shardOf('d'), shardOfKey('d', 2), 'still served');
  shards.busy.clear();
  calls.length = 0;
  await entities.remove('destination', 'd');
  t.strictSame(calls, [`reset ${shardOfKey('d', 2)} destination d`, 'remove 1 d']);
  t.equal(entities.shardOf('d'), undefined);
  t.match(await refused(entities.remove('destination', 'd')), /^entityNotFound/);
  t.match(await refused(entities.remove('set', 'default')), /^reservedName/);

  await entities.put('set', 'gold', {});
  await entities.put('tenant', 'acme', { set: 'gold' });
  t.match(await refused(entities.remove('set', 'gold')), /^inUse: Tenants belong/);
  await entities.put('tenant', 'acme', {});
  await entities.remove('set', 'gold');
});

t.test('nothing is sent to a destination while it is being deleted', async (t) => {
  const { entities, shards } = await make();
  await entities.put('destination', 'd', {});
  const seen: (number | undefined)[] = [];
  shards.onInUse = () => seen.push(entities.shardOf('d'));
  await entities.remove('destination', 'd');
  t.strictSame(seen, [shardOfKey('d', 2), undefined]);
});

t.test('a set cannot go while a tenant that names it is being stored', async (t) => {
  const { entities, table } = await make();
  await entities.put('set', 'gold', {});
  let flushed = (): void => {};
  table.flush = new Promise((resolve) => {
    flushed = resolve;
  });
  const put = entities.put('tenant', 'acme', { set: 'gold' });
  t.match(await refused(entities.remove('set', 'gold')), /^inUse/);
  flushed();
  await put;

  await entities.put('tenant', 'acme', {});
  // However many turns the deletion is ahead: exactly one of the two wins.
  for (let turns = 0; turns < 12; turns += 1) {
    await entities.put('set', 'gold', {});
    const removal = refused(entities.remove('set', 'gold'));
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    const late = await refused(entities.put('tenant', 'acme', { set: 'gold' }));
    const gone = (await removal) === 'not refused';
    t.equal(late, gone ? 'unknownSet: set: there is no set "gold".' : 'not refused');
    await entities.put('tenant', 'acme', {});
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
    entities.put('set', 's', { weight: index + 1 }),
  );
  const versions = (await Promise.all(puts)).map(({ row }) => row.version);
  t.strictSame(versions, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  t.match(entities.get('set', 's').fields, { weight: 10 });
});

t.test('lists are paged in order of name', async (t) => {
  const { entities } = await make();
  for (const name of ['c', 'a', 'e', 'B', 'd']) await entities.put('destination', name, {});
  const names: string[] = [];
  let after: string | undefined = '';
  while (after !== undefined) {
    const page = entities.list('destination', { limit: 2, after });
    names.push(...page.rows.map((row) => row.name));
    after = page.next;
  }
  t.strictSame(names, ['B', 'a', 'c', 'd', 'e']);
});
