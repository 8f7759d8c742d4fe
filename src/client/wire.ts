// From the names that users of the SDK know to the short ones of the protocol, and back.
import type { ErrorFrame, PublishOptions, SettleOutcome } from '../protocol/frames.ts';
import { KIND, OUTCOME, THROTTLE_SCOPE } from '../protocol/kinds.ts';
import { pack } from '../protocol/msgpack.ts';
import { FairleadClientError } from './error.ts';
import type { DaemonLimits, MessageOptions, Outcome } from './types.ts';

/** The protocol's defaults: what holds until the daemon's first frame says more. */
export const LIMITS_DEFAULT: DaemonLimits = {
  publishWindowBytes: 1024 * 1024,
  frameBytes: 1024 * 1024,
  messagesPerFrame: 4096,
  creditMax: 65_536,
  payloadBytes: 64 * 1024,
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

export function wireOptions(options: MessageOptions): PublishOptions {
  const { idempotencyKey, level, cost, sendAtMs, validityMs, callbackUrl, orderKey, tag } = options;
  return {
    ...(idempotencyKey !== undefined && { k: idempotencyKey }),
    ...(level !== undefined && { l: level }),
    ...(cost !== undefined && { c: cost }),
    ...(sendAtMs !== undefined && { at: sendAtMs }),
    ...(validityMs !== undefined && { ttl: validityMs }),
    ...(callbackUrl !== undefined && { cb: callbackUrl }),
    ...(orderKey !== undefined && { o: orderKey }),
    ...(tag !== undefined && { g: tag }),
  };
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

/** Asks for the status of no message: whatever the daemon answers shows that it lives. */
export function encodeStatus(id: number): Uint8Array {
  return pack([KIND.status, id, []]);
}

export function errorFrom({ code, message, details }: ErrorFrame): FairleadClientError {
  const after = details?.retryAfterMs;
  return FairleadClientError.fromCode(code, message, {
    details,
    retryAfterMs: typeof after === 'number' ? after : undefined,
  });
}
