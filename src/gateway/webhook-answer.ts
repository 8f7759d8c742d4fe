// What the answer of a webhook gateway means for the messages of its request. Pure.
import type { Result } from './job.ts';

export interface WebhookAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

export interface AnswerMeaning {
  /** One for each message of the request, in its order. */
  readonly results: readonly Result[];
  /** Whether it tells that the gateway works; undefined: neither. */
  readonly works: boolean | undefined;
}

const THROTTLE_MS_DEFAULT = 1_000;
const THROTTLE_MS_MAX = 24 * 3_600_000;
const CODE_MAX = 0xffff_ffff;
const ID_LENGTH_MAX = 255;
const SENT: Result = { kind: 'sent' };

/** Of an answer to a request of `count` messages. */
export function meaningOf(answer: WebhookAnswer, count: number, nowMs: number): AnswerMeaning {
  const { status } = answer;
  if (status >= 200 && status < 300) {
    return { results: resultsOf(answer.body, count), works: true };
  }
  if (status === 429 || status === 503) {
    const retryAfterMs = retryAfterOf(answer.headers['retry-after'], nowMs);
    // A 503 may come from a proxy before a dead server: no fault, and no proof of health.
    const works = status === 429 ? true : undefined;
    return all(count, { kind: 'throttled', retryAfterMs, code: status }, works);
  }
  if (status >= 500 || status === 408) return all(count, { kind: 'retry', code: status }, false);
  return all(count, { kind: 'failed', code: status }, true);
}

const NO_BODY = new Uint8Array();

/**
 * What an answer says whose body broke off or did not end in time; undefined: nothing that is sure.
 * Only that of a batch may say with 2xx that some of it was not taken.
 */
export function answerOfHead(
  head: Omit<WebhookAnswer, 'body'> | undefined,
  batchMax: number,
): WebhookAnswer | undefined {
  if (head === undefined) return undefined;
  const isTaken = head.status >= 200 && head.status < 300;
  return isTaken && batchMax > 1 ? undefined : { ...head, body: NO_BODY };
}

/** Seconds or a date (RFC 9110, 10.2.3), in ms from now; a second when it says nothing that can be read. */
export function retryAfterOf(
  header: string | readonly string[] | undefined,
  nowMs: number,
): number {
  const text = (typeof header === 'string' ? header : (header?.[0] ?? '')).trim();
  // Date.parse takes much that is no date of HTTP, "-1" among it.
  const atMs = /^[A-Z][a-z]+, .*GMT$/.test(text) ? Date.parse(text) : Number.NaN;
  const afterMs = /^\d{1,9}$/.test(text) ? 1_000 * Number(text) : atMs - nowMs;
  if (!Number.isFinite(afterMs)) return THROTTLE_MS_DEFAULT;
  return Math.min(Math.max(afterMs, 0), THROTTLE_MS_MAX);
}

function all(count: number, result: Result, works: boolean | undefined): AnswerMeaning {
  return { results: Array.from({ length: count }, () => result), works };
}

/**
 * With 2xx the gateway has taken the messages; its body may say more of each, as
 * `{"results": [entry…]}`, or as one entry of a single message. What cannot be read says nothing.
 */
function resultsOf(body: Uint8Array, count: number): Result[] {
  const value = parsed(body);
  const list = isObject(value) && Array.isArray(value.results) ? value.results : undefined;
  const entries: readonly unknown[] = list ?? (count === 1 ? [value] : []);
  return Array.from({ length: count }, (_, index) => resultOf(entries[index]));
}

function resultOf(entry: unknown): Result {
  if (!isObject(entry)) return SENT;
  const code = codeOf(entry.code);
  const retryAfterMs = timeOf(entry.retryAfterMs);
  switch (entry.outcome) {
    case 'retry':
      return { kind: 'retry', code, retryAfterMs };
    case 'failed':
      return { kind: 'failed', code };
    case 'throttled':
      return { kind: 'throttled', retryAfterMs: retryAfterMs ?? THROTTLE_MS_DEFAULT, code };
    case 'notAttempted':
      return { kind: 'notAttempted' };
    default: {
      const id = idOf(entry.id);
      return id === undefined ? SENT : { kind: 'sent', ids: [id] };
    }
  }
}

function parsed(body: Uint8Array): unknown {
  if (body.byteLength === 0) return undefined;
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function codeOf(value: unknown): number | undefined {
  const isCode = Number.isInteger(value) && (value as number) > 0 && (value as number) <= CODE_MAX;
  return isCode ? (value as number) : undefined;
}

function timeOf(value: unknown): number | undefined {
  if (typeof value !== 'number' || !(value >= 0)) return undefined;
  return Math.min(Math.ceil(value), THROTTLE_MS_MAX);
}

function idOf(value: unknown): string | undefined {
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text !== 'string' || text === '' || text.length > ID_LENGTH_MAX) return undefined;
  return text;
}
