/**
 * Reads the head of a request and refuses what two servers could understand differently, so that a
 * backend never gets more or less than one request (RFC 9112, 6 and 11.2). Pure.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { IncomingCall } from './ports.ts';

export interface RequestHead {
  /** As the client named it. */
  readonly host: string;
  /** Bytes; undefined: chunked, or none. */
  readonly contentLength: number | undefined;
  readonly isChunked: boolean;
  /** Names in lower case that belong to this connection only. */
  readonly perConnection: ReadonlySet<string>;
  readonly requestId: string | undefined;
}

/** A refusal after which nothing more may be read from the connection: where its requests begin is in doubt. */
export class FramingError extends FairleadError {
  constructor(message: string) {
    super('badProxyRequest', message);
  }
}

const METHOD = /^[A-Z][A-Z-]{0,31}$/;
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Visible characters, spaces, tabs and bytes above ASCII. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const LENGTH = /^\d{1,15}$/;
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::\d{1,5})?$/;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const NONE: ReadonlySet<string> = new Set();
/** `name: value` and a line end take this many bytes beside both. */
const LINE_BYTES = 4;
const FIRST_LINE_BYTES = ' ?  HTTP/1.1\r\n'.length;

/** @throws FairleadError headTooLarge, badProxyRequest, upgradeRefused, methodNotAllowed; FramingError */
export function readHead(call: IncomingCall): RequestHead {
  const { headers, method, path, query } = call;
  let bytes = method.length + path.length + (query?.length ?? 0) + FIRST_LINE_BYTES;
  let host: string | undefined;
  let length: string | undefined;
  let encoding: string | undefined;
  let connection: string | undefined;
  let upgrade: string | undefined;
  let requestId: string | undefined;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    bytes += name.length + value.length + LINE_BYTES;
    if (!NAME.test(name)) throw new FramingError('The name of a header is none.');
    if (!VALUE.test(value)) throw new FramingError('The value of a header is none.');
    if (name === 'host') host = once(name, host, value);
    else if (name === 'content-length') length = once(name, length, value);
    else if (name === 'transfer-encoding') encoding = once(name, encoding, value);
    else if (name === 'connection') connection = joined(connection, value);
    else if (name === 'upgrade') upgrade = joined(upgrade, value);
    else if (name === 'x-request-id') requestId = value;
  }
  checkFraming(length, encoding);
  if (bytes > LIMITS.proxyHeadBytes) throw tooLarge(bytes);
  if (call.isMangled)
    throw bad('The value of a header holds bytes that are neither ASCII nor UTF-8.');
  if (host === undefined || !HOST.test(host))
    throw bad('The header host is missing or names no host.');
  checkMethod(method, upgrade);
  return {
    host,
    contentLength: length === undefined ? undefined : Number(length),
    isChunked: encoding !== undefined,
    perConnection: connection === undefined ? NONE : tokensOf(connection),
    requestId: requestId !== undefined && REQUEST_ID.test(requestId) ? requestId : undefined,
  };
}

function once(name: string, before: string | undefined, value: string): string {
  if (before !== undefined) throw new FramingError(`The header ${name} comes more than once.`);
  return value;
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before},${value}`;
}

function checkFraming(length: string | undefined, encoding: string | undefined): void {
  if (length !== undefined && !LENGTH.test(length)) {
    throw new FramingError('The header content-length is no number.');
  }
  if (encoding === undefined) return;
  if (length !== undefined) {
    throw new FramingError('A request has content-length or transfer-encoding, not both.');
  }
  if (encoding.toLowerCase() !== 'chunked') {
    throw new FramingError('The only transfer-encoding that is taken is chunked.');
  }
}

function checkMethod(method: string, upgrade: string | undefined): void {
  if (method === 'CONNECT') throw new FairleadError('upgradeRefused');
  if (method === 'TRACE' || !METHOD.test(method)) {
    throw new FairleadError(
      'methodNotAllowed',
      `The proxy does not pass on ${method.slice(0, 32)}.`,
    );
  }
  if (upgrade === undefined) return;
  // Clients offer HTTP/2 in this way and go on without it; other protocols they need.
  if (upgrade.split(',').some((each) => each.trim().toLowerCase() !== 'h2c')) {
    throw new FairleadError('upgradeRefused');
  }
}

export function tokensOf(connection: string): ReadonlySet<string> {
  return new Set(connection.split(',').map((each) => each.trim().toLowerCase()));
}

function tooLarge(bytes: number): FairleadError {
  const message = `The head of a request has at most ${LIMITS.proxyHeadBytes} bytes, received ${bytes}.`;
  return new FairleadError('headTooLarge', message);
}

function bad(message: string): FairleadError {
  return new FairleadError('badProxyRequest', message);
}
