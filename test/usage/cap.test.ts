// The flood against hard caps, small: over kill -9 on several shards, and with caps that are one too high.
import t from 'tap';
import { notLong } from '../support/long-form.ts';
import { capRun } from './cap-run.ts';

t.test('not one message more, not one less, over kill -9', { timeout: 120_000 }, async (t) => {
  const run = await capRun({ shards: 2, messages: 20_000, seed: 1, kill: true });
  t.strictSame(run.faults, []);
  t.ok(run.passed);
  t.match(run, { shards: 2, killed: true, perSecond: Number });
  t.equal(run.accepted + run.refused, 20_000 + sumOf(run.accounts.map((each) => each.filledUp)));
  const [even, , counted, , free] = run.accounts;
  t.equal(even?.accepted, 2_400, 'as many as fit below the price');
  t.equal(counted?.accepted, 2_400);
  t.equal(free?.refused, 0);
});

t.test('a cap that is one too high is seen', { timeout: 120_000, skip: notLong }, async (t) => {
  const options = { shards: 1, messages: 5_000, seed: 2, processes: 1, hiddenMore: true };
  const run = await capRun(options);
  t.notOk(run.passed);
  for (const tenant of ['mixed', 'counted', 'both']) {
    t.match(run.faults.join('\n'), `${tenant}: answers say`);
  }
});

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
