// A page looks through a bounded number of records, however few the filter lets through.
import t from 'tap';
import { auditPage } from '../../src/dispatch/audit-log.ts';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import { LIMITS } from '../../src/limits.ts';
import { FakeShards, FakeTable, operator } from './fakes.ts';

t.test('a page without a match has a cursor that goes on', async (t) => {
  const table = new FakeTable();
  const shards = new FakeShards(1);
  const entities = EntityService.open({ table, shards, autoCreateDestinations: false });
  await entities.put('tenant', 'acme', {}, operator);
  for (let at = 0; at < LIMITS.changesPerPage + 5; at += 1) {
    await entities.put('pool', 'p', {}, operator);
  }
  const find = (below: number) => auditPage(table, { kind: 'tenant', limit: 10, below });
  const first = find(Number.MAX_SAFE_INTEGER);
  t.strictSame(first, { items: [], next: 7 });
  const second = find(7);
  t.match(second, { items: [{ sequence: 1, name: 'acme' }], next: undefined });
});
