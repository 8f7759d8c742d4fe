import t from 'tap';
import { selfTimes } from '../../bench/cpu-profile.ts';
import { coreRow, pickRatio } from '../../bench/criterion.ts';
import { dispatchRows } from '../../bench/dispatch-rows.ts';
import { parseProcessMemory, parseProcessTimes } from '../../bench/process-times.ts';
import { median, significant } from '../../bench/statistics.ts';
import { LIMITS } from '../../src/limits.ts';

t.test('median and digits', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 3, 2]), 2.5);
  t.throws(() => median([]), RangeError);
  t.equal(significant(0.0123456), 0.0123);
  t.equal(significant(0), 0);
});

t.test('processor time: the name may hold spaces and parentheses', async (t) => {
  const stat = '42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 11 0';
  t.equal(parseProcessTimes(stat), 2_000_000);
  t.throws(() => parseProcessTimes('42 (node) S'), /no times/);
});

t.test('memory', async (t) => {
  const status = 'Name:\tnode\nVmRSS:\t  204800 kB\nRssAnon:\t  102400 kB\n';
  t.strictSame(parseProcessMemory(status), { rssMiB: 200, rssAnonMiB: 100 });
  t.throws(() => parseProcessMemory('VmRSS:\t1 kB\n'), /no RssAnon/);
});

t.test('criterion: time of one message, and the ratio to 1,000 queues', async (t) => {
  const estimate = (ns: number) => ({
    point_estimate: ns,
    confidence_interval: { lower_bound: ns - 100, upper_bound: ns + 100 },
  });
  const row = (name: string, ns: number) =>
    coreRow(
      JSON.stringify({ full_id: name, throughput: { Elements: 100 } }),
      JSON.stringify({ slope: null, mean: estimate(ns) }),
    );
  const rows = pickRatio([row('shard/pick/1000', 50_000), row('shard/pick/100000', 90_000)]);
  t.match(rows[0], { nsPerMessage: 500, nsPerMessageMin: 499, nsPerMessageMax: 501 });
  t.notHas(rows[0], 'ratioTo1000');
  t.match(rows[1], { nsPerMessage: 900, ratioTo1000: 1.8 });
});

t.test('rows: what is outstanding keeps within the publish window', async (t) => {
  const rows = dispatchRows({ quick: false });
  t.equal(rows.length, 18);
  for (const { payloadBytes, outstanding } of rows) {
    t.ok(outstanding * (payloadBytes + 60) < LIMITS.publishWindowBytes);
  }
  t.strictSame(
    dispatchRows({ quick: true, filter: '/100' }).map(({ name }) => name),
    ['flushed/160B/100'],
  );
});

t.test('profile: time by function, the most first', async (t) => {
  const node = (id: number, functionName: string) => ({
    id,
    callFrame: { functionName, url: 'file:///a/src/b.ts', lineNumber: 9 },
  });
  const times = selfTimes({
    nodes: [node(1, 'one'), node(2, '')],
    samples: [1, 2, 2, 1],
    timeDeltas: [0, 10, 40, 50],
  });
  t.strictSame(times, [
    { name: 'anonymous (src/b.ts:10)', percent: 90 },
    { name: 'one (src/b.ts:10)', percent: 10 },
  ]);
});
