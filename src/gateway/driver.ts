/** What sends the messages of one gateway. Its runner decides what becomes of them afterwards. */
import type { Job, Result } from './job.ts';

export interface DriverHost {
  /** Says how a job ended; once for each. */
  readonly end: (job: Job, result: Result) => void;
  /** Whether the gateway can send now. */
  readonly up: (up: boolean) => void;
  /** The first message after a failure is a probe: how many may come at one time. */
  readonly credit: (mode: 'none' | 'probe' | 'full') => void;
  /** An attempt took this long, ms. */
  readonly took: (ms: number) => void;
  readonly failed: (reason: string) => void;
  /** So many jobs wait for a place, told after each time that places were filled. */
  readonly waits: (count: number) => void;
}

export interface Driver {
  /** Takes jobs; each ends in `end`. */
  take(jobs: readonly Job[]): void;
  /** Gives back what waits; what is under way ends by itself. */
  giveBack(): void;
  /** Ends connections; jobs under way end first, as they can. */
  close(): Promise<void>;
  /** More for the state that operators see. */
  state(): object;
}
