// Options of a message: found wrong before they are sent, and given the short keys of the protocol.
import type { PublishOptions } from '../protocol/frames.ts';
import { EVENT_STATUS_NAMES, type EventStatusName, statusMask } from '../protocol/status-events.ts';
import { checkName, utf8Bytes } from './check-text.ts';
import { FairleadClientError } from './error.ts';
import type { MessageOptions } from './types.ts';

const LEVEL_MAX = 7;
const COST_MAX = 65_535;
const VALIDITY_MS_MAX = 30 * 24 * 3_600_000;
const IDEMPOTENCY_KEY_BYTES = 255;
const CALLBACK_BYTES = 2048;
const CALLBACK_URL = /^https?:\/\/[!-~]+$/;
/** Upper bound of the bytes of a map with all keys, beside its texts. */
const OPTIONS_BYTES = 96;

/** Options in the form of the wire, with an upper bound of their bytes there. */
export interface CheckedOptions {
  readonly wire: PublishOptions;
  readonly bytes: number;
}

/**
 * Checks all but whether `sendAt` is too far ahead, which depends on the daemon's clock.
 *
 * @throws FairleadClientError invalidOption, invalidName, fieldTooLong, wrongType
 */
export function checkOptions(options: MessageOptions): CheckedOptions {
  const { idempotencyKey, level, cost, sendAt, validityMs, orderKey, tag } = options;
  const { callbackUrl, callbackEvents } = options;
  const wire: PublishOptions = {
    ...(idempotencyKey !== undefined && { k: checkKey(idempotencyKey) }),
    ...(level !== undefined && { l: whole('level', level, [0, LEVEL_MAX]) }),
    ...(cost !== undefined && { c: whole('cost', cost, [1, COST_MAX]) }),
    ...(sendAt !== undefined && { at: moment(sendAt) }),
    ...(validityMs !== undefined && { ttl: whole('validityMs', validityMs, [1, VALIDITY_MS_MAX]) }),
    ...(callbackUrl !== undefined && { cb: checkUrl(callbackUrl) }),
    ...(callbackEvents !== undefined && { ce: checkEvents(callbackEvents) }),
    ...(orderKey !== undefined && { o: checkName('orderKey', orderKey) }),
    ...(tag !== undefined && { g: checkName('tag', tag) }),
  };
  const { k = '', cb = '', o = '', g = '' } = wire;
  return { wire, bytes: OPTIONS_BYTES + utf8Bytes(k) + cb.length + o.length + g.length };
}

function moment(sendAt: unknown): number {
  const atMs = sendAt instanceof Date ? sendAt.getTime() : sendAt;
  return whole('sendAt', atMs, [0, Number.MAX_SAFE_INTEGER]);
}

function whole(option: string, value: unknown, [min, max]: readonly [number, number]): number {
  const isRight = Number.isSafeInteger(value) && min <= Number(value) && Number(value) <= max;
  if (isRight) return value as number;
  throw invalid(option, `a whole number from ${min} to ${max}`, value);
}

function checkKey(key: unknown): string {
  if (typeof key !== 'string' || key === '') {
    throw invalid('idempotencyKey', `1 to ${IDEMPOTENCY_KEY_BYTES} bytes of text`, key);
  }
  return atMost('idempotencyKey', key, IDEMPOTENCY_KEY_BYTES);
}

function checkUrl(url: unknown): string {
  if (typeof url !== 'string' || !CALLBACK_URL.test(url)) {
    throw invalid('callbackUrl', 'an http:// or https:// URL in printable ASCII', url);
  }
  return atMost('callbackUrl', url, CALLBACK_BYTES);
}

function checkEvents(names: unknown): number {
  const isRight = Array.isArray(names) && names.every((name) => EVENT_STATUS_NAMES.includes(name));
  if (isRight) return statusMask(names as EventStatusName[]);
  throw invalid('callbackEvents', `a list of ${EVENT_STATUS_NAMES.join(', ')}`, names);
}

function atMost(option: string, text: string, bytesMax: number): string {
  const bytes = utf8Bytes(text);
  if (bytes <= bytesMax) return text;
  const message = `${option} may have ${bytesMax} bytes; this one has ${bytes}.`;
  throw new FairleadClientError('fieldTooLong', message);
}

function invalid(option: string, expected: string, value: unknown): FairleadClientError {
  const received = typeof value === 'string' ? JSON.stringify(value) : String(value);
  const message = `${option} has to be ${expected}; it is ${received.slice(0, 160)}.`;
  return new FairleadClientError('invalidOption', message);
}
