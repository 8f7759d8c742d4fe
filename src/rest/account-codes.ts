/**
 * The error codes and statuses of the account form, beside ours. Its answers and its callbacks use
 * them; the codes are those that existing clients of that form know (docs/account-api.md).
 */
import { ERRORS, type ErrorName, errorName } from '../errors.ts';

/** What a code means, as answers and error messages of messages say it. */
export const ACCOUNT_ERRORS = {
  20001: 'A parameter is not valid',
  20003: 'Authenticate',
  20004: 'Method not allowed',
  20005: 'Account not active',
  20009: 'Cannot delete this resource before it is complete',
  20404: 'The requested resource was not found',
  20429: 'Too many requests',
  20500: 'Internal server error',
  20503: 'Service unavailable',
  21211: "Invalid 'To' phone number",
  21212: "Invalid 'From' number",
  21602: 'Message body is required',
  21603: "A 'From' number or a messaging service is required",
  21604: "A 'To' phone number is required",
  21606: "The 'From' number is not valid for this account",
  21609: "Invalid 'StatusCallback' URL",
  21610: 'Attempt to send to an unsubscribed recipient',
  21612: 'The recipient cannot be reached',
  21617: 'The message body exceeds the 1600 character limit',
  21620: 'Media is not supported',
  21624: 'Invalid validity period value',
  21701: 'The messaging service does not exist',
  30001: 'Queue overflow',
  30003: 'Unreachable destination handset',
  30004: 'Message blocked',
  30005: 'Unknown destination handset',
  30006: 'Landline or unreachable carrier',
  30007: 'Message filtered',
  30008: 'Unknown error',
  30036: 'Validity period expired',
  30400: 'Parameters are not valid',
  30409: 'This message cannot be canceled',
  35111: 'SendAt timestamp is missing',
  35114: 'Scheduling does not support this timestamp',
  35126: 'The ScheduleType value is not supported',
} as const;
export type AccountErrorCode = keyof typeof ACCOUNT_ERRORS;

/** Ours, where a request or a message is refused → theirs. */
const CODES: Readonly<Partial<Record<ErrorName, AccountErrorCode>>> = {
  tokenMissing: 20003,
  tokenInvalid: 20003,
  routeNotFound: 20404,
  methodNotAllowed: 20004,
  messageNotFound: 20404,
  triggerNotFound: 20404,
  messageNotEnded: 20009,
  messageEnded: 30409,
  messageInFlight: 30409,
  queueFull: 30001,
  tenantFull: 30001,
  shardFull: 30001,
  tooManyQueues: 30001,
  tooManyKeys: 30001,
  overloaded: 20429,
  capReached: 20429,
  concurrencyLimit: 20429,
  wouldWaitTooLong: 20429,
  waitersFull: 20429,
  waitOver: 20429,
  refusingNew: 20503,
  diskFull: 20503,
  goingAway: 20503,
  notReady: 20503,
  wouldExpire: 30036,
  validityOver: 30036,
  unknownDestination: 21612,
  unroutable: 21612,
  hookRefused: 21610,
  attemptsExhausted: 30008,
  inDoubt: 30008,
  internal: 20500,
};

/** The code of an error of ours in an answer. */
export function accountCodeOf(error: ErrorName): AccountErrorCode {
  return CODES[error] ?? (ERRORS[error].status >= 500 ? 20500 : 20001);
}

const SMPP_INVALID_DESTINATION = 0x0b;
/** Codes of that form that a gateway may give itself; they are shown as they are. */
const THEIR_CODES: readonly (readonly [from: number, to: number])[] = [
  [21_000, 21_999],
  [30_000, 30_999],
  [63_000, 63_999],
];

/**
 * The `error_code` of a message with this code of ours or of its gateway. What is neither ours nor one of that form
 * is 30008, unknown.
 */
export function restErrorCode(code: number): number {
  if (THEIR_CODES.some(([from, to]) => code >= from && code <= to)) return code;
  if (code === SMPP_INVALID_DESTINATION) return 30_005;
  const name = errorName(code);
  return ERRORS[name].code === code ? (CODES[name] ?? 30_008) : 30_008;
}

/** What a code means; a gateway's own is only said to be its own. */
export function restErrorMessage(code: number): string {
  const known: Readonly<Record<number, string>> = ACCOUNT_ERRORS;
  return known[code] ?? 'An error of the carrier';
}

const STATUSES: Readonly<Record<string, string>> = { expired: 'failed', cancelled: 'canceled' };

/** The status of that form for one of ours; the others have the same names. */
export function restStatus(status: string): string {
  return STATUSES[status] ?? status;
}

/** The `error_code` of a message in a status, with our code of it; null where nothing failed. */
export function restErrorOf(status: string, code: number | null): number | null {
  if (status === 'expired') return restErrorCode(ERRORS.validityOver.code);
  if (status !== 'failed' && status !== 'undelivered') return null;
  return code === null ? 30_008 : restErrorCode(code);
}
