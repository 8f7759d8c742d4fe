// The gate's state machine as the native core gives it (native/node/src/gate.rs). It is told the time,
// does no I/O, and every error that it throws is a fault after which nothing of it can be trusted.

import type { MainMachine, MainStep } from '../exchange/main-machine.ts';

export type GateStep = MainStep;

/** What `enter` and `enterKey` return. */
export const ENTERED = { passed: 0, waiting: 1, impeded: 2, notOpen: 3 } as const;

/**
 * Places in the numbers that an answer is written to: no object is made of it on the native side.
 * What does not belong to an answer is left as it was.
 */
export const ANSWER = {
  /** The permit where it passes, the ticket where it waits. */
  number: 0,
  /** Seats of the key; the limit is −1 where there is none. */
  used: 1,
  limit: 2,
  /** An error's number where it may not pass. */
  code: 3,
  retryAfterMs: 4,
  position: 5,
  /** −1: not known. */
  estimateMs: 6,
  /** The key, and which of all that had its place: how `enterKey` finds it. */
  key: 7,
  /** 0: there is no key. */
  serial: 8,
} as const;
export const ANSWER_NUMBERS = 9;

/** Times in µs since 1970. */
export interface GateMachine extends MainMachine {
  configure(nowUs: number, entries: Uint8Array): void;
  recover(nowUs: number, chunk: Uint8Array): void;
  recoverFinish(nowUs: number): void;
  /** `waitMs` −1: as the policy says. A step has to run in the same turn if the caller waits. */
  enter(
    answer: Float64Array,
    resource: string,
    tenant: string,
    seats: number,
    waitMs: number,
    nowUs: number,
  ): number;
  /** As `enter`, of the key that an answer named; `notOpen`: it was closed since, nothing is asked. */
  enterKey(
    answer: Float64Array,
    key: number,
    serial: number,
    seats: number,
    waitMs: number,
    nowUs: number,
  ): number;
  /**
   * True: a step has to run in the same turn, here and in `giveUp`. `ok` undefined: who asked ended it,
   * so its time tells nothing of the resource.
   */
  leave(permit: number, ok: boolean | undefined, nowUs: number): boolean;
  giveUp(ticket: number, nowUs: number): boolean;
}
