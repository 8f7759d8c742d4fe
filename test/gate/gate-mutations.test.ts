// What is taken away turns its run red: the observer sees what it is there for.
import t from 'tap';
import { notLong } from '../support/long-form.ts';
import { massRun } from './mass-run.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';

t.setTimeout(170_000);
const SEED = 20_261_122;

// The others, and the runs of `mix`: `npm run test:gate -- --without NAME`.
t.test('without release-last', { skip: notLong }, async (t) => {
  const { massPlan = {} } = MUTATIONS['release-last'] as Mutation;
  const shape = { pairs: 5000, clients: 24, threads: 2, durability: 'strict' } as const;
  const { faults, ...figures } = await massRun({ ...shape, seed: SEED, plan: massPlan });
  t.comment(JSON.stringify(figures));
  t.ok(figures.over > 0, `${figures.over} came where all seats were taken`);
  t.ok(faults.length > 0);
  t.notOk(figures.passed);
});
