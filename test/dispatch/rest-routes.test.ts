// Status, headers and bodies of the REST resources.
import t from 'tap';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import type { RestReply } from '../../src/dispatch/ports.ts';
import { restRoutes } from '../../src/dispatch/rest-routes.ts';
import { FairleadError } from '../../src/errors.ts';
import { FakeShards, FakeTable } from './fakes.ts';

const make = async () => {
  const shards = new FakeShards(1);
  const entities = EntityService.open({
    table: new FakeTable(),
    shards,
    autoCreateDestinations: false,
  });
  const routes = restRoutes({ entities, shards, status: async () => ({ version: '1' }) });
  const call = async (line: string, body?: unknown): Promise<RestReply | string> => {
    const [method, url = ''] = line.split(' ');
    const { pathname, searchParams: query } = new URL(url, 'http://localhost');
    for (const route of routes) {
      const pattern = new RegExp(`^${route.path.replace(':name', '(?<name>[^/]+)')}$`);
      const match = route.method === method ? pattern.exec(pathname) : null;
      if (match === null) continue;
      const params = { ...match.groups };
      try {
        return await route.handler({ params, query, body });
      } catch (error) {
        if (error instanceof FairleadError) return error.error;
        throw error;
      }
    }
    return 'no route';
  };
  return { call, shards, routes };
};

t.test('all of it needs the platform scope', async (t) => {
  const { routes } = await make();
  t.ok(routes.every((route) => route.scope === 'platform'));
});

t.test('PUT, GET, DELETE', async (t) => {
  const { call } = await make();
  const made = await call('PUT /v1/sets/gold', { weight: 7 });
  const body = {
    name: 'gold',
    weight: 7,
    ratePerSec: null,
    burst: null,
    inFlightMax: null,
    order: 'fifo',
    borrowMax: null,
    version: 1,
  };
  t.strictSame(made, { status: 201, body, headers: { etag: '"1"' } });
  t.match(await call('PUT /v1/sets/gold', body), { status: 200, body: { version: 2 } });
  t.match(await call('GET /v1/sets/gold'), { status: 200, body: { weight: 7, version: 2 } });
  t.strictSame(await call('DELETE /v1/sets/gold'), { status: 204 });
  t.equal(await call('GET /v1/sets/gold'), 'entityNotFound');
  t.equal(await call('PUT /v1/sets/gold', { wait: 7 }), 'unknownField');
});

t.test('lists', async (t) => {
  const { call } = await make();
  for (const name of ['a', 'b', 'c']) await call(`PUT /v1/tenants/${name}`, {});
  const first = (await call('GET /v1/tenants?limit=2')) as { body: { cursor: string } };
  t.match(first, { body: { items: [{ name: 'a' }, { name: 'b' }], cursor: String } });
  const second = await call(`GET /v1/tenants?limit=2&cursor=${first.body.cursor}`);
  t.match(second, { body: { items: [{ name: 'c' }], cursor: null } });
  t.match(await call('GET /v1/sets'), { body: { items: [{ name: 'default', version: 0 }] } });
  t.equal(await call('GET /v1/tenants?limit=0'), 'invalidValue');
  t.equal(await call('GET /v1/tenants?limit=1e2'), 'invalidValue');
  t.equal(await call('GET /v1/tenants?cursor=%00'), 'invalidValue');
  t.equal(await call('GET /v1/tenants?page=2'), 'unknownField');
});

t.test('explain passes on what the shard says, paged', async (t) => {
  const { call, shards } = await make();
  shards.queues = [{ sender: 'a' }, { sender: 'b' }, { sender: 'c' }];
  t.equal(await call('GET /v1/destinations/d/explain'), 'unknownDestination');
  await call('PUT /v1/destinations/d', {});
  t.strictSame(await call('GET /v1/destinations/d/explain?limit=2'), {
    status: 200,
    body: {
      destination: 'd',
      shard: 0,
      queues: [{ sender: 'a' }, { sender: 'b' }],
      picks: [],
      cursor: '2',
    },
  });
  t.match(await call('GET /v1/destinations/d/explain?limit=2&cursor=2'), {
    body: { queues: [{ sender: 'c' }], cursor: null },
  });
});

t.test('status', async (t) => {
  const { call } = await make();
  t.strictSame(await call('GET /v1/status'), { status: 200, body: { version: '1' } });
});
