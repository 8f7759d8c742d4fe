// The answers that the proxy gives itself: `{code, message, status, details}` with the headers that belong to them.
import { ERRORS, errorName, FairleadError } from '../errors.ts';
import type { BackendFailure, Impeded, WholeReply } from './ports.ts';

/** The code of every answer that says "not now", whatever limit was met; `details.code` says which. */
const TOO_MANY_REQUESTS = 20_429;
const RETRY_AFTER_MS = 1_000;

export function refusal(
  error: FairleadError,
  requestId: string,
  counts: readonly string[] = [],
): WholeReply {
  const { code, message, status, details } = error;
  const headers = ['content-type', 'application/json', 'x-request-id', requestId, ...counts];
  const { retryAfterMs, allow } = details ?? {};
  if (typeof retryAfterMs === 'number') headers.push('retry-after', retryAfterSec(retryAfterMs));
  if (typeof allow === 'string') headers.push('allow', allow);
  if (status === 401) headers.push('www-authenticate', 'Bearer');
  const body = `${JSON.stringify({ code, message, status, details: details ?? null })}\n`;
  return { status, headers, body };
}

/** What the gate did not let through: nothing of it has left for a backend. */
export function impededRefusal(
  impeded: Impeded,
  requestId: string,
  counts: readonly string[],
): WholeReply {
  const { code, retryAfterMs, used, limit, estimateMs } = impeded;
  const name = errorName(code);
  const { status, sentence } = ERRORS[name];
  const headers = ['content-type', 'application/json', 'x-request-id', requestId, ...counts];
  if (status !== 404) headers.push('retry-after', retryAfterSec(retryAfterMs));
  const details = {
    code,
    reason: name,
    retryAfterMs,
    used,
    limit: limit ?? null,
    estimateMs: estimateMs ?? null,
  };
  const shown = status === 429 ? TOO_MANY_REQUESTS : code;
  const body = `${JSON.stringify({ code: shown, message: sentence, status, details })}\n`;
  return { status, headers, body };
}

/** Whole seconds, as the header wants; at least one. */
function retryAfterSec(retryAfterMs: number): string {
  return `${Math.max(1, Math.ceil(retryAfterMs / 1000))}`;
}

export function overloaded(message: string): FairleadError {
  return new FairleadError('overloaded', message, { retryAfterMs: RETRY_AFTER_MS });
}

export function goingAway(): FairleadError {
  return new FairleadError('goingAway', undefined, { retryAfterMs: RETRY_AFTER_MS });
}

/** What a backend did not do; `sentMaybe` says whether it may have acted all the same. */
export function upstreamError({ kind, sentMaybe }: BackendFailure): FairleadError {
  const error = kind === 'timeout' ? 'upstreamTimeout' : 'upstreamFailed';
  return new FairleadError(error, undefined, { reason: kind, sentMaybe });
}

export function bodyTooLarge(bytesMax: number): FairleadError {
  return new FairleadError('bodyTooLarge', `A request body has at most ${bytesMax} bytes here.`);
}
