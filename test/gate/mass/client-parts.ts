/** What a client of the mass run works with, and what it has under way. */
import type { Random } from '../../crash/traffic.ts';
import type { MassPlan, MassTotals } from './mass-plan.ts';
import type { SharedCounts } from './shared-counts.ts';

/** An acquire that is under way. */
export interface List {
  readonly keys: Uint16Array;
  readonly seats: Uint8Array;
  count: number;
  askedMs: number;
  leaseMs: number;
  stage: 'idle' | 'asked' | 'holding';
  /** Given up before its answer. */
  isAborted: boolean;
}

/** One that waits. */
export interface Waiter {
  readonly key: number;
  readonly seats: number;
  readonly askedMs: number;
  readonly leaseMs: number;
  giveUpMs: number;
}

export interface ClientParts {
  readonly plan: MassPlan;
  readonly target: { readonly url: string; readonly token: string };
  readonly random: Random;
  readonly counts: SharedCounts;
  readonly totals: MassTotals;
  readonly fault: (text: string) => void;
}
