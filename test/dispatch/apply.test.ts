// The difference, its order, what is checked before the first change, and what a late failure says.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { applyEntities } from '../../src/dispatch/apply.ts';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import { FairleadError } from '../../src/errors.ts';
import { FakeShards, FakeTable, operator } from './fakes.ts';

const make = () => {
  const calls: string[] = [];
  const table = new FakeTable(calls);
  const shards = new FakeShards(1, calls);
  const entities = EntityService.open({ table, shards, autoCreateDestinations: false });
  const apply = (body: unknown, { dryRun = false, prune = false } = {}) =>
    applyEntities(entities, body, { dryRun, prune, actor: operator });
  const written = () => calls.splice(0).filter((call) => /^(put|remove)/.test(call));
  return { table, shards, entities, apply, written };
};

const refused = async (promise: Promise<unknown>): Promise<FairleadError> => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof FairleadError) return error;
    throw error;
  }
  throw new Error('it was not refused');
};

const file = {
  destinations: { sms: { ratePerSec: 100 } },
  tenants: { acme: { set: 'gold' } },
  senders: { 'acme/1': { pool: 'p' } },
  pools: { p: { ratePerSec: 5 } },
  sets: { gold: {} },
};

t.test('what refers is made after what it refers to', async (t) => {
  const { apply, written } = make();
  const plan = await apply(file, { dryRun: true });
  t.strictSame(written(), [], 'a dry run writes nothing');
  t.match(plan, { dryRun: true, created: 5, changed: 0, deleted: 0, unchanged: 0 });
  const result = await apply(file);
  t.strictSame({ ...result, dryRun: true }, plan);
  t.strictSame(written(), ['put 2 gold', 'put 5 p', 'put 3 acme', 'put 4 acme/1', 'put 1 sms']);
});

t.test('differences are told field by field; the same again changes nothing', async (t) => {
  const { apply, written } = make();
  await apply(file);
  written();
  t.match(await apply(file), { created: 0, changed: 0, unchanged: 5, changes: [] });
  t.strictSame(written(), []);
  const next = { ...file, destinations: { sms: { burst: 3, ratePerSec: 100 } } };
  t.strictSame((await apply(next)).changes, [
    {
      action: 'change',
      kind: 'destination',
      name: 'sms',
      fields: { burst: { from: null, to: 3 } },
    },
  ]);
  const gone = { tenants: { acme: { weight: 5 } } };
  t.strictSame((await apply(gone)).changes, [
    {
      action: 'change',
      kind: 'tenant',
      name: 'acme',
      fields: { set: { from: 'gold', to: 'default' }, weight: { from: 100, to: 5 } },
    },
  ]);
});

t.test('only prune deletes, what refers first; the set default stays', async (t) => {
  const { apply, written, entities } = make();
  await apply(file);
  written();
  t.match(await apply({}), { deleted: 0, unchanged: 0 });
  const kept = { sets: { silver: {} }, tenants: { acme: { set: 'silver' } } };
  const result = await apply(kept, { prune: true });
  t.match(result, { created: 1, changed: 1, deleted: 4 });
  t.strictSame(written(), [
    'put 2 silver',
    'put 3 acme',
    'remove 1 sms',
    'remove 4 acme/1',
    'remove 5 p',
    'remove 2 gold',
  ]);
  t.ok(entities.find('set', 'default'));
});

t.test('everything is checked before the first change', async (t) => {
  const { apply, written, shards, entities } = make();
  await entities.put('set', 'old', {}, operator);
  await entities.put('destination', 'busy', { shardKey: 'k' }, operator);
  shards.busy.add('destination/busy');
  written();
  const wrong = {
    sets: { gold: { weight: 0 }, fine: {} },
    tenants: { a: { set: 'nowhere' }, b: { set: 'old' }, c: { set: 'fine' } },
    senders: { 'a/1': { pool: 'p' }, a: {} },
    destinations: { 'x y': {}, z: { shuffle: true } },
  };
  const error = await refused(apply(wrong, { prune: true }));
  t.equal(error.error, 'invalidValue');
  t.match(
    error.message,
    /^The set gold: weight: is at least 1, received 0\. The tenant a: set: there/,
  );
  t.match(error.message, /Nothing was changed\.$/);
  const { problems } = error.details as {
    problems: { kind: string; name: string; code: number }[];
  };
  t.strictSame(
    problems.map(({ kind, name, code }) => `${kind} ${name} ${code}`),
    [
      'set gold 1015',
      'tenant a 3015',
      // It goes with the others that the file does not have.
      'tenant b 3015',
      'sender a/1 3028',
      'sender a 1008',
      'destination x y 1008',
      'destination z 1014',
      'destination busy 3011',
    ],
  );
  const fixed = await refused(apply({ destinations: { busy: { shardKey: 'l' } } }));
  t.equal(fixed.error, 'shardKeyFixed');
  t.equal((await refused(apply({ destination: {} }))).error, 'unknownField');
  t.equal((await refused(apply({ sets: [] }))).error, 'invalidValue');
  t.equal((await refused(apply([]))).error, 'invalidValue');
  t.strictSame(written(), []);
});

t.test('a failure on the way says what was done', async (t) => {
  const { apply, shards, entities } = make();
  await apply(file);
  // Messages that come between the check and the deletion: the shard has the last word.
  shards.refusing.add('sender/acme/1');
  const error = await refused(apply({ sets: { more: {} } }, { prune: true }));
  t.equal(error.error, 'inUse');
  t.match(error.message, /^2 of 6 changes were made, then the sender acme\/1 failed: /);
  t.match(error.details, {
    done: [
      { action: 'create', kind: 'set', name: 'more' },
      { action: 'delete', kind: 'destination', name: 'sms' },
    ],
    failed: [{ action: 'delete', kind: 'sender', name: 'acme/1', code: 3011 }],
    notTried: 3,
  });
  t.ok(entities.find('tenant', 'acme'));
  shards.refusing.clear();
  t.match(await apply({ sets: { more: {} } }, { prune: true }), { deleted: 4, unchanged: 1 });
});

t.test(
  'whatever was there: a pruned file is all there is, and the second time nothing',
  async (t) => {
    const names = (count: number) =>
      fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { maxLength: count });
    const weights = fc.integer({ min: 1, max: 3 });
    const files = fc
      .tuple(names(4), names(4), fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), weights))
      .map(([sets, pools, tenants]) => ({
        sets: Object.fromEntries(sets.map((name) => [`s${name}`, { weight: name + 1 }])),
        pools: Object.fromEntries(pools.map((name) => [`p${name}`, { ratePerSec: name + 1 }])),
        tenants: Object.fromEntries(
          Object.entries(tenants).map(([name, weight]) => {
            const [set = 'default'] = sets.slice(weight - 1).map((each) => `s${each}`);
            return [name, { set, weight }];
          }),
        ),
        senders: Object.fromEntries(
          Object.entries(tenants).map(([name, weight]) => {
            const [pool = null] = pools.slice(weight - 1).map((each) => `p${each}`);
            return [`${name}/1`, { pool }];
          }),
        ),
      }));
    const property = fc.asyncProperty(fc.array(files, { maxLength: 4 }), async (all) => {
      const { apply, entities } = make();
      for (const wanted of all) {
        await apply(wanted, { prune: true });
        const there = (['set', 'pool', 'tenant', 'sender'] as const).map((kind) =>
          [...entities.all(kind)].map(({ name }) => name).filter((name) => name !== 'default'),
        );
        const { sets, pools, tenants, senders } = wanted;
        const expected = [sets, pools, tenants, senders].map((table) => Object.keys(table));
        assert.deepEqual(
          there.map((list) => list.sort()),
          expected.map((list) => list.sort()),
        );
        const again = await apply(wanted, { prune: true });
        assert.deepEqual(again.changes, []);
      }
    });
    await t.resolves(fc.assert(property, { numRuns: 200 }));
  },
);

t.test('many entities at once', async (t) => {
  const { apply, entities } = make();
  const names = Array.from({ length: 1_000 }, (_, index) => `t${index}`);
  const tenants = Object.fromEntries(names.map((name) => [name, { weight: 5 }]));
  t.match(await apply({ tenants }), { created: 1_000 });
  t.equal([...entities.all('tenant')].length, 1_000);
  t.match(await apply({}, { prune: true }), { deleted: 1_000 });
  t.equal([...entities.all('tenant')].length, 0);
});
