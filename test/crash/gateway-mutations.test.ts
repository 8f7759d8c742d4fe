/**
 * Takes away what gateways and callbacks rest on, in a copy of the build, and sees that the gateway
 * runs turn red. Figures are those of one run of each, alone, with 6 kills or (the last two) none
 * but the one that a run ends with.
 *
 * | change                                                                | seen                 |
 * | --------------------------------------------------------------------- | -------------------- |
 * | events are acknowledged to the shard 40 ms before the outbox has them | 19 callbacks missing |
 * | messages are settled as sent 40 ms before their ids are on disk       | 12 receipts lost     |
 * | items of the outbox are removed before their request is answered      | 7 callbacks missing  |
 * | messages are settled as sent before their request is answered         | 7 lost               |
 *
 * The first two need kills at the right moment, so they are by hand:
 * `npm run test:crash -- --scope gateways --kills 6 --seed 7 --seconds-between 0.3..1.2 --without NAME`.
 * The last two are here, in one run: they show in different figures.
 */
import t from 'tap';
import { notLong } from '../support/long-form.ts';
import { changedBuild } from './changed-build.ts';
import { MUTATIONS } from './gateway-changes.ts';
import { gatewayRun } from './gateway-run.ts';

t.setTimeout(240_000);

t.test('it shows when nobody waits for answers', { skip: notLong }, async (t) => {
  const mutations = [MUTATIONS.answerAwaited, MUTATIONS.requestAwaited];
  const build = changedBuild(mutations.flatMap(({ changes }) => [...changes]));
  try {
    const load = { kills: 0, seed: 7, msBetween: [2_000, 2_000], perSec: 200 } as const;
    const result = await gatewayRun({ ...load, drainTimeoutMs: 10_000, build: build.path });
    for (const { what, figure } of mutations) {
      t.ok(result[figure] > 0, `${what}: ${result[figure]} ${figure}`);
    }
    t.notOk(result.passed);
  } finally {
    build.remove();
  }
});
