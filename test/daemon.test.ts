// What survives a restart of the daemon, on every shard.
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { auth, start } from './support/in-process-daemon.ts';

t.test('entities are the same after a restart, on every shard', async (t) => {
  const dataDir = t.testdir();
  const token = await auth.issueToken({ scope: 'platform', ttlSec: 60 });
  const headers = { authorization: `Bearer ${token}` };
  const first = await start(dataDir, { shards: 2 });
  t.teardown(() => first.stop());
  const put = (path: string, body: object) =>
    fetch(`${first.url}${path}`, { method: 'PUT', headers, body: JSON.stringify(body) });
  t.equal((await put('/v1/sets/gold', { weight: 900 })).status, 201);
  t.equal((await put('/v1/tenants/acme', { set: 'gold' })).status, 201);
  for (const name of ['a', 'b', 'c', 'd']) {
    t.equal((await put(`/v1/destinations/${name}`, { ratePerSec: 5 })).status, 201);
  }
  const everything = async (url: string): Promise<unknown[]> =>
    await Promise.all(
      ['destinations', 'sets', 'tenants'].map(async (kind) => {
        const response = await fetch(`${url}/v1/${kind}`, { headers });
        return await response.json();
      }),
    );
  const before = await everything(first.url);
  t.equal((await fetch(`${first.url}/readyz`)).status, 200);
  t.equal((await fetch(`${first.url}/v1/status`)).status, 401);
  await first.checkShards();
  await first.stop();
  await t.rejects(once(connect(first.port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' });

  // The number of shards is the directory's when none is configured.
  const second = await start(dataDir);
  t.teardown(() => second.stop());
  t.strictSame(await everything(second.url), before);
  const status = (await (await fetch(`${second.url}/v1/status`, { headers })).json()) as object;
  t.match(status, { shards: [{ shard: 0 }, { shard: 1 }] });
  for (const name of ['a', 'b', 'c', 'd']) {
    const explain = await fetch(`${second.url}/v1/destinations/${name}/explain`, { headers });
    t.match(await explain.json(), { destination: name, queues: [], cursor: null });
  }
  await second.stop();
});
