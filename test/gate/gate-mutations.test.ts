// What is taken away turns its run red: the observer sees what it is there for.
import t from 'tap';
import { notLong } from '../support/long-form.ts';
import { massRun } from './mass-run.ts';
import { mixRun } from './mix-run.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';

t.setTimeout(170_000);
const SEED = 20_261_122;

const RUNS = {
  mix: (plan: Mutation['plan']) => {
    const shape = { operations: 4000, clients: 24, processes: 2, seed: SEED };
    return mixRun({ ...shape, plan: { lanes: 40, ...plan } });
  },
  mass: (_: Mutation['plan'], plan: Mutation['massPlan'] = {}) => {
    const shape = { pairs: 5000, clients: 24, threads: 2, durability: 'strict' } as const;
    return massRun({ ...shape, seed: SEED, plan });
  },
} as const;

// The others: `npm run test:gate -- --without NAME`.
for (const [name, run] of Object.entries(RUNS)) {
  t.test(`${name} without release-last`, { skip: notLong }, async (t) => {
    const { plan, massPlan } = MUTATIONS['release-last'] as Mutation;
    const { faults, ...figures } = await run(plan, massPlan);
    t.comment(JSON.stringify(figures));
    t.ok(figures.over > 0, `${figures.over} came where all seats were taken`);
    t.ok(faults.length > 0);
    t.notOk(figures.passed);
  });
}
