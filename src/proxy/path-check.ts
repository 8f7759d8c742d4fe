/**
 * Which paths are passed on. Routes are compared with the path as it came, and a backend may read it
 * otherwise: what two readers could take for different paths is refused. Pure.
 *
 * Refused always: what is not of RFC 3986's characters (so no fragment, no backslash, no byte outside
 * ASCII), and segments that a decoder takes for `.` or `..`, also with parameters (`..;x`) and behind
 * encoded slashes. Refused unless the route says otherwise: encoded slashes and empty segments.
 */
import { FairleadError } from '../errors.ts';

/** pchar and `/` of RFC 3986, 3.3. */
const CHARACTERS = /^\/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*$/;
/** The query takes `?` as well; those four are sent by browsers as they are. */
const QUERY = /^(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}|["[\]{}|^`<>\\%])*$/;
const MAY_BE_DOTS = /%2e|\./i;
const ENCODED_DOT = /%2e/gi;
const ENCODED_SLASH = /%2f|%5c/i;
const ENCODED_CONTROL = /%(?:0[0-9a-f]|1[0-9a-f]|7f)/i;
const SLASHES = /\/|%2f|%5c/i;
const DOTS = /^\.{1,2}(?:$|;)/;

/** @throws FairleadError badProxyRequest */
export function checkPath(path: string, query: string | undefined): void {
  if (!CHARACTERS.test(path)) throw bad('The path has characters that no path has.');
  if (query !== undefined && !QUERY.test(query)) {
    throw bad('The query has characters that no query has.');
  }
  if (path.includes('%') && ENCODED_CONTROL.test(path)) {
    throw bad('The path has control characters.');
  }
  if (!MAY_BE_DOTS.test(path)) return;
  for (const segment of path.split(SLASHES)) {
    if (DOTS.test(segment.replace(ENCODED_DOT, '.'))) throw bad('The path has dot segments.');
  }
}

/** For routes whose backends may take `%2f` for a slash. @throws FairleadError badProxyRequest */
export function checkSlashes(path: string): void {
  if (path.includes('%') && ENCODED_SLASH.test(path)) throw bad('The path has encoded slashes.');
  if (path.includes('//')) throw bad('The path has empty segments.');
}

function bad(message: string): FairleadError {
  return new FairleadError('badProxyRequest', message);
}
