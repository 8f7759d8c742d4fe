/** Bounds of the waits between two attempts to connect. */
export const BACKOFF = { baseMs: 100, capMs: 10_000 } as const;

/**
 * Wait before attempt n (from 0) in ms: exponential with full jitter, anywhere from 0 to
 * min(cap, base · 2ⁿ), so that clients of a daemon that ended do not come back at once.
 */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  return Math.floor(
    random() * Math.min(BACKOFF.capMs, BACKOFF.baseMs * 2 ** Math.min(attempt, 20)),
  );
}
