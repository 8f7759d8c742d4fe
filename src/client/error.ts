// The one error class of the SDK: what the daemon refused, and what went wrong on the way to it.

interface LocalError {
  readonly retryable: boolean;
  readonly sentence: string;
}

/** Errors that only a client sees; the daemon never sends them, so they have no number. */
export const LOCAL_ERRORS: Readonly<Record<string, LocalError>> = {
  connectionLost: { retryable: true, sentence: 'The connection ended before the answer.' },
  clientClosed: { retryable: false, sentence: 'The client is closed.' },
  clientQueueFull: {
    retryable: true,
    sentence: 'More is waiting in this client than its queue may hold; wait for writable().',
  },
  connectTimeout: { retryable: true, sentence: 'The daemon did not answer in time.' },
  badFrame: { retryable: true, sentence: 'The daemon sent bytes that are no frame.' },
  handlerFailed: { retryable: true, sentence: 'A handler of deliveries threw an error.' },
  leaseOver: { retryable: true, sentence: 'The lease of the permit was not prolonged in time.' },
  noWebSocket: {
    retryable: false,
    sentence: 'There is no WebSocket here: pass one as the option WebSocket, or install ws.',
  },
};

/**
 * Name and retryable of the daemon's error numbers. A copy: the daemon's own table is no part of
 * the SDK; a test keeps both in step. Numbers never change meaning.
 */
export const DAEMON_ERRORS: Readonly<Record<number, readonly [name: string, retryable: boolean]>> =
  {
    1001: ['malformedFrame', false],
    1002: ['unknownKind', false],
    1003: ['wrongType', false],
    1004: ['fieldTooLong', false],
    1005: ['frameTooLarge', false],
    1006: ['tooManyMessages', false],
    1007: ['notYetSupported', false],
    1008: ['invalidName', false],
    1009: ['payloadTooLarge', false],
    1010: ['overloaded', true],
    1011: ['goingAway', true],
    1012: ['invalidId', false],
    1013: ['notBinary', false],
    1014: ['unknownField', false],
    1015: ['invalidValue', false],
    1016: ['routeNotFound', false],
    1017: ['methodNotAllowed', false],
    1018: ['bodyTooLarge', false],
    1019: ['invalidJson', false],
    1020: ['invalidOption', false],
    1021: ['unsupportedMediaType', false],
    2001: ['tokenMissing', false],
    2002: ['tokenInvalid', false],
    2003: ['tokenExpired', false],
    2004: ['scopeMissing', false],
    2005: ['tenantForbidden', false],
    3001: ['unknownDestination', false],
    3002: ['queueFull', true],
    3003: ['tenantFull', true],
    3004: ['shardFull', true],
    3005: ['tooManyQueues', true],
    3006: ['unknownSubscription', false],
    3007: ['subscriptionInUse', false],
    3008: ['creditTooLarge', false],
    3009: ['tooManySubscriptions', false],
    3010: ['entityNotFound', false],
    3011: ['inUse', true],
    3012: ['shardKeyFixed', false],
    3013: ['tenantRequired', false],
    3014: ['diskFull', true],
    3015: ['unknownSet', false],
    3016: ['reservedName', false],
    3017: ['tooManyEntities', false],
    3018: ['tooManyKeys', true],
    3019: ['messageNotFound', false],
    3020: ['messageEnded', false],
    3021: ['messageInFlight', true],
    3022: ['refusingNew', true],
    3023: ['wouldExpire', true],
    3024: ['attemptsExhausted', false],
    3025: ['inDoubt', false],
    3026: ['validityOver', false],
    3027: ['messageNotEnded', true],
    3028: ['unknownPool', false],
    3029: ['unknownGateway', false],
    3030: ['hookRefused', false],
    3031: ['receiptDropped', false],
    3032: ['outboxFull', true],
    3033: ['blockedAddress', false],
    3034: ['endpointDisabled', false],
    3035: ['unroutable', false],
    3036: ['secretNotFound', false],
    3037: ['tenantTaken', false],
    3038: ['unknownNumber', false],
    4001: ['unknownResource', false],
    4002: ['concurrencyLimit', true],
    4003: ['wouldWaitTooLong', true],
    4004: ['waitersFull', true],
    4005: ['permitGone', false],
    4006: ['tooManyGateKeys', true],
    4007: ['waitOver', true],
    4008: ['tooManyPermits', true],
    4009: ['gateRecovering', true],
    4010: ['unknownRoute', false],
    4011: ['upstreamFailed', true],
    4012: ['upstreamTimeout', true],
    4013: ['upgradeRefused', false],
    4014: ['badProxyRequest', false],
    4015: ['headTooLarge', false],
    5001: ['eventTime', false],
    5002: ['tooManyCounters', false],
    5003: ['correctionForbidden', false],
    5004: ['categoryReserved', false],
    5005: ['tooManyEventKeys', true],
    5006: ['capReached', true],
    5007: ['triggerNotFound', false],
    5008: ['tooManyTriggers', false],
    5009: ['badTrigger', false],
    9001: ['internal', true],
    9002: ['notReady', true],
  };

/** Number of a daemon error by its name, for faults that the SDK finds before the daemon would. */
const codeOf = new Map(
  Object.entries(DAEMON_ERRORS).map(([code, [name]]) => [name, Number(code)] as const),
);

export interface ClientErrorFields {
  readonly code?: number;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly maybeAccepted?: boolean;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * What publish, subscribe and connect fail with.
 *
 * `error` is the name (`queueFull`, `connectionLost` …), `code` the daemon's number (0 for errors
 * that only a client sees), `retryable` whether the same request may succeed later.
 */
export class FairleadClientError extends Error {
  override readonly name: string = 'FairleadClientError';
  readonly error: string;
  readonly code: number;
  readonly retryable: boolean;
  /** How long to wait before trying again, if the daemon said so. */
  readonly retryAfterMs: number | undefined;
  /** The daemon may have taken the message: sending it again may make a duplicate. */
  readonly maybeAccepted: boolean;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(error: string, message?: string, fields: ClientErrorFields = {}) {
    const local = LOCAL_ERRORS[error];
    super(message ?? local?.sentence ?? error);
    this.error = error;
    this.code = fields.code ?? codeOf.get(error) ?? 0;
    this.retryable = fields.retryable ?? local?.retryable ?? DAEMON_ERRORS[this.code]?.[1] ?? false;
    this.retryAfterMs = fields.retryAfterMs;
    this.maybeAccepted = fields.maybeAccepted ?? false;
    this.details = fields.details;
  }

  /** From a number of the daemon; an unknown one keeps its number and the name `internal`. */
  static fromCode(code: number, message?: string, fields: ClientErrorFields = {}) {
    const [name, retryable] = DAEMON_ERRORS[code] ?? ['internal', false];
    return new FairleadClientError(name, message ?? `The daemon refused it: ${name}.`, {
      retryable,
      ...fields,
      code,
    });
  }
}

export interface ImpededFields extends ClientErrorFields {
  readonly used?: number | undefined;
  readonly limit?: number | undefined;
  readonly estimateMs?: number | undefined;
}

/** What `acquire` fails with when the gate did not let it pass; it was not passed on, so it may be tried again. */
export class ImpededError extends FairleadClientError {
  override readonly name = 'ImpededError';
  /** Seats in use of the tenant at the resource. */
  readonly used: number | undefined;
  /** Undefined: not told, or the tenant has no limit of its own there. */
  readonly limit: number | undefined;
  /** How long it would have waited. */
  readonly estimateMs: number | undefined;

  constructor(code: number, fields: ImpededFields = {}) {
    const [name, retryable] = DAEMON_ERRORS[code] ?? ['internal', false];
    super(name, `It may not pass: ${name}.`, { retryable, ...fields, code });
    this.used = fields.used;
    this.limit = fields.limit;
    this.estimateMs = fields.estimateMs;
  }
}
