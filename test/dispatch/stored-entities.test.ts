// The service over the real store: what was PUT is there after a restart, with versions that grow.
import t from 'tap';
import { auditPage } from '../../src/dispatch/audit-log.ts';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import { EntityStore } from '../../src/store/entity-store.ts';
import { FakeShards, operator } from './fakes.ts';

t.test('entities are the same after a restart', async (t) => {
  const path = t.testdir();
  const shards = new FakeShards(2);
  const open = () => {
    const table = EntityStore.open(path, 'flushed');
    return {
      table,
      entities: EntityService.open({ table, shards, autoCreateDestinations: false }),
    };
  };
  const first = open();
  await first.entities.put('set', 'gold', { weight: 900 }, operator);
  await Promise.all(
    ['a', 'b', 'c'].map((name) => first.entities.put('tenant', name, { set: 'gold' }, operator)),
  );
  await first.entities.put('destination', 'sms-de', { ratePerSec: 100, shardKey: 'de' }, operator);
  await first.entities.put('destination', 'gone', {}, operator);
  await first.entities.remove('destination', 'gone', operator);
  const changes = ({ entities }: typeof first) =>
    [...entities.changesFor(0), ...entities.changesFor(1)].sort((a, b) =>
      `${a.kind} ${a.name}`.localeCompare(`${b.kind} ${b.name}`),
    );
  const before = changes(first);
  await first.table.close();

  const second = open();
  t.strictSame(changes(second), before);
  const { version } = second.entities.get('destination', 'sms-de');
  const { row } = await second.entities.put('destination', 'sms-de', { shardKey: 'de' }, operator);
  t.ok(row.version > version);
  t.match(row.fields, { ratePerSec: null, shardKey: 'de' });
  await second.table.close();
});

t.test('what an older daemon stored has the defaults of later fields', async (t) => {
  const path = t.testdir();
  const old = EntityStore.open(path, 'flushed');
  const quota = { ratePerSec: 5, burst: null, inFlightMax: null };
  const rest = { leaseMs: 1_000, attemptsMax: 3, onDoubt: 'fail', fairBy: 'auto', paused: false };
  await old.put(1, 'd', { ...quota, ...rest, shardKey: 'k' }, {});
  await old.put(2, 'gold', { weight: 5, ...quota, order: 'strict', borrowMax: null }, {});
  await old.put(3, 'acme', { set: 'gold', weight: 5, ...quota, paused: true }, {});
  await old.close();
  const table = EntityStore.open(path, 'flushed');
  const shards = new FakeShards(1);
  const entities = EntityService.open({ table, shards, autoCreateDestinations: false });
  t.match(entities.get('destination', 'd').fields, {
    attemptsMax: 3,
    shardKey: 'k',
    retryBaseMs: 1_000,
    validityMs: 36_000_000,
    admission: 'off',
  });
  t.match(entities.get('set', 'gold').fields, { order: 'strict', policy: 'fair', slots: 64 });
  t.match(entities.get('tenant', 'acme').fields, { set: 'gold', paused: true, levelFloors: null });
  await table.close();
});

t.test('senders, pools and records of changes survive', async (t) => {
  const path = t.testdir();
  const shards = new FakeShards(1);
  const first = EntityStore.open(path, 'flushed');
  const before = EntityService.open({ table: first, shards, autoCreateDestinations: false });
  await before.put('pool', 'p', { ratePerSec: 5 }, operator);
  await before.put('sender', 'acme/1', { pool: 'p' }, operator);
  await first.close();
  const table = EntityStore.open(path, 'flushed');
  const entities = EntityService.open({ table, shards, autoCreateDestinations: false });
  t.match(entities.get('sender', 'acme/1'), { version: 2, fields: { pool: 'p' } });
  await t.rejects(entities.remove('pool', 'p', operator), /Senders share the pool p/);
  const { items } = auditPage(table, { limit: 10, below: Number.MAX_SAFE_INTEGER });
  t.match(items, [
    { sequence: 2, actor: 'operator', kind: 'sender', name: 'acme/1', before: null },
    { sequence: 1, kind: 'pool', name: 'p', after: { ratePerSec: 5, burst: null } },
  ]);
  t.equal(items.length, 2);
  await table.close();
});
