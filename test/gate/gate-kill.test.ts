// kill -9 with permits out, short: `npm run test:gate -- --only strict,relaxed --kills 20` is longer.
import t from 'tap';
import { killRun } from './kill-run.ts';

t.setTimeout(140_000);
const SEED = 20_261_122;

t.test('nobody gets a seat that is held', async (t) => {
  const { faults, ...figures } = await killRun({
    ...{ kills: 1, durability: 'strict', seed: SEED, leaseMs: 10_000, claimedMean: 0 },
  });
  t.comment(JSON.stringify(figures));
  t.strictSame(faults, []);
  t.equal(figures.permitsLeft, 0);
  t.ok(figures.passed);
});
