// A power cut at any moment, short: `npm run test:crash -- --power-cut --images 1000` is longer.
import t from 'tap';
import { powerCutRun, whyNotHere } from './power-cut.ts';

t.setTimeout(170_000);

const skip = whyNotHere() ?? false;

t.test('what was acknowledged survives a power cut at any moment', { skip }, async (t) => {
  const { faults, ...figures } = await powerCutRun({ images: 200, seed: 7 });
  t.comment(JSON.stringify(figures));
  t.strictSame(faults, []);
  t.equal(figures.images, 200);
  t.ok(figures.acknowledged > 0 && figures.entitiesAcknowledged > 0);
  t.ok(figures.torn > 0, `${figures.torn} cuts met writes that were not synced`);
  t.equal(figures.lost, 0);
  t.equal(figures.damaged, 0);
  t.equal(figures.wronglyRepeated, 0, 'what was settled stays settled, the rest comes flagged');
  t.equal(figures.partialFrames, 0, 'a frame is stored as a whole');
  t.equal(figures.entitiesLost, 0);
  t.equal(figures.repeatsWrong, 0, 'a repeated key is answered with the first id');
  t.equal(figures.late, 0);
  t.equal(figures.deliveredAfterCancel, 0);
  t.equal(figures.statusWrong, 0, 'how each acknowledged message ended is known');
  t.ok(figures.repeats > 0 && figures.expired > 0 && figures.cancelled > 0);
});
