// The text format, checked by a strict little parser, and the numbers in it.
import t, { type Test } from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { Metrics, type ShardMeter } from '../../src/ingress/metrics.ts';
import { encodeMetrics, histogramSamples } from '../../src/ingress/metrics-text.ts';
import type { ShardStats } from '../../src/ingress/tenant-stats.ts';
import { COUNTER_NAMES, type Counters } from '../../src/protocol/exchange.ts';
import { auth, startIngress } from './harness.ts';

/** Reads the text format 0.0.4; throws at whatever the format does not allow. Series → value. */
function parse(text: string): Map<string, number> {
  const series = new Map<string, number>();
  const types = new Map<string, string>();
  let family = '';
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP ([a-zA-Z_:][\w:]*) ((?:[^\\]|\\\\|\\n)*)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram)$/.exec(line);
    if (help) {
      family = help[1] as string;
      if (types.has(family)) throw new Error(`family twice: ${family}`);
    } else if (type) {
      if (type[1] !== family) throw new Error(`type without help: ${line}`);
      types.set(family, type[2] as string);
    } else {
      const { key, value } = parseSample(line, family, types.get(family));
      if (series.has(key)) throw new Error(`series twice: ${key}`);
      series.set(key, value);
    }
  }
  return series;
}

function parseSample(line: string, family: string, type: string | undefined) {
  const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`no sample: ${line}`);
  const [, name, labels, number] = match as unknown as [string, string, string | undefined, string];
  const suffixes = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
  if (!suffixes.some((suffix) => name === family + suffix)) throw new Error(`stray: ${line}`);
  if (type === 'counter' && !name.endsWith('_total')) throw new Error(`no _total: ${line}`);
  let rest = labels ?? '';
  while (rest !== '') {
    const pair = /^[a-zA-Z_]\w*="(?:[^"\\\n]|\\\\|\\"|\\n)*"(?:,(?=.)|$)/.exec(rest);
    if (pair === null) throw new Error(`bad label: ${rest}`);
    rest = rest.slice(pair[0].length);
  }
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
  if (Number.isNaN(value)) throw new Error(`no number: ${line}`);
  return { key: labels === undefined ? name : `${name}{${labels}}`, value };
}

const counters = (some: Partial<Counters>): Counters => ({
  ...(Object.fromEntries(COUNTER_NAMES.map((name) => [name, 0])) as Counters),
  ...some,
});

function meter(some: Partial<Counters>, stats: ShardStats | Error): ShardMeter {
  return {
    counters: counters(some),
    openInputBytes: 100,
    flush: { bounds: [0.001, 0.01], counts: [3, 2, 1], sum: 0.5 },
    request: async () => {
      if (stats instanceof Error) throw stats;
      return JSON.stringify(stats);
    },
  };
}

const tenantOf = (tenant: string, waiting: number) => ({
  tenant,
  waiting,
  inFlight: 1,
  accepted: 10,
  delivered: 5,
});

async function collect(t: Test, shards: readonly ShardMeter[]): Promise<Map<string, number>> {
  const metrics = new Metrics({
    shards,
    ingress: { connections: { size: 7, parked: 2 }, refused: new Map([[1010, 4]]) },
    version: '1"\\\n2',
    logger: silentLogger,
    nowMs: () => 10_000,
  });
  t.teardown(() => metrics.stop());
  return parse(encodeMetrics(await metrics.collect()));
}

t.test('every counter of a shard has a metric of its own', async (t) => {
  const numbers = Object.fromEntries(COUNTER_NAMES.map((name, at) => [name, 1000 + at]));
  const series = await collect(t, [meter(numbers, { tenants: [], refused: {} })]);
  // These are told otherwise: by code, by age.
  const others = ['refused', 'oldestAcceptedMs'];
  for (const name of COUNTER_NAMES.filter((name) => !others.includes(name))) {
    const found = [...series].filter(
      ([key, value]) => value === numbers[name] && !key.includes('tenant'),
    );
    t.equal(found.length, 1, `${name}: ${found}`);
  }
  t.equal(series.get('fairlead_dead_letters'), numbers.deadLetters);
  t.equal(series.get('fairlead_messages_expired_total'), numbers.expired);
});

t.test('label values and help are escaped', async (t) => {
  const text = encodeMetrics([
    {
      name: 'a_total',
      type: 'counter',
      help: 'one\\two\nthree "four"',
      samples: [{ labels: { x: 'q"b\\n\n', y: '' }, value: 1e21 }],
    },
    { name: 'none', type: 'gauge', help: 'Left out.', samples: [] },
  ]);
  t.equal(
    text,
    '# HELP a_total one\\\\two\\nthree "four"\n# TYPE a_total counter\na_total{x="q\\"b\\\\n\\n",y=""} 1e+21\n',
  );
  t.equal(parse(text).size, 1);
  t.throws(() => parse('a 1\n'));
  t.throws(() => parse('# HELP a b\n# TYPE a gauge\na{x="1"y="2"} 1\n'), 'the parser is strict');
});

t.test('a histogram is cumulative and ends with +Inf', async (t) => {
  t.strictSame(
    histogramSamples({ bounds: [1, 2], counts: [3, 2, 1], sum: 9 }).map(
      ({ suffix, labels, value }) => `${suffix} ${labels?.le ?? ''} ${value}`,
    ),
    ['_bucket 1 3', '_bucket 2 5', '_bucket +Inf 6', '_sum  9', '_count  6'],
  );
});

t.test('shards are summed', async (t) => {
  const stats = { tenants: [tenantOf('acme', 5)], refused: { 3001: 2 } };
  const one = meter({ accepted: 30, settledSent: 4, waiting: 9, oldestAcceptedMs: 4000 }, stats);
  const two = meter({ accepted: 10, delivered: 11, waiting: 2 }, stats);
  const series = await collect(t, [one, two]);
  const expected: Record<string, number> = {
    fairlead_messages_accepted_total: 40,
    fairlead_messages_delivered_total: 11,
    'fairlead_messages_settled_total{outcome="sent"}': 4,
    'fairlead_messages_settled_total{outcome="not_attempted"}': 0,
    'fairlead_messages_refused_total{code="3001",error="unknownDestination"}': 4,
    fairlead_messages_waiting: 11,
    fairlead_messages_in_flight: 0,
    fairlead_oldest_message_age_seconds: 6,
    'fairlead_flush_seconds_bucket{le="0.01"}': 10,
    'fairlead_flush_seconds_bucket{le="+Inf"}': 12,
    fairlead_flush_seconds_count: 12,
    fairlead_connections: 7,
    fairlead_connections_parked: 2,
    fairlead_input_bytes: 200,
    'fairlead_frames_refused_total{code="1010",error="overloaded"}': 4,
    'fairlead_tenant_messages_waiting{tenant="acme"}': 10,
    'fairlead_tenant_messages_waiting{tenant="other"}': 1,
    'fairlead_tenant_messages_accepted_total{tenant="acme"}': 20,
    'fairlead_info{version="1\\"\\\\\\n2"}': 1,
  };
  for (const [key, value] of Object.entries(expected)) t.equal(series.get(key), value, key);
  t.ok((series.get('process_resident_memory_bytes') ?? 0) > 1e6);
  t.ok((series.get('process_cpu_seconds_total') ?? 0) > 0);
  t.ok(series.has('fairlead_event_loop_delay_seconds{quantile="0.99"}'));
});

t.test(
  'the 20 tenants that hold most have lines; the rest is one, also one of that name',
  async (t) => {
    const tenants = Array.from({ length: 25 }, (_, index) => tenantOf(`t${index}`, 100 + index));
    const stats = { tenants: [...tenants, tenantOf('other', 900)], refused: {} };
    const waiting = tenants.reduce((sum, each) => sum + each.waiting, 900);
    const series = await collect(t, [meter({ waiting }, stats)]);
    const lines = [...series].filter(([key]) => key.startsWith('fairlead_tenant_messages_waiting'));
    t.equal(lines.length, 21);
    t.equal(series.get('fairlead_tenant_messages_waiting{tenant="t24"}'), 124);
    t.notOk(series.has('fairlead_tenant_messages_waiting{tenant="t4"}'));
    t.equal(
      series.get('fairlead_tenant_messages_waiting{tenant="other"}'),
      900 + 100 + 101 + 102 + 103 + 104,
    );
  },
);

t.test('a shard that does not answer costs only what it alone knows', async (t) => {
  const series = await collect(t, [meter({ accepted: 1 }, new Error('busy'))]);
  t.equal(series.get('fairlead_messages_accepted_total'), 1);
  t.notOk([...series.keys()].some((key) => key.startsWith('fairlead_tenant')));
});

t.test('/metrics is text for all, or for the platform only', async (t) => {
  const collected = async () => [
    { name: 'up', type: 'gauge' as const, help: 'Up.', samples: [{ value: 1 }] },
  ];
  const open = await startIngress(t, { collect: collected });
  const close = { connection: 'close' };
  const answer = await fetch(`http://${open.origin}/metrics`, { headers: close });
  t.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  t.equal(parse(await answer.text()).get('up'), 1);
  const guarded = await startIngress(t, { collect: collected, metricsScope: 'platform' });
  const url = `http://${guarded.origin}/metrics`;
  t.equal((await fetch(url, { headers: close })).status, 401);
  const token = await auth.issueToken({ scope: 'platform', ttlSec: 60 });
  const headers = { ...close, authorization: `Bearer ${token}` };
  t.equal((await fetch(url, { headers })).status, 200);
});
