/**
 * The one table of operating errors: number, name, class, whether a retry can help, HTTP status, sentence.
 *
 * Numbers are part of the protocol and never change meaning; new ones are appended to their group:
 * 1xxx protocol, 2xxx authorisation, 3xxx dispatch, 4xxx gate, 5xxx usage, 9xxx internal.
 * The native core raises the same numbers (native/core/src/error.rs); a test compares both tables.
 */

/** One row of the table. `retryable` means: the same request, sent again later, may succeed. */
export interface ErrorRow {
  readonly code: number;
  readonly status: number;
  readonly retryable: boolean;
  readonly sentence: string;
}

const row = (code: number, status: number, retryable: boolean, sentence: string): ErrorRow => ({
  code,
  status,
  retryable,
  sentence,
});

export const ERRORS = {
  malformedFrame: row(1001, 400, false, 'The bytes are no frame of this protocol.'),
  unknownKind: row(1002, 400, false, 'The frame kind is not known to this daemon.'),
  wrongType: row(1003, 400, false, 'A field has the wrong type or is missing.'),
  fieldTooLong: row(1004, 400, false, 'A field is longer than its limit.'),
  frameTooLarge: row(1005, 413, false, 'The frame is larger than the frame limit.'),
  tooManyMessages: row(1006, 413, false, 'The frame holds more entries than its limit.'),
  notYetSupported: row(
    1007,
    501,
    false,
    'The protocol defines this, but this daemon does not do it yet.',
  ),
  invalidName: row(
    1008,
    400,
    false,
    'A name is empty or has characters outside [A-Za-z0-9._:+@-].',
  ),
  payloadTooLarge: row(1009, 413, false, 'A payload is larger than the payload limit.'),
  overloaded: row(
    1010,
    503,
    true,
    'More is unanswered than the window allows; retry after the given time.',
  ),
  goingAway: row(1011, 503, true, 'The daemon is ending; connect again and retry.'),
  invalidId: row(1012, 400, false, 'The request id is not an integer from 0 to 4294967295.'),
  notBinary: row(1013, 400, false, 'Frames are binary; a text frame was received.'),
  unknownField: row(1014, 400, false, 'The resource has no such field.'),
  invalidValue: row(1015, 400, false, 'A value is outside its range.'),
  routeNotFound: row(1016, 404, false, 'There is no such path.'),
  methodNotAllowed: row(1017, 405, false, 'The path does not take this method.'),
  bodyTooLarge: row(1018, 413, false, 'The request body is larger than its limit.'),
  invalidJson: row(1019, 400, false, 'The request body is not valid JSON.'),
  invalidOption: row(1020, 400, false, 'A publish option is outside its range.'),
  unsupportedMediaType: row(1021, 415, false, 'The body is not of the content type that is taken.'),
  tokenMissing: row(2001, 401, false, 'A bearer token is required.'),
  tokenInvalid: row(2002, 401, false, 'The token is not valid.'),
  tokenExpired: row(2003, 401, false, 'The token has expired.'),
  scopeMissing: row(2004, 403, false, 'The token lacks the scope this needs.'),
  tenantForbidden: row(2005, 403, false, 'The token belongs to another tenant.'),
  unknownDestination: row(3001, 404, false, 'There is no such destination.'),
  queueFull: row(3002, 429, true, 'The queue holds as many messages as it may.'),
  tenantFull: row(
    3003,
    429,
    true,
    'The tenant holds as many messages at this destination as it may.',
  ),
  shardFull: row(3004, 503, true, 'The shard holds as many messages or bytes as it may.'),
  tooManyQueues: row(3005, 503, true, 'The shard has as many queues as it may.'),
  unknownSubscription: row(3006, 404, false, 'The connection has no such subscription.'),
  subscriptionInUse: row(3007, 409, false, 'The connection already uses this subscription number.'),
  creditTooLarge: row(3008, 400, false, 'The credit would exceed its limit.'),
  tooManySubscriptions: row(3009, 429, false, 'There are as many subscriptions as there may be.'),
  entityNotFound: row(3010, 404, false, 'There is no such resource.'),
  inUse: row(3011, 409, true, 'Work waits or other resources refer to it.'),
  shardKeyFixed: row(3012, 409, false, 'The shardKey is fixed once the destination exists.'),
  tenantRequired: row(3013, 400, false, 'A platform token has to name the tenant of each message.'),
  diskFull: row(3014, 507, true, 'The disk has less free space than the daemon keeps in reserve.'),
  unknownSet: row(3015, 400, false, 'There is no such tenant set.'),
  reservedName: row(3016, 409, false, 'The name is reserved.'),
  tooManyEntities: row(
    3017,
    429,
    false,
    'There are as many resources of this type as there may be.',
  ),
  tooManyKeys: row(3018, 429, true, 'The shard holds as many idempotency keys as it may.'),
  messageNotFound: row(
    3019,
    404,
    false,
    'There is no such message, or it is no longer remembered.',
  ),
  messageEnded: row(3020, 409, false, 'The message has already ended.'),
  messageInFlight: row(3021, 409, true, 'The message is being sent.'),
  refusingNew: row(3022, 503, true, 'New work is refused here for now; what waits is still sent.'),
  wouldExpire: row(3023, 429, true, 'The message would expire before its turn.'),
  attemptsExhausted: row(3024, 422, false, 'Every attempt failed; the message is a dead letter.'),
  inDoubt: row(
    3025,
    422,
    false,
    'It may have been delivered, and the destination does not deliver twice.',
  ),
  validityOver: row(3026, 410, false, 'The validity ended before the message was sent.'),
  messageNotEnded: row(3027, 409, true, 'The message has not ended yet.'),
  unknownPool: row(3028, 400, false, 'There is no such pool.'),
  unknownGateway: row(
    3029,
    400,
    false,
    'There is no such gateway, or it does not serve this destination.',
  ),
  hookRefused: row(3030, 422, false, 'The hook before sending refused the message.'),
  receiptDropped: row(
    3031,
    410,
    false,
    'More receipts were waited for than may be; those of the oldest messages are not matched.',
  ),
  outboxFull: row(3032, 503, true, 'As many outgoing requests wait as may.'),
  blockedAddress: row(
    3033,
    400,
    false,
    'The URL leads to an address that outgoing requests may not reach.',
  ),
  endpointDisabled: row(3034, 410, false, 'The endpoint answered 410 and is disabled.'),
  unroutable: row(3035, 400, false, 'No route leads from this recipient to a destination.'),
  secretNotFound: row(3036, 400, false, 'There is no secret of this name.'),
  tenantTaken: row(3037, 409, false, 'Another account has this tenant.'),
  unknownNumber: row(3038, 404, false, 'Nobody takes what comes in for this number.'),
  unknownResource: row(4001, 404, false, 'There is no resource of this name.'),
  concurrencyLimit: row(
    4002,
    429,
    true,
    'As many are under way as the limit allows; this was not processed and is safe to retry.',
  ),
  wouldWaitTooLong: row(
    4003,
    429,
    true,
    'It would wait longer than it may; this was not processed and is safe to retry.',
  ),
  waitersFull: row(
    4004,
    429,
    true,
    'As many wait as may; this was not processed and is safe to retry.',
  ),
  permitGone: row(4005, 410, false, 'The permit was released before, has expired or never was.'),
  tooManyGateKeys: row(4006, 503, true, 'The gate counts as many tenants and resources as it may.'),
  waitOver: row(
    4007,
    429,
    true,
    'It waited as long as it may; this was not processed and is safe to retry.',
  ),
  tooManyPermits: row(4008, 503, true, 'As many permits are out as may be.'),
  gateRecovering: row(
    4009,
    503,
    true,
    'After a crash no permit is given until the longest lease is over.',
  ),
  unknownRoute: row(
    4010,
    404,
    false,
    'No route of the proxy leads from this request to a backend.',
  ),
  upstreamFailed: row(4011, 502, true, 'The backend did not answer as it should.'),
  upstreamTimeout: row(4012, 504, true, 'The backend did not answer in time.'),
  upgradeRefused: row(
    4013,
    501,
    false,
    'The proxy does not pass on connections that change their protocol.',
  ),
  badProxyRequest: row(4014, 400, false, 'The proxy does not pass on a request of this form.'),
  headTooLarge: row(4015, 431, false, 'The head of the request is larger than its limit.'),
  eventTime: row(
    5001,
    400,
    false,
    'An event is counted at most 35 days late and 5 minutes ahead of its time.',
  ),
  tooManyCounters: row(5002, 409, false, 'The account has as many categories and tags as it may.'),
  correctionForbidden: row(5003, 403, false, 'Corrections need the scope platform.'),
  categoryReserved: row(5004, 400, false, 'Only the daemon itself counts this category.'),
  tooManyEventKeys: row(5005, 503, true, 'As many keys of events are remembered as may be.'),
  capReached: row(5006, 429, true, 'A cap of the tenant is reached.'),
  triggerNotFound: row(5007, 404, false, 'There is no such trigger.'),
  tooManyTriggers: row(5008, 409, false, 'There are as many triggers as there may be.'),
  badTrigger: row(5009, 400, false, 'The trigger cannot be as it is given.'),
  internal: row(9001, 500, true, 'The daemon failed at this; it was logged.'),
  notReady: row(9002, 503, true, 'The daemon is not ready.'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorName = keyof typeof ERRORS;

const nameOfCode = new Map<number, ErrorName>(
  (Object.keys(ERRORS) as ErrorName[]).map((name) => [ERRORS[name].code, name]),
);

/** Name of an error number, or `internal` for one that this version does not know. */
export function errorName(code: number): ErrorName {
  return nameOfCode.get(code) ?? 'internal';
}

/** An operating error: its name gives code, HTTP status and whether to retry; the message says what, why and what was received. */
export class FairleadError extends Error {
  override readonly name = 'FairleadError';
  readonly error: ErrorName;
  readonly code: number;
  readonly status: number;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(error: ErrorName, message?: string, details?: Readonly<Record<string, unknown>>) {
    // An answer, not a fault: its stack would cost 5 of 9 µs, and a flood of bad frames holds up everyone.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message ?? ERRORS[error].sentence);
    Error.stackTraceLimit = stackTraceLimit;
    this.error = error;
    this.code = ERRORS[error].code;
    this.status = ERRORS[error].status;
    this.retryable = ERRORS[error].retryable;
    this.details = details;
  }
}
