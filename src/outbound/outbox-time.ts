// The time of the outbox; tests pass their own. Times stand in records, so it is the wall clock's.
import type { Clock } from '../base/clock.ts';

export interface OutboxTime {
  /** Ms since 1970. */
  nowMs(): number;
  /** Calls back once, not before `ms` have passed. @returns what takes it back */
  after(ms: number, run: () => void): () => void;
}

/** Longest wait that Node's timers take. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export function outboxTime(clock: Clock): OutboxTime {
  return {
    nowMs: () => Math.floor(clock.nowUs() / 1000),
    after: (ms, run) => {
      // Rounded up, so that the time has come when it is looked at.
      const timer = setTimeout(run, Math.min(Math.ceil(ms) + 1, TIMER_MS_MAX)).unref();
      return () => clearTimeout(timer);
    },
  };
}
