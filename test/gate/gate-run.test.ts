// The promises of the gate from outside, short: `npm run test:gate` is the long form.
import t from 'tap';
import { fairnessRun } from './fairness-run.ts';
import { massRun } from './mass-run.ts';
import { mixRun } from './mix-run.ts';
import { pairRun } from './pair-run.ts';

t.setTimeout(280_000);
const SEED = 20_261_122;

t.test('many clients, whatever goes wrong at them, while limits change', async (t) => {
  const { faults, ...figures } = await mixRun({
    ...{ operations: 8000, clients: 24, processes: 2, seed: SEED },
    plan: { lanes: 40, faultEveryMs: 700, longShare: 0.005, abortShare: 0.05, forgetShare: 0.002 },
  });
  t.comment(JSON.stringify(figures));
  t.strictSame(faults, []);
  t.ok(figures.passed);
  for (const name of ['granted', 'refused', 'aborted', 'drops', 'full', 'expired'] as const) {
    t.ok(figures[name] > 0, `${figures[name]} ${name}`);
  }
  t.equal(figures.failed, 0);
});

t.test('permits by the hundred thousand, counted one by one', async (t) => {
  const { faults, ...figures } = await massRun({
    ...{ pairs: 6000, clients: 24, threads: 2, durability: 'strict', seed: SEED },
    plan: { dropEveryMs: 150, forgetShare: 0.002 },
  });
  t.comment(JSON.stringify(figures));
  t.strictSame(faults, []);
  t.ok(figures.passed);
  for (const name of ['admitted', 'aborted', 'drops', 'claimed', 'leftToEnd'] as const) {
    t.ok(figures[name] > 0, `${figures[name]} ${name}`);
  }
});

t.test('of two who ask for one seat exactly one passes', async (t) => {
  const figures = await pairRun({ rounds: 800 });
  t.comment(JSON.stringify(figures));
  t.equal(figures.both, 0);
  t.equal(figures.none, 0);
  t.ok(figures.passed);
});

t.test('a crowd of one tenant does not delay the first of another', async (t) => {
  const figures = await fairnessRun({ waiters: 10_000, probes: 15, slots: 10, serviceMs: 50 });
  t.comment(JSON.stringify(figures));
  t.equal(figures.late, 0);
  t.ok(figures.passed);
});
