// The demo's arithmetic: shares, percentiles, the outside ledger, what passes and what does not.
import t from 'tap';
import { runDemo } from '../../src/cli/demo/index.ts';
import { type Delivered, Ledger } from '../../src/cli/demo/ledger.ts';
import { fairness, measure, waitsOf } from '../../src/cli/demo/measure.ts';
import { drawShares, drawTable } from '../../src/cli/demo/picture.ts';
import { FLOOD_FACTOR, makePlan, ownedBySet, TENANTS } from '../../src/cli/demo/plan.ts';
import { missesOf, type Report } from '../../src/cli/demo/report.ts';
import { backloggedExpected } from '../../src/cli/demo/run.ts';
import { jainIndex, percentile, sum, waterFill, waterFillSets } from '../../src/cli/demo/shares.ts';

const INF = Number.POSITIVE_INFINITY;

t.test('water filling: by weight, never more than the demand, nothing left over', async (t) => {
  t.strictSame(
    waterFill(100, [
      { weight: 1, demand: INF },
      { weight: 3, demand: INF },
    ]),
    [25, 75],
  );
  t.strictSame(
    waterFill(100, [
      { weight: 1, demand: 10 },
      { weight: 1, demand: INF },
      { weight: 2, demand: INF },
    ]),
    [10, 30, 60],
  );
  t.strictSame(
    waterFill(100, [
      { weight: 5, demand: 20 },
      { weight: 1, demand: 30 },
    ]),
    [20, 30],
    'less demand than capacity',
  );
  t.strictSame(
    waterFill(100, [
      { weight: 1, demand: 0 },
      { weight: 1, demand: 45 },
      { weight: 1, demand: INF },
    ]),
    [0, 45, 55],
    'a second round: 45 is above the first level of nobody',
  );
  t.strictSame(waterFill(10, []), []);
});

t.test(
  'what a set leaves goes to the other sets; what a tenant leaves to its siblings',
  async (t) => {
    const tenant = (demand: number, weight = 1) => ({ weight, demand });
    t.strictSame(
      waterFillSets(100, [
        { weight: 3, tenants: [tenant(5), tenant(10)] },
        { weight: 1, tenants: [tenant(INF, 2), tenant(INF)] },
        { weight: 1, tenants: [tenant(1), tenant(INF)] },
      ]),
      [
        [5, 10],
        [(85 / 2 / 3) * 2, 85 / 2 / 3],
        [1, 41.5],
      ],
    );
  },
);

t.test('Jain’s index', async (t) => {
  t.equal(jainIndex([1, 1, 1]), 1);
  t.equal(jainIndex([4, 0, 0, 0]), 0.25);
  t.equal(jainIndex([]), 1);
});

t.test('percentile is the nearest rank', async (t) => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  t.equal(percentile(values, 0.5), 50);
  t.equal(percentile(values, 0.99), 99);
  t.equal(percentile([7], 0.99), 7);
  t.ok(Number.isNaN(percentile([], 0.5)));
});

t.test('the plan: quiet tenants stay below their share, the flooder far above', async (t) => {
  const plan = makePlan(60_000, 8);
  const { ratePerSec, floodPerSec, basePerSec } = plan;
  const owed = ownedBySet(
    ratePerSec,
    TENANTS.map(() => INF),
  );
  t.ok(Math.abs(sum(owed) - ratePerSec) < 1e-6);
  t.ok(Math.abs(sum(basePerSec) / ratePerSec - 0.5) < 0.01, 'half the rate without the flood');
  for (const [index, { role, name }] of TENANTS.entries()) {
    const load = (floodPerSec[index] ?? 0) / (owed[index] ?? 1);
    if (role === 'quiet') t.ok(load < 0.75, `${name} ${load}`);
    else t.ok(load > 1.1, `${name} ${load}`);
    if (role === 'flooder') {
      t.ok(Math.abs((floodPerSec[index] ?? 0) / (basePerSec[index] ?? 1) - FLOOD_FACTOR) < 1e-6);
    }
  }
  t.ok(ratePerSec * 8 >= 10_000, 'ten thousand deliveries are measured');
  t.ok(makePlan(200_000, 8).ratePerSec > 3 * ratePerSec, 'more messages, not more time');
});

const id = (number: number): Uint8Array => Uint8Array.from({ length: 16 }, () => number);
const ids = (...numbers: number[]): Uint8Array =>
  Uint8Array.from(numbers.flatMap((number) => [...id(number)]));
const times = (...values: number[]): Float64Array => Float64Array.from(values);

t.test('the ledger finds what was lost, doubled and never acknowledged', async (t) => {
  const ledger = new Ledger(20);
  ledger.accept({
    tenants: Uint8Array.of(0, 1, 1),
    ids: ids(1, 2, 200),
    acceptedAt: times(1, 2, 3),
  });
  const deliver = (...numbers: number[]): void =>
    ledger.deliver({
      tenants: Uint8Array.from(numbers.map(() => 1)),
      ids: ids(...numbers),
      publishedAt: times(...numbers),
      receivedAt: times(...numbers),
    });
  deliver(2, 9, 2);
  t.strictSame(ledger.totals(), {
    accepted: 3,
    delivered: 2,
    lost: 2,
    duplicates: 1,
    unknown: 1,
  });
  ledger.accept({ tenants: Uint8Array.of(1), ids: ids(9), acceptedAt: times(9) });
  deliver(1, 200);
  t.strictSame(ledger.totals(), {
    accepted: 4,
    delivered: 4,
    lost: 0,
    duplicates: 1,
    unknown: 0,
  });
  t.equal(ledger.deliveries.length, 4, 'a second delivery of a message is not measured');
  t.throws(
    () => ledger.accept({ tenants: Uint8Array.of(1), ids: ids(9), acceptedAt: times(9) }),
    /one id/,
  );
});

/** Tenant 6 floods from 0 on; tenant 9, of the same set, sends one message now and then. */
function deliveries() {
  const all: Delivered[] = [];
  for (let ms = 0; ms < 1000; ms += 1) {
    if (ms % 10 === 5) {
      all.push({ tenant: 9, publishedAt: ms - 2, acceptedAt: ms - 1, receivedAt: ms });
    } else {
      all.push({ tenant: 6, publishedAt: 0, acceptedAt: 0, receivedAt: ms });
    }
  }
  return all;
}

t.test('a measure counts what lies between its edges in the order of delivery', async (t) => {
  const result = measure(deliveries(), { fromMs: 100, toMs: 900 });
  t.equal(result.deliveries, 800);
  t.match(result.tenants[6], { got: 720, owed: 720, backlogged: true });
  t.match(result.tenants[9], { got: 80, owed: 80, backlogged: false });
  t.equal(result.jain, 1);
  t.equal(result.shareErrorMax, 0);
  t.strictSame(
    waitsOf(result, (index) => index === 9),
    { count: 80, p50Ms: 2, p99Ms: 2 },
  );
});

t.test('unfair service shows', async (t) => {
  // Tenant 9 has as much to send as the flooder, gets a tenth, and the rest only in the end.
  const late = Array.from({ length: 900 }, (_, index) => ({
    tenant: 9,
    publishedAt: 0,
    acceptedAt: 0,
    receivedAt: 1000 + index,
  }));
  const unfair = [...deliveries(), ...late];
  const result = measure(unfair, { fromMs: 100, toMs: 900 });
  t.ok(result.jain < 0.75, `${result.jain}`);
  t.ok(result.shareErrorMax > 0.5, `${result.shareErrorMax}`);
  t.strictSame(fairness([{ got: 3, owed: 2, backlogged: false }]).shareErrorMax, 0);
});

const good: Report = {
  accepted: 10,
  delivered: 10,
  lost: 0,
  duplicates: 0,
  messagesPerSec: 1000,
  jain: 0.999,
  shareErrorMax: 0.01,
  quietP99Ms: 6,
  quietP99RatioUnderFlood: 1.2,
  quietP99BaseMs: 5,
  quietP99BoundMs: 10.5,
  quietP50Ms: 1,
  quietP50BaseMs: 1,
  quietSamples: 100,
  ratePerSec: 1000,
  windowDeliveries: 8000,
  tenantsBacklogged: backloggedExpected(),
  refused: 0,
  drainMs: 1,
  daemonExitCode: 0,
  seconds: 1,
};

t.test('each miss is one sentence', async (t) => {
  const misses = (change: Partial<Report>) =>
    missesOf({ ...good, ...change }, backloggedExpected());
  t.strictSame(misses({}), []);
  for (const change of [
    { lost: 1 },
    { duplicates: 1 },
    { accepted: 0 },
    { refused: 1 },
    { jain: 0.9 },
    { jain: Number.NaN },
    { shareErrorMax: 0.03 },
    { tenantsBacklogged: 2 },
    { quietP99Ms: 11 },
    { quietP99Ms: Number.NaN },
    { daemonExitCode: 1 },
  ]) {
    t.equal(misses(change).length, 1, JSON.stringify(change));
  }
});

t.test('pictures have a line for each tenant', async (t) => {
  const rows = TENANTS.map(() => ({ waiting: 1, sent: 2, owed: 3, got: 4, waitsMs: [1.5] }));
  t.equal(drawTable('title', rows).split('\n').length, TENANTS.length + 3);
  const shares = drawShares(measure(deliveries(), { fromMs: 100, toMs: 900 }));
  t.equal(shares.split('\n').length, TENANTS.length + 3);
  t.match(shares, /flood .*1\.000/);
});

t.test('bad flags are told before anything starts', async (t) => {
  const written: string[] = [];
  const write = process.stderr.write;
  process.stderr.write = ((text: string) => written.push(text) > 0) as typeof write;
  t.teardown(() => {
    process.stderr.write = write;
  });
  t.equal(await runDemo(['--messages', 'many']), 2);
  t.equal(await runDemo(['--nothing']), 2);
  t.equal(await runDemo(['--seconds', '0']), 2);
  process.stderr.write = write;
  t.match(written.join(''), /--messages takes .*many[\s\S]*--nothing[\s\S]*--seconds/);
});
