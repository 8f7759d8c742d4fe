// The gate's state machine as the native core gives it (native/node/src/gate.rs). It is told the time,
// does no I/O, and every error that it throws is a fault after which nothing of it can be trusted.

export interface GateStep {
  /** Bytes that `takeEffects` writes. */
  readonly effectsBytes: number;
  /** Bytes that `takeJournal` writes; 4: it is empty. */
  readonly journalBytes: number;
  /** The effects have to wait for the flush of the journal, also where they leave at once. */
  readonly flush: boolean;
}

/** The answer to one caller of this process. */
export interface Entered {
  readonly kind: number;
  /** The permit where it passes, the ticket where it waits. */
  readonly number: number;
  /** An error's number where it may not pass. */
  readonly code: number;
  readonly retryAfterMs: number;
  readonly used: number;
  readonly limit?: number | undefined;
  readonly position: number;
  readonly estimateMs?: number | undefined;
}

export const ENTERED = { passed: 0, waiting: 1, impeded: 2 } as const;

/** Times in µs since 1970. */
export interface GateMachine {
  configure(nowUs: number, entries: Uint8Array): void;
  recover(nowUs: number, chunk: Uint8Array): void;
  recoverFinish(nowUs: number): void;
  step(nowUs: number, input: Uint8Array): GateStep;
  takeEffects(output: Uint8Array): void;
  takeJournal(output: Uint8Array): void;
  /** `waitMs` −1: as the policy says. A step has to run in the same turn if the caller waits. */
  enter(resource: string, tenant: string, seats: number, waitMs: number, nowUs: number): Entered;
  /** True: a step has to run in the same turn, here and in `giveUp`. */
  /** `ok` undefined: who asked ended it, so its time tells nothing of the resource. */
  leave(permit: number, ok: boolean | undefined, nowUs: number): boolean;
  giveUp(ticket: number, nowUs: number): boolean;
}
