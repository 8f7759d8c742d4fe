// What users of the gate hand in and get back.
import type { GATE_MODE } from '../protocol/gate-frames.ts';

/** What is not allowed at once is refused, waits, or is passed on at a pace. */
export type GateModeName = keyof typeof GATE_MODE;

export interface AcquireOptions {
  /** Left out with a tenant's own token; a platform token names it, or asks for the platform itself. */
  readonly tenant?: string;
  /** Seats that the permit takes, 1 to 1,000. Default 1. */
  readonly weight?: number;
  /** Lease, prolonged by itself while the permit is held: 1 s to 1 h. Default the resource's. */
  readonly leaseMs?: number;
  /** Longest wait for room, at most that of the policy, which is the default. 0: none. */
  readonly waitMs?: number;
  /** Stricter than the policy: `reject` where it would wait. */
  readonly mode?: GateModeName;
  /** Aborting it gives up the wait; once there is a permit, it tells the holder to stop. */
  readonly signal?: AbortSignal;
  /** Longest time without a word of the daemon: no connection, no answer. Default 10 s. */
  readonly answerMs?: number;
  /** Called when it has to wait, and again for each new place in line after a lost connection. */
  readonly onWait?: (place: GatePlace) => void;
}

export interface GatePlace {
  /** 1 is the head of the tenant's line. */
  readonly position: number;
  /** Undefined: nothing is known yet. */
  readonly estimateMs: number | undefined;
  /** Seats in use of the tenant at the resource. */
  readonly used: number;
  /** Undefined: no limit of its own. */
  readonly limit: number | undefined;
}
