/**
 * What a run may lack, to see that the observer catches it: holders that do as they should not, limits
 * that it is not told of, and changed lines in a copy of the build.
 */
import type { Change } from '../crash/changed-build.ts';
import type { Plan } from './traffic.ts';

export interface Mutation {
  readonly run: 'mix' | 'strict' | 'relaxed';
  readonly plan?: Partial<Plan>;
  readonly hiddenLimits?: boolean;
  readonly changes?: readonly Change[];
}

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  /** Holders that were cut off do not stop when their lease ends. */
  'holder-stop': { run: 'strict', plan: { goOn: true, longShare: 0.3, longMs: 25_000 } },
  /** Holders give their permit back before they stop. */
  'release-last': { run: 'mix', plan: { releaseFirst: true } },
  /** Every limit is ten seats higher than the observer knows. */
  'told-limits': { run: 'mix', hiddenLimits: true },
  /** A start forgets what was out before. */
  recovery: {
    run: 'strict',
    changes: [
      {
        file: 'gate/gate-service.js',
        from: 'machine.recover(atUs, records)',
        to: 'void records',
      },
    ],
  },
};
