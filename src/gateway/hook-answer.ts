// What the answer of a hook says of each message. Pure.
import { LIMITS } from '../limits.ts';
import type { Job } from './job.ts';

export type Decision =
  | { readonly action: 'allow' }
  | { readonly action: 'refuse'; readonly code?: number | undefined }
  | {
      readonly action: 'rewrite';
      readonly to: Partial<Pick<Job, 'payload' | 'sender' | 'recipient'>>;
    };

const CODE_MAX = 0xffff_ffff;
const namePattern = new RegExp(`^[A-Za-z0-9._:+@-]{1,${LIMITS.nameBytes}}$`);
const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * A decision for each of `count` messages, undefined where there is none that can be read;
 * undefined when the answer has not one for each.
 */
export function decisionsOf(
  body: Uint8Array,
  count: number,
): readonly (Decision | undefined)[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  } catch {
    return undefined;
  }
  if (!isObject(value) || !Array.isArray(value.results)) return undefined;
  const results: readonly unknown[] = value.results;
  return results.length === count ? results.map(decisionOf) : undefined;
}

function decisionOf(entry: unknown): Decision | undefined {
  if (!isObject(entry)) return undefined;
  switch (entry.action) {
    case 'allow':
      return { action: 'allow' };
    case 'refuse':
      return { action: 'refuse', code: codeOf(entry.code) };
    case 'rewrite': {
      const to = rewritten(entry);
      return to === undefined ? undefined : { action: 'rewrite', to };
    }
    default:
      return undefined;
  }
}

/** Undefined: a field cannot be what it is said to be. */
function rewritten(
  entry: Readonly<Record<string, unknown>>,
): Extract<Decision, { action: 'rewrite' }>['to'] | undefined {
  const to: { payload?: Uint8Array; sender?: string; recipient?: string } = {};
  for (const field of ['sender', 'recipient'] as const) {
    const name = entry[field];
    if (name === undefined) continue;
    if (typeof name !== 'string' || !namePattern.test(name)) return undefined;
    to[field] = name;
  }
  const { payload, payloadBase64 } = entry;
  const isBase64 = typeof payloadBase64 === 'string' && base64Pattern.test(payloadBase64);
  if (typeof payload === 'string') to.payload = Buffer.from(payload);
  else if (isBase64) to.payload = Buffer.from(payloadBase64, 'base64');
  else if ((payload ?? payloadBase64) !== undefined) return undefined;
  if ((to.payload?.byteLength ?? 0) > LIMITS.payloadBytes) return undefined;
  return to;
}

function codeOf(value: unknown): number | undefined {
  const isCode = Number.isInteger(value) && (value as number) > 0 && (value as number) <= CODE_MAX;
  return isCode ? (value as number) : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
