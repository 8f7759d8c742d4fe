/**
 * Signatures of what is sent and of what is posted to us. Pure.
 *
 * - `standard`: Standard Webhooks 1.0: `webhook-signature` holds, for each key, `v1,` and the base64 of
 *   HMAC-SHA256 over `id.timestamp.body`.
 * - `form`: `x-twilio-signature` holds the base64 of HMAC-SHA1, under the account's auth token, over
 *   the URL and each parameter's name and value in order of names.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';

/** What a key looks like to people: this and base64. */
const KEY_PREFIX = 'whsec_';
/** How far the clocks of sender and receiver may be apart. */
const TOLERANCE_SEC = 300;
const SIGNATURES_MAX = 16;

export interface StandardMessage {
  /** `webhook-id`: the same at every attempt. */
  readonly id: string;
  readonly atSec: number;
  readonly body: Uint8Array | string;
}

/** The three headers; `keys` as `whsec_…`, the newest first. */
export function standardHeaders(
  keys: readonly string[],
  message: StandardMessage,
): Record<string, string> {
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(message.atSec),
    'webhook-signature': keys.map((key) => `v1,${standardSignature(key, message)}`).join(' '),
  };
}

/** A key as bytes. @throws Error when it is not `whsec_` and base64 */
export function keyBytes(key: string): Buffer {
  const text = key.startsWith(KEY_PREFIX) ? key.slice(KEY_PREFIX.length) : '';
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length === 0 || bytes.toString('base64') !== text) {
    throw new Error('a webhook key begins with whsec_ and goes on in base64');
  }
  return bytes;
}

/** Bytes as a key. */
export function keyText(bytes: Uint8Array): string {
  return `${KEY_PREFIX}${Buffer.from(bytes).toString('base64')}`;
}

function standardSignature(key: string, { id, atSec, body }: StandardMessage): string {
  return createHmac('sha256', keyObjectOf(key))
    .update(`${id}.${atSec}.`)
    .update(body)
    .digest('base64');
}

/** The last keys, ready for use. */
const keyObjects = new Map<string, KeyObject>();
const KEY_OBJECTS_MAX = 1_000;

function keyObjectOf(key: string): KeyObject {
  let found = keyObjects.get(key);
  if (found === undefined) {
    found = createSecretKey(keyBytes(key));
    if (keyObjects.size >= KEY_OBJECTS_MAX) keyObjects.clear();
    keyObjects.set(key, found);
  }
  return found;
}

export type Verdict = 'good' | 'missing' | 'stale' | 'wrong';

export interface StandardRequest {
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array | string;
  readonly nowMs: number;
}

/** Whether a request posted to us was signed with one of the keys, within the last five minutes. */
export function verifyStandard(
  keys: readonly string[],
  { headers, body, nowMs }: StandardRequest,
): Verdict {
  const id = headers.get('webhook-id') ?? '';
  const timestamp = headers.get('webhook-timestamp') ?? '';
  const given = headers.get('webhook-signature') ?? '';
  if (id === '' || timestamp === '' || given === '') return 'missing';
  if (!/^\d{1,12}$/.test(timestamp)) return 'wrong';
  const atSec = Number(timestamp);
  if (Math.abs(nowMs / 1000 - atSec) > TOLERANCE_SEC) return 'stale';
  const signatures = given.split(' ', SIGNATURES_MAX);
  const isGood = keys.some((key) => {
    const right = `v1,${standardSignature(key, { id, atSec, body })}`;
    return signatures.some((signature) => isSame(signature, right));
  });
  return isGood ? 'good' : 'wrong';
}

/** The value of `x-twilio-signature` for parameters sent in the body; an empty list for a GET. */
export function formSignature(
  authToken: string,
  url: string,
  parameters: Iterable<readonly [string, string]>,
): string {
  const values = new Map<string, Set<string>>();
  for (const [name, value] of parameters) {
    const of = values.get(name) ?? new Set();
    values.set(name, of.add(value));
  }
  let text = url;
  for (const name of [...values.keys()].sort()) {
    for (const value of [...(values.get(name) as Set<string>)].sort()) text += name + value;
  }
  return createHmac('sha1', authToken).update(text).digest('base64');
}

export interface FormRequest {
  /** As the sender was told it, with its query. */
  readonly url: string;
  readonly parameters: Iterable<readonly [string, string]>;
  /** The value of the header; undefined: there was none. */
  readonly signature: string | undefined;
}

/** Whether a form posted to us was signed with one of the tokens. */
export function verifyForm(
  authTokens: readonly string[],
  { url, parameters, signature }: FormRequest,
): Verdict {
  if (signature === undefined || signature === '') return 'missing';
  const given = [...parameters];
  const isGood = authTokens.some((token) => isSame(signature, formSignature(token, url, given)));
  return isGood ? 'good' : 'wrong';
}

function isSame(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
