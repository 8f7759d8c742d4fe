// Counters, firings and callbacks over kills, short: `npm run test:usage` is the long form.
import t from 'tap';
import { changedBuild } from '../crash/changed-build.ts';
import { notLong } from '../support/long-form.ts';
import { MUTATIONS } from './mutations.ts';
import { UsageRun } from './usage-run.ts';

t.setTimeout(280_000);
/** Its lives end when a callback comes, after an answer that crossed a value, and by two kills in a row. */
const SHORT = { events: 4_000, kills: 4, clients: 8, shards: 2, seed: 321 } as const;

t.test('every counter and firing is what was asked, whenever it is killed', async (t) => {
  const { faults, ...figures } = await UsageRun.run(SHORT);
  t.comment(JSON.stringify(figures));
  t.strictSame(faults, []);
  t.ok(figures.passed);
  t.equal(figures.cellsWrong, 0);
  t.equal(figures.kills, SHORT.kills + 1);
  const { again, late, corrections, cellsCompared, firingsExpected, swings } = figures;
  const numbers = { again, late, corrections, cellsCompared, firingsExpected, swings };
  for (const [name, number] of Object.entries({ ...numbers, ...figures.outcomes })) {
    t.ok(number > 0, `${number} ${name}`);
  }
  t.equal(Object.keys(figures.outcomes).length, 10, 'messages came to every end');
});

// The others: `npm run test:usage -- --without NAME`.
t.test(
  'what is told again after a crash and counted again is seen',
  { skip: notLong },
  async (t) => {
    const build = changedBuild(MUTATIONS['told-again'] ?? []);
    t.teardown(() => build.remove());
    const short = { ...SHORT, build: build.path, drainTimeoutMs: 5_000 };
    const { faults, passed, cellsWrong } = await UsageRun.run(short);
    t.comment(faults.join('\n'));
    t.notOk(passed);
    t.ok(cellsWrong > 0);
    t.match(faults.join('\n'), /^\S+ (messages\S*|message-\S+|segments|totalprice) .* was asked$/m);
  },
);
