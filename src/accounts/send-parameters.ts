/** The parameters of a new message: checked one by one, so that each fault has its own code. */

import { parsePhoneNumberFromString } from 'libphonenumber-js';
import { isDay } from '../base/day.ts';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { segmentsOf } from '../protocol/sms-text.ts';
import { AccountError } from './account-error.ts';
import type { AccountDirectory, AccountRecord, OutgoingMessage } from './ports.ts';
import { destinationOf, senderOf } from './routing.ts';

const BODY_CHARACTERS_MAX = 1600;
const VALIDITY_SEC_MAX = 36_000;
const SCHEDULE_MS_MAX = 35 * 24 * 3_600_000;
/** Longer than any way to write a number that someone would read. */
const NUMBER_LENGTH_MAX = 64;

const SERVICE_SID = /^MG[0-9a-f]{32}$/;
const SHORT_CODE = /^[0-9]{3,8}$/;
/** Up to 11 letters and digits, at least one of them a letter; a sender's name has no spaces. */
const ALPHANUMERIC = /^(?=.*[A-Za-z])[A-Za-z0-9._+-]{1,11}$/;
const URL_PATTERN = /^https?:\/\/[!-~]+$/;
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/;

export interface SendContext {
  readonly account: AccountRecord;
  readonly directory: AccountDirectory;
  readonly hashKey: Uint8Array;
  readonly nowMs: number;
  /** From a header; undefined: none. */
  readonly idempotencyKey: string | undefined;
  readonly onUnroutable: (tenant: string, recipient: string) => void;
}

/**
 * The message that a form describes.
 *
 * @throws AccountError of the first fault, in the order recipient, sender, body, the rest;
 *   FairleadError unroutable
 */
export function readMessage(form: URLSearchParams, context: SendContext): OutgoingMessage {
  const { account, directory, idempotencyKey } = context;
  const recipient = recipientOf(form.get('To'));
  const service = serviceOf(form.get('MessagingServiceSid'), context);
  const sender = readSender(form.get('From'), recipient, service, context);
  const body = bodyOf(form);
  const callbackUrl = callbackOf(form.get('StatusCallback'));
  const validityMs = validityOf(form.get('ValidityPeriod'));
  const sendAtMs = sendAtOf(form, context.nowMs);
  const destination = destinationOf(directory, recipient);
  if (destination === undefined) {
    context.onUnroutable(account.tenant, recipient);
    throw new FairleadError('unroutable', `no route leads to ${recipient}`);
  }
  return {
    destination,
    tenant: account.tenant,
    sender,
    recipient,
    body,
    cost: segmentsOf(body).segments,
    sendAtMs,
    validityMs,
    callbackUrl,
    callbackStatuses: account.callbackStatuses ?? undefined,
    idempotencyKey: keyOf(idempotencyKey),
    tag: service?.sid,
  };
}

/** A number in E.164: `+`, the country, and as many digits as numbers there may have. */
function recipientOf(text: string | null): string {
  if (text === null || text === '') throw new AccountError(21604);
  return e164(text) ?? fault(21211, `Invalid 'To' phone number: ${shown(text)}`);
}

function e164(text: string): string | undefined {
  if (!text.trimStart().startsWith('+') || text.length > NUMBER_LENGTH_MAX) return undefined;
  const number = parsePhoneNumberFromString(text);
  return number?.isPossible() ? number.number : undefined;
}

interface NamedService {
  readonly sid: string;
  readonly senders: readonly string[];
}

function serviceOf(
  sid: string | null,
  { directory, account }: SendContext,
): NamedService | undefined {
  if (sid === null || sid === '') return undefined;
  const service = SERVICE_SID.test(sid) ? directory.service(sid) : undefined;
  if (service === undefined || service.tenant !== account.tenant) {
    throw new AccountError(21701, `The messaging service ${shown(sid)} does not exist`, 404);
  }
  return { sid, senders: service.senders };
}

function readSender(
  from: string | null,
  recipient: string,
  service: NamedService | undefined,
  { directory, account, hashKey }: SendContext,
): string {
  if (from === null || from === '') {
    if (service === undefined) throw new AccountError(21603);
    return senderOf(hashKey, service.sid, service.senders, recipient);
  }
  const sender = SHORT_CODE.test(from) || ALPHANUMERIC.test(from) ? from : e164(from);
  if (sender === undefined) throw new AccountError(21212, `Invalid 'From' number: ${shown(from)}`);
  const owner = directory.ownerOf(sender);
  const isOurs = owner === undefined || owner === account.tenant;
  if (!isOurs || (service !== undefined && !service.senders.includes(sender))) {
    throw new AccountError(21606, `The 'From' number ${sender} is not valid for this account`);
  }
  return sender;
}

function bodyOf(form: URLSearchParams): string {
  if (form.has('MediaUrl')) throw new AccountError(21620);
  const body = form.get('Body');
  if (body === null || body === '') throw new AccountError(21602);
  // A text of so many UTF-16 units has more characters than may be, however they are counted.
  const characters = body.length > 2 * BODY_CHARACTERS_MAX ? body.length : [...body].length;
  if (characters > BODY_CHARACTERS_MAX) throw new AccountError(21617);
  return body;
}

function callbackOf(url: string | null): string | undefined {
  if (url === null || url === '') return undefined;
  const isUrl = url.length <= LIMITS.callbackBytes && URL_PATTERN.test(url) && URL.canParse(url);
  return isUrl ? url : fault(21609, `Invalid 'StatusCallback' URL: ${shown(url)}`);
}

function validityOf(text: string | null): number | undefined {
  if (text === null || text === '') return undefined;
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= VALIDITY_SEC_MAX) return seconds * 1000;
  return fault(
    21624,
    `ValidityPeriod is 1 to ${VALIDITY_SEC_MAX} seconds, received ${shown(text)}`,
  );
}

function sendAtOf(form: URLSearchParams, nowMs: number): number | undefined {
  const type = form.get('ScheduleType') ?? '';
  const text = form.get('SendAt') ?? '';
  if (type === '' && text === '') return undefined;
  if (type !== 'fixed') {
    throw new AccountError(
      35126,
      `ScheduleType is fixed where SendAt is given, received ${shown(type)}`,
    );
  }
  if (text === '') throw new AccountError(35111);
  const atMs = DATE_TIME.test(text) && isDay(text.slice(0, 10)) ? Date.parse(text) : Number.NaN;
  if (atMs > nowMs && atMs <= nowMs + SCHEDULE_MS_MAX) return atMs;
  return fault(
    35114,
    `SendAt is a time of the next 35 days, as in 2026-12-24T18:00:00Z, received ${shown(text)}`,
  );
}

function keyOf(key: string | undefined): string | undefined {
  if (key === undefined || key === '') return undefined;
  if (Buffer.byteLength(key) <= LIMITS.idempotencyKeyBytes) return key;
  return fault(20001, `An idempotency key has at most ${LIMITS.idempotencyKeyBytes} bytes`);
}

function fault(code: ConstructorParameters<typeof AccountError>[0], message: string): never {
  throw new AccountError(code, message);
}

/** A value as a message shows it, cut where it is long. */
function shown(text: string): string {
  return text.length > NUMBER_LENGTH_MAX ? `${text.slice(0, NUMBER_LENGTH_MAX)}…` : text;
}
