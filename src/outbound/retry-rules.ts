/**
 * What an attempt means: pure rules, from Standard Webhooks.
 *
 * 2xx: taken. 410: the endpoint is gone for good. 429, 502 and 504: it wants less. Everything else,
 * redirects too, and no answer at all: it failed. `Retry-After` is honoured with each of them.
 */
import { LIMITS } from '../limits.ts';

export type Verdict = 'taken' | 'gone' | 'slower' | 'failed';

const SLOWER = new Set([429, 502, 504]);

export function verdictOf(status: number): Verdict {
  if (status >= 200 && status < 300) return 'taken';
  if (status === 410) return 'gone';
  return SLOWER.has(status) ? 'slower' : 'failed';
}

/** How long an answer asks to wait, at most a day; 0: it does not ask. */
export function retryAfterMs(
  header: string | readonly string[] | undefined,
  nowMs: number,
): number {
  const text = (typeof header === 'string' ? header : (header?.[0] ?? '')).trim();
  if (text === '') return 0;
  const waitMs = /^\d{1,10}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  if (!Number.isFinite(waitMs)) return 0;
  return Math.max(0, Math.min(waitMs, LIMITS.outboxRetryAfterMsMax));
}

export interface Schedule {
  /** Wait before each attempt; the first one from the item's making. */
  readonly retryMs: readonly number[];
  /** How far a wait may be from its value, as a part of it. */
  readonly jitter: number;
}

/** Wait before attempt `made + 1`; undefined: there is none. `random` is from 0 to 1. */
export function waitMs(
  { retryMs, jitter }: Schedule,
  made: number,
  random: number,
): number | undefined {
  const wait = retryMs[made];
  return wait === undefined ? undefined : wait * (1 + jitter * (2 * random - 1));
}

/** The longest that all waits together may take. */
export function scheduleMs({ retryMs, jitter }: Schedule): number {
  return retryMs.reduce((sum, wait) => sum + wait, 0) * (1 + jitter);
}

/** Wait before an endpoint that failed so often in a row is tried again. */
export function breakerMs(failures: number, random: number): number {
  const doublings = Math.min(16, failures - LIMITS.outboxBreakerFailures);
  if (doublings < 0) return 0;
  const wait = Math.min(1_000 * 2 ** doublings, LIMITS.outboxBreakerMsMax);
  // Down only, so that the bound holds.
  return wait * (1 - 0.2 * random);
}
