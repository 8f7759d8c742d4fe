// What is taken away turns its run red: the observer sees what it is there for.
import t from 'tap';
import { changedBuild } from '../crash/changed-build.ts';
import { killRun } from './kill-run.ts';
import { massRun } from './mass-run.ts';
import { mixRun } from './mix-run.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';

t.setTimeout(170_000);
/** The others: `npm run test:gate -- --without NAME`. */
const IN_SHORT = new Set(['release-last']);
const SEED = 20_261_122;

async function runWithout(
  run: Mutation['runs'][number],
  { plan = {}, massPlan = {}, hiddenLimits = false, changes }: Mutation,
) {
  const changed = changes === undefined ? undefined : changedBuild(changes);
  const common = { seed: SEED, hiddenLimits, build: changed?.path };
  const mass = { pairs: 2000, clients: 16, threads: 2, durability: 'strict' } as const;
  const mix = { operations: 4000, clients: 24, processes: 2 };
  try {
    if (run === 'mass') return await massRun({ ...common, ...mass, plan: massPlan });
    if (run === 'mix') return await mixRun({ ...common, ...mix, plan: { lanes: 40, ...plan } });
    return await killRun({ ...common, kills: 1, durability: run, plan });
  } finally {
    changed?.remove();
  }
}

for (const [name, mutation] of Object.entries(MUTATIONS)) {
  if (!IN_SHORT.has(name)) continue;
  for (const run of mutation.runs) {
    t.test(`${run} without ${name}`, async (t) => {
      const { faults, ...figures } = await runWithout(run, mutation);
      t.comment(JSON.stringify(figures));
      t.ok(figures.over > 0, `${figures.over} came where all seats were taken`);
      t.ok(faults.length > 0);
      t.notOk(figures.passed);
    });
  }
}
