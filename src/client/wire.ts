// From the names that users of the SDK know to the short ones of the protocol, and back.
import type { ErrorFrame, SettleOutcome } from '../protocol/frames.ts';
import { OUTCOME, THROTTLE_SCOPE } from '../protocol/kinds.ts';
import { FairleadClientError } from './error.ts';
import type { DaemonLimits, Outcome } from './types.ts';

/** The protocol's defaults: what holds until the daemon's first frame says more. */
export const LIMITS_DEFAULT: DaemonLimits = {
  publishWindowBytes: 1024 * 1024,
  frameBytes: 1024 * 1024,
  messagesPerFrame: 4096,
  creditMax: 65_536,
  payloadBytes: 64 * 1024,
  idsPerFrame: 4096,
  eventsPerFrame: 4096,
};

/** The daemon's limits; one it does not name keeps its default. */
export function limitsFrom(said: Readonly<Record<string, number>>): DaemonLimits {
  const limits: Record<string, number> = { ...LIMITS_DEFAULT };
  for (const name of Object.keys(limits)) {
    const value = said[name];
    if (value !== undefined && value > 0) limits[name] = value;
  }
  return limits as unknown as DaemonLimits;
}

export function wireOutcome(delivery: number, outcome: Outcome): SettleOutcome {
  return {
    delivery,
    outcome: OUTCOME[outcome.outcome],
    code: outcome.code,
    retryAfterMs: outcome.retryAfterMs,
    scope: outcome.scope === undefined ? undefined : THROTTLE_SCOPE[outcome.scope],
  };
}

export function errorFrom({ code, message, details }: ErrorFrame): FairleadClientError {
  const after = details?.retryAfterMs;
  return FairleadClientError.fromCode(code, message, {
    details,
    retryAfterMs: typeof after === 'number' ? after : undefined,
  });
}
