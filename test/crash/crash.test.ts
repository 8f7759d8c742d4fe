// kill -9 under load, short: `npm run test:crash -- --kills 200` is the long form.
import t from 'tap';
import { crashRun } from './crash-run.ts';

t.setTimeout(150_000);

t.test('nothing is lost, doubled or out of order over kills under load', async (t) => {
  const result = await crashRun({ kills: 12, seed: 20_261_122, msBetween: [50, 400] });
  const { faults, ...figures } = result;
  t.comment(JSON.stringify(figures));
  t.strictSame(faults, []);
  t.equal(result.lost, 0);
  t.equal(result.duplicatesNotInFlight, 0);
  t.equal(result.orderErrors, 0);
  t.equal(result.partialFrames, 0, 'a frame is accepted as a whole');
  t.equal(result.strange, 0, 'ids and payloads are those that were published');
  t.equal(result.unknownSettles, 0);
  t.equal(result.exitCode, 0);
  t.ok(result.accepted > 1_000, `${result.accepted} accepted`);
  t.ok(result.duplicates > 0, 'kills met deliveries in flight');
});
