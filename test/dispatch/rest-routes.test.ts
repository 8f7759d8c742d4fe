// Status, headers and bodies of the REST resources.
import t from 'tap';
import { EntityService } from '../../src/dispatch/entity-service.ts';
import { restRoutes } from '../../src/dispatch/rest-routes.ts';
import { FairleadError } from '../../src/errors.ts';
import { withOpenApi } from '../../src/rest/openapi.ts';
import { NO_QUERY, type RestReply, route } from '../../src/rest/rest-route.ts';
import { FakeShards, FakeTable } from './fakes.ts';

const make = async () => {
  const shards = new FakeShards(1);
  const table = new FakeTable();
  const entities = EntityService.open({ table, shards, autoCreateDestinations: false });
  const status = async () => ({ version: '1' });
  const secretOf = (tenant: string, version: number) => `whsec_${tenant}${version}`;
  const routes = withOpenApi(restRoutes({ entities, table, shards, status, secretOf }), '1');
  const call = async (line: string, body?: unknown): Promise<RestReply | string> => {
    const [method, url = ''] = line.split(' ');
    const { pathname, searchParams: query } = new URL(url, 'http://localhost');
    for (const route of routes) {
      const pattern = new RegExp(`^${route.path.replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`);
      const match = route.method === method ? pattern.exec(pathname) : null;
      if (match === null) continue;
      const params = { ...match.groups };
      try {
        const identity = { subject: 'ops', tenant: undefined, scopes: 4 };
        const remoteAddress = '10.0.0.1';
        const headers = new Map<string, string>();
        return await route.handler({ params, query, headers, body, identity, remoteAddress });
      } catch (error) {
        if (error instanceof FairleadError) return error.error;
        throw error;
      }
    }
    return 'no route';
  };
  return { call, shards, routes };
};

t.test('all of it needs the platform scope, save the document', async (t) => {
  const { routes } = await make();
  const open = routes.filter((route) => route.scope !== 'platform');
  t.strictSame(
    open.map(({ method, path, scope }) => `${method} ${path} ${scope}`),
    ['GET /v1/openapi.json none'],
  );
});

t.test('a route documents the parameters of its path', async (t) => {
  const doc = { tag: '', summary: '', query: NO_QUERY, body: null, responses: [], errors: [] };
  const make = () =>
    route({
      method: 'GET',
      path: '/v1/things/:thing',
      scope: 'platform',
      doc: { ...doc, params: {}, example: { status: 200 } },
      handler: () => ({ status: 200 }),
    });
  t.throws(make, /route GET \/v1\/things\/:thing: documents/);
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
    paused: false,
    refuseNew: false,
    policy: 'fair',
    slots: 64,
    hand: 4,
    version: 1,
  };
  t.strictSame(made, { status: 201, body, headers: { etag: '"1"' } });
  t.match(await call('PUT /v1/sets/gold', body), { status: 200, body: { version: 2 } });
  t.match(await call('GET /v1/sets/gold'), { status: 200, body: { weight: 7, version: 2 } });
  t.strictSame(await call('DELETE /v1/sets/gold'), { status: 204 });
  t.equal(await call('GET /v1/sets/gold'), 'entityNotFound');
  t.equal(await call('PUT /v1/sets/gold', { wait: 7 }), 'unknownField');
});

t.test('senders have the name of their tenant in the path', async (t) => {
  const { call } = await make();
  t.match(await call('PUT /v1/senders/acme/+4930', { burst: 2 }), {
    status: 201,
    body: { name: 'acme/+4930', burst: 2, pool: null },
  });
  await call('PUT /v1/senders/acme/1', {});
  const first = (await call('GET /v1/senders?limit=1')) as { body: { cursor: string } };
  t.match(first, { body: { items: [{ name: 'acme/+4930' }] } });
  t.match(await call(`GET /v1/senders?cursor=${first.body.cursor}`), {
    body: { items: [{ name: 'acme/1' }], cursor: null },
  });
  t.equal(await call('PUT /v1/senders/acme/1', { pool: 'x' }), 'unknownPool');
  t.strictSame(await call('DELETE /v1/senders/acme/1'), { status: 204 });
  t.equal(await call('GET /v1/senders/acme/1'), 'entityNotFound');
});

t.test('pause, resume, drain', async (t) => {
  const { call } = await make();
  for (const place of ['destinations/d', 'sets/s', 'tenants/t', 'senders/t/s']) {
    await call(`PUT /v1/${place}`, { ratePerSec: 5 });
    const state = async (verb: string) => {
      const { status, body } = (await call(`POST /v1/${place}/${verb}`)) as RestReply;
      const { paused, refuseNew, ratePerSec } = body as Record<string, unknown>;
      return [status, paused, refuseNew, ratePerSec];
    };
    t.strictSame(await state('pause'), [200, true, false, 5], place);
    t.strictSame(await state('drain'), [200, false, true, 5], place);
    t.strictSame(await state('pause'), [200, true, true, 5], place);
    t.strictSame(await state('resume'), [200, false, false, 5], place);
  }
  t.equal(await call('POST /v1/pools/p/pause'), 'no route');
  t.equal(await call('POST /v1/destinations/nowhere/pause'), 'entityNotFound');
  t.match(await call('POST /v1/tenants/new/drain'), { body: { refuseNew: true } });
});

t.test('the audit log: newest first, filtered, paged', async (t) => {
  const { call } = await make();
  await call('PUT /v1/pools/p', { ratePerSec: 1 });
  await call('PUT /v1/sets/gold', {});
  await call('PUT /v1/pools/p', { ratePerSec: 2 });
  await call('DELETE /v1/pools/p');
  const sequences = async (query: string) => {
    const { body } = (await call(`GET /v1/audit${query}`)) as RestReply;
    const { items, cursor } = body as { items: { sequence: number }[]; cursor: string | null };
    return [items.map(({ sequence }) => sequence).join(), cursor];
  };
  t.strictSame(await sequences(''), ['4,3,2,1', null]);
  t.strictSame(await sequences('?kind=pool'), ['4,3,1', null]);
  t.strictSame(await sequences('?kind=set&name=gold'), ['2', null]);
  t.strictSame(await sequences('?limit=2'), ['4,3', '3']);
  t.strictSame(await sequences('?limit=2&cursor=3'), ['2,1', null]);
  t.match(await call('GET /v1/audit?limit=1'), {
    body: {
      items: [{ actor: 'ops', address: '10.0.0.1', before: { ratePerSec: 2 }, after: null }],
    },
  });
  t.equal(await call('GET /v1/audit?kind=thing'), 'invalidValue');
  t.equal(await call('GET /v1/audit?cursor=x'), 'invalidValue');
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
