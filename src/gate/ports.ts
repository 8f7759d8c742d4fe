/** The gate as callers of this process use it; those of other features declare the same for themselves. */

export interface Ask {
  readonly resource: string;
  /** Empty: the platform. */
  readonly tenant: string;
  /** 1 unless given. */
  readonly seats?: number | undefined;
  /** Longest wait; 0: none. As the policy says unless given. */
  readonly waitMs?: number | undefined;
}

/** Of the key, in seats. */
export interface Counts {
  readonly used: number;
  readonly limit: number | undefined;
}

export interface Passed extends Counts {
  readonly kind: 'passed';
  /**
   * Counts down, once; more often does nothing. `ok` says what its time tells of the resource: true an
   * answer, false a failure; left out where who asked ended it.
   */
  leave(ok?: boolean): void;
}

export interface Waiting extends Counts {
  readonly kind: 'waiting';
  /** From 1. */
  readonly position: number;
  readonly estimateMs: number;
  /** Waits no longer; `waited` is not called any more. */
  giveUp(): void;
}

export interface Impeded extends Counts {
  readonly kind: 'impeded';
  /** An error's number. */
  readonly code: number;
  readonly retryAfterMs: number;
  readonly estimateMs: number | undefined;
}

export interface Gate {
  /** `waited` is called at most once, later, for what waits and is not given up. */
  enter(ask: Ask, waited: (end: Passed | Impeded) => void): Passed | Waiting | Impeded;
}
