// The service over the real store: what was PUT is there after a restart, with versions that grow.
import t from 'tap';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import { EntityStore } from '../../src/store/entity-store.ts';
import { FakeShards } from './fakes.ts';

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
  await first.entities.put('set', 'gold', { weight: 900 });
  await Promise.all(
    ['a', 'b', 'c'].map((name) => first.entities.put('tenant', name, { set: 'gold' })),
  );
  await first.entities.put('destination', 'sms-de', { ratePerSec: 100, shardKey: 'de' });
  await first.entities.put('destination', 'gone', {});
  await first.entities.remove('destination', 'gone');
  const changes = ({ entities }: typeof first) =>
    [...entities.changesFor(0), ...entities.changesFor(1)].sort((a, b) =>
      `${a.kind} ${a.name}`.localeCompare(`${b.kind} ${b.name}`),
    );
  const before = changes(first);
  await first.table.close();

  const second = open();
  t.strictSame(changes(second), before);
  const { version } = second.entities.get('destination', 'sms-de');
  const { row } = await second.entities.put('destination', 'sms-de', { shardKey: 'de' });
  t.ok(row.version > version);
  t.match(row.fields, { ratePerSec: null, shardKey: 'de' });
  await second.table.close();
});
