// Rows of the gate small and short, on real processes: that each is measured, not how fast it is.
import t, { type Test } from 'tap';
import { redisVersion } from '../../../bench/gate/redis.ts';
import { measureGate } from '../../../bench/gate/rows.ts';
import { formatRow, type Row } from '../../../bench/report.ts';
import { notLong } from '../../support/long-form.ts';

async function rowsOf(filter: string, generators = 1): Promise<Row[]> {
  const rows: Row[] = [];
  const pace = { rounds: 1, warmUpMs: 0, measureMs: 500, generators };
  for await (const row of measureGate({ quick: true, pace, filter })) rows.push(row);
  return rows;
}

function checkText(t: Test, rows: readonly Row[]): void {
  for (const row of rows) {
    t.match(formatRow(row), row.name);
    t.notMatch(formatRow(row), /NaN|undefined|Infinity|null/);
  }
}

const version = redisVersion();
/** Figures of Redis are there exactly where it is installed. */
const besideRedis = {
  redis: version === undefined ? null : { acquireP50Ms: Number },
  ioredis: version === undefined ? null : { acquireP50Ms: Number },
  redisVersion: version ?? null,
  redisSkipped: version === undefined ? 'redis-server is not installed' : null,
};

t.test(
  'lists that wait for the disk, by two generators with keys of their own',
  { skip: notLong },
  async (t) => {
    const rows = await rowsOf('gate/pairs/50/strict', 2);
    t.match(rows, [
      {
        name: 'gate/pairs/50/strict',
        durability: 'strict',
        tenants: 200,
        outstanding: 5_000,
        limit: 25,
        daemon: { pairsPerSec: Number, serverCpuUsPerPair: Number, acquireP99Ms: Number },
        ...besideRedis,
      },
    ]);
    checkText(t, rows);
  },
);

t.test('one at a time', { skip: notLong }, async (t) => {
  const rows = await rowsOf('gate/roundtrip/relaxed');
  const daemon = { acquireP50Ms: Number, acquireP99Ms: Number };
  t.match(rows, [{ name: 'gate/roundtrip/relaxed', limit: 1, daemon, ...besideRedis }]);
  checkText(t, rows);
});

t.test('the proxy, beside another before the same backend', { skip: notLong }, async (t) => {
  const rows = await rowsOf('gate/proxy');
  const figures = {
    daemon: { requestsPerSec: Number, cpuUsPerRequest: Number },
    fastify: { requestsPerSec: Number, cpuUsPerRequest: Number },
    cpuRatio: Number,
    directPerSec: Number,
    halfLoadP99Ms: Number,
    directP99Ms: Number,
    addedP99Ms: Number,
    hopAddedP99Ms: Number,
    fastifyHalfLoadPerSec: Number,
    fastifyAddedP99Ms: Number,
  };
  t.match(rows, [
    { name: 'gate/proxy', sentBytes: 0, ...figures },
    { name: 'gate/proxy/post', sentBytes: 1024, ...figures },
    { name: 'gate/proxy/key', sentBytes: 0, ...figures },
  ]);
  checkText(t, rows);
});
