/**
 * What a run may lack, to see that the observer catches it: holders that do as they should not, limits
 * that it is not told of, and changed lines in a copy of the build.
 */
import type { Change } from '../crash/changed-build.ts';
import type { MassPlan } from './mass/mass-plan.ts';
import type { Plan } from './traffic.ts';

export interface Mutation {
  /** Each of them turns red. */
  readonly runs: readonly ('mix' | 'mass' | 'strict' | 'relaxed')[];
  readonly plan?: Partial<Plan>;
  readonly massPlan?: Partial<MassPlan>;
  readonly hiddenLimits?: boolean;
  readonly changes?: readonly Change[];
}

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  /** Holders that were cut off do not stop when their lease ends. */
  'holder-stop': {
    runs: ['strict', 'mass'],
    plan: { goOn: true, longShare: 0.3, longMs: 25_000 },
    massPlan: { goOn: true },
  },
  /** Holders give their permit back before they stop. */
  'release-last': {
    runs: ['mix', 'mass'],
    ...{ plan: { releaseFirst: true }, massPlan: { releaseFirst: true } },
  },
  /** Every limit is ten seats higher than the observer knows. */
  'told-limits': { runs: ['mix', 'mass'], hiddenLimits: true },
  /** A start forgets what was out before. */
  recovery: {
    runs: ['strict'],
    changes: [
      {
        file: 'gate/gate-service.js',
        from: 'machine.recover(atUs, records)',
        to: 'void records',
      },
    ],
  },
};
