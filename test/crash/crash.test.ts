// kill -9 under load, short: `npm run test:crash -- --kills 200` is the long form.
import t from 'tap';
import { crashRun } from './crash-run.ts';
import { type Count, type Ended, WRONG } from './ledger-figures.ts';

t.setTimeout(150_000);

/** Without these the run would have shown nothing of them. */
const SEEN: readonly (Count | Ended)[] = [
  ...(['duplicates', 'returned', 'repeats', 'scheduled', 'shortLived', 'replayed'] as const),
  ...(['settledDelivered', 'failed', 'expired', 'cancelled', 'dead'] as const),
];

t.test('every message ends as what was seen of it says, over kills under load', async (t) => {
  const result = await crashRun({ kills: 12, seed: 20_261_122, msBetween: [50, 400] });
  const { faults, ...figures } = result;
  t.comment(JSON.stringify(figures));
  t.strictSame(faults, []);
  for (const name of WRONG) t.equal(result[name], 0, name);
  t.ok(result.conserved, 'accepted = sent + delivered + failed + expired + cancelled + dead');
  t.equal(result.exitCode, 0);
  t.ok(result.passed);
  t.ok(result.accepted > 1_000, `${result.accepted} accepted`);
  for (const name of SEEN) t.ok(result[name] > 0, `${result[name]} ${name}`);
});
