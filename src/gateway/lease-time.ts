// How long an attempt may take: within its own time-out and within the lease of its messages.
import type { Job } from './job.ts';

/** Below this nothing is begun: the shard would take the message back before an answer comes. */
const USEFUL_MS = 20;

/** Splits jobs by whether there is time for an attempt. */
export function withTime(jobs: readonly Job[]): { ready: Job[]; late: Job[] } {
  const nowMs = performance.now();
  const ready: Job[] = [];
  const late: Job[] = [];
  for (const job of jobs) (job.leaseEndMs - nowMs < USEFUL_MS ? late : ready).push(job);
  return { ready, late };
}

/** Time for an attempt that all of them are part of, ms. */
export function timeFor(jobs: readonly Job[], timeoutMs: number): number {
  const endMs = jobs.reduce((least, { leaseEndMs }) => Math.min(least, leaseEndMs), Infinity);
  return Math.max(1, Math.floor(Math.min(timeoutMs, endMs - performance.now())));
}
