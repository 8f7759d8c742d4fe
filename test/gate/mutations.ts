/**
 * What a run may lack, to see that the observer catches it: holders that do as they should not, limits
 * that it is not told of, and changed lines in a copy of the build.
 */
import type { Change } from '../crash/changed-build.ts';
import type { MassPlan } from './mass/mass-plan.ts';
import type { Plan } from './traffic.ts';

export interface Mutation {
  /** What one of the faults says when a run turned red for what was taken away, and not by chance. */
  readonly because?: RegExp;
  /** Each of them turns red. */
  readonly runs: readonly ('mix' | 'mass' | 'strict' | 'relaxed' | 'proxy')[];
  readonly plan?: Partial<Plan>;
  /** Of `strict` and `relaxed`, instead of their own. */
  readonly leaseMs?: number;
  readonly massPlan?: Partial<MassPlan>;
  readonly hiddenLimits?: boolean;
  readonly mixedShare?: number;
  readonly changes?: readonly Change[];
}

const OVER = /seats of at most/;

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
  /** Some answers of the upstream belong to another request. */
  'own-bodies': { runs: ['proxy'], mixedShare: 0.01, because: /is not its own/ },
  /** Some requests that are over stay counted. */
  'count-down': {
    runs: ['proxy'],
    because: /^left at the gate/,
    changes: [
      { file: 'gate/callers.js', from: 'if (isIn)', to: 'if (isIn && Math.random() > 0.0005)' },
    ],
  },
  /** Something of each request is kept. */
  'flat-memory': {
    runs: ['proxy'],
    because: /^memory grew/,
    changes: [
      {
        file: 'gate/callers.js',
        from: 'let isIn = true;',
        to: 'let isIn = true; (globalThis.kept ??= []).push(Buffer.alloc(20_000, 1));',
      },
    ],
  },
  /** A start forgets what was out before. Leases outlast the slowest start, so that holders see it. */
  recovery: {
    runs: ['strict'],
    because: OVER,
    leaseMs: 60_000,
    changes: [
      {
        file: 'gate/gate-service.js',
        from: 'machine.recover(atUs, records)',
        to: 'void records',
      },
    ],
  },
};
