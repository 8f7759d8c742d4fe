// One attempt: sign an item as it is now, send it, tell what came of it.
import type { OutboundAnswer, OutboundRequest } from './outbound-client.ts';
import { OutboundError } from './outbound-error.ts';
import type { NewItem } from './outbox-records.ts';
import { retryAfterMs, type Verdict, verdictOf } from './retry-rules.ts';
import { formSignature, standardHeaders } from './signatures.ts';

/** Keys of those on whose behalf is sent. */
export interface OutboxKeys {
  /** `whsec_…` keys of a tenant's webhooks, the newest first; two during a rotation. */
  standardKeys(tenant: string): readonly string[];
  /** The auth token of an account; undefined: there is no such account. */
  formToken(account: string): string | undefined;
}

export interface AttemptParts {
  readonly send: (request: OutboundRequest) => Promise<OutboundAnswer>;
  readonly keys: OutboxKeys;
  /** For one delivery. */
  readonly timeoutMs: number;
}

export type AttemptResult =
  | {
      readonly verdict: Verdict;
      readonly status: number;
      readonly retryAfterMs: number;
      readonly ms: number;
    }
  /** No answer; `isFinal`: another attempt would end the same way. */
  | { readonly verdict: 'none'; readonly error: OutboundError; readonly isFinal: boolean };

export async function attempt(
  item: NewItem,
  { send, keys, timeoutMs }: AttemptParts,
  nowMs: number,
): Promise<AttemptResult> {
  try {
    const { url, method, contentType, body } = item;
    const signed = signedHeaders(item, keys, nowMs);
    const headers = method === 'GET' ? signed : { 'content-type': contentType, ...signed };
    const sent = method === 'GET' ? undefined : body;
    const answer = await send({ url, method, headers, body: sent, timeoutMs, expectBody: false });
    return {
      verdict: verdictOf(answer.status),
      status: answer.status,
      retryAfterMs: retryAfterMs(answer.headers['retry-after'], nowMs),
      ms: answer.ms,
    };
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    return { verdict: 'none', error, isFinal: error.kind === 'badUrl' };
  }
}

/** @throws OutboundError badUrl when there is no key to sign with */
export function signedHeaders(
  { id, url, method, contentType, body, signing }: NewItem,
  keys: OutboxKeys,
  nowMs: number,
): Record<string, string> {
  if (signing.kind === 'standard') {
    const tenantKeys = keys.standardKeys(signing.tenant);
    if (tenantKeys.length === 0) throw noKey(`tenant ${signing.tenant}`);
    return standardHeaders(tenantKeys, { id, atSec: Math.floor(nowMs / 1000), body });
  }
  const token = keys.formToken(signing.account);
  if (token === undefined) throw noKey(`account ${signing.account}`);
  const isForm = method === 'POST' && contentType.startsWith('application/x-www-form-urlencoded');
  const parameters = new URLSearchParams(isForm ? Buffer.from(body).toString() : '');
  // The receiver computes it from the URL that it sees: as it is sent.
  const sentUrl = new URL(url);
  sentUrl.hash = '';
  return {
    'x-twilio-signature': formSignature(token, sentUrl.href, parameters),
    'i-twilio-idempotency-token': id,
  };
}

const noKey = (whose: string): OutboundError =>
  new OutboundError('badUrl', `There is no key of ${whose} to sign with.`);
