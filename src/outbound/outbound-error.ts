/**
 * Why an outgoing request has no answer.
 *
 * - `badUrl`: the URL, or a header, is not one that is sent
 * - `blocked`: it leads to an address that the guard does not let through
 * - `dns`: the name has no address, or nobody told it in time
 * - `refused`: nobody took the connection
 * - `tls`: the certificate or the handshake
 * - `reset`: the connection broke before the answer was complete
 * - `timeout`: the time was over
 * - `tooLarge`: the head of the answer is larger than its limit
 * - `badAnswer`: what came is no answer, or could be read in two ways
 */
export type OutboundErrorKind =
  | 'badUrl'
  | 'blocked'
  | 'dns'
  | 'refused'
  | 'tls'
  | 'reset'
  | 'timeout'
  | 'tooLarge'
  | 'badAnswer';

export interface AnswerHead {
  readonly status: number;
  /** Names in lower case; a list where a name came more than once. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export class OutboundError extends Error {
  override readonly name = 'OutboundError';
  readonly kind: OutboundErrorKind;
  /** Whether a byte of the request may have reached the peer: then it may have been acted upon. */
  readonly sentMaybe: boolean;
  /** The head of an answer that broke off behind it, or did not end in time; undefined: there was none. */
  head: AnswerHead | undefined;

  constructor(
    kind: OutboundErrorKind,
    message: string,
    { sentMaybe = false, cause }: { sentMaybe?: boolean; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.sentMaybe = sentMaybe;
  }
}

const REFUSED = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EHOSTDOWN',
  'ENETDOWN',
  'EACCES',
  'EPERM',
]);
const RESET = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET']);

/** What the socket or the HTTP library said, as one of ours. */
export function outboundErrorOf(error: unknown, sentMaybe: boolean): OutboundError {
  if (error instanceof OutboundError) {
    if (error.sentMaybe === sentMaybe) return error;
    return new OutboundError(error.kind, error.message, { sentMaybe, cause: error });
  }
  const { code = '', message = String(error) } = error as { code?: string; message?: string };
  return new OutboundError(kindOf(code, sentMaybe), message, { sentMaybe, cause: error });
}

function kindOf(code: string, sentMaybe: boolean): OutboundErrorKind {
  if (REFUSED.has(code)) return 'refused';
  if (code === 'ETIMEDOUT' || code.endsWith('_TIMEOUT')) return 'timeout';
  if (code === 'UND_ERR_HEADERS_OVERFLOW' || code === 'HPE_HEADER_OVERFLOW') return 'tooLarge';
  if (code === 'UND_ERR_INVALID_ARG') return 'badUrl';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'dns';
  if (isTls(code)) return 'tls';
  // What is no answer of HTTP at all ends like a connection that broke: nothing usable came.
  return RESET.has(code) || sentMaybe ? 'reset' : 'refused';
}

function isTls(code: string): boolean {
  return (
    /^(ERR_TLS|ERR_SSL|CERT|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|CRL_|HOSTNAME)/.test(code) ||
    code === 'EPROTO' ||
    code === 'INVALID_CA' ||
    code === 'INVALID_PURPOSE' ||
    code === 'PATH_LENGTH_EXCEEDED'
  );
}
