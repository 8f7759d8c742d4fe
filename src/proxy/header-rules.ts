/**
 * Which headers pass, in both directions. Those of one connection stay there (RFC 9110, 7.6.1), also
 * those that `Connection` names; what the proxy says itself is not taken from others. Pure.
 */
import { LIMITS } from '../limits.ts';
import { addForwarded, type Peer, type SaidByFront } from './forwarded.ts';
import type { Counts, IncomingCall } from './ports.ts';
import { type RequestHead, tokensOf } from './request-head.ts';

/** The name that the proxy has in `Via`. */
const VIA = '1.1 fairlead';

/** They belong to one connection, or the next one makes its own. */
const OF_CONNECTION = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'content-length',
]);
const OWN_IN_REQUEST = new Set(['host', 'expect', 'x-request-id']);
/** Said by fronts; with underscores too, which some servers take for the same. */
const OF_FRONTS = /^(?:forwarded|x[-_]forwarded(?:[-_].*)?|x[-_]real[-_]ip)$/;
/** `pass`, or why not. */
type Kind = 'pass' | 'own' | 'front' | 'underscore';

/** Names seen before, so that each is looked at once; bounded, because clients choose them. */
const kinds = new Map<string, Kind>();

function kindOf(name: string): Kind {
  let kind = kinds.get(name);
  if (kind !== undefined) return kind;
  if (OF_CONNECTION.has(name) || OWN_IN_REQUEST.has(name)) kind = 'own';
  else if (OF_FRONTS.test(name)) kind = 'front';
  else kind = name.includes('_') ? 'underscore' : 'pass';
  if (kinds.size >= LIMITS.proxyHeaderNames) kinds.clear();
  kinds.set(name, kind);
  return kind;
}

/** The listener writes a date of its own. */
const OWN_IN_ANSWER = new Set([
  'date',
  'x-request-id',
  'concurrent-requests',
  'concurrent-requests-limit',
  'concurrent-requests-remaining',
  'concurrent-requests-position',
  'concurrent-requests-estimate',
]);
export interface PassedOn {
  readonly call: IncomingCall;
  readonly head: RequestHead;
  readonly peer: Peer;
  readonly requestId: string;
  readonly preserveHost: boolean;
  /** The header in which a front names the tenant. */
  readonly tenantHeader: string | undefined;
  /** A body whose length is known and that streams. */
  readonly streamLength: number | undefined;
}

/** The headers that the backend gets: name, value, name, value … */
export function requestHeaders({
  call,
  head,
  peer,
  requestId,
  preserveHost,
  tenantHeader,
  streamLength,
}: PassedOn): string[] {
  const { headers } = call;
  const passed: string[] = [];
  const hasPerConnection = head.perConnection.size > 0;
  const said: Record<string, string> = {};
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    const kind = kindOf(name);
    if (kind === 'own' || (hasPerConnection && head.perConnection.has(name))) continue;
    // With an underscore it is another name here, but the same for servers that make variables of names.
    if (kind === 'underscore' && name.replaceAll('_', '-') === tenantHeader) continue;
    if (kind === 'front') {
      if (!peer.isTrusted) continue;
      const saidBefore = said[name];
      said[name] = saidBefore === undefined ? value : `${saidBefore}, ${value}`;
      if (SAID_AGAIN.has(name)) continue;
    }
    passed.push(name, value);
  }
  if (preserveHost) passed.push('host', head.host);
  if (streamLength !== undefined) passed.push('content-length', `${streamLength}`);
  addForwarded(passed, {
    peer,
    host: head.host,
    isSecure: call.isSecure,
    said: peer.isTrusted ? saidOf(said) : undefined,
  });
  passed.push('x-request-id', requestId, 'via', VIA);
  return passed;
}

/** These four the proxy writes itself, from what the front said. */
const SAID_AGAIN = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);

function saidOf(said: Readonly<Record<string, string>>): SaidByFront {
  return {
    forwarded: said.forwarded,
    for: said['x-forwarded-for'],
    proto: said['x-forwarded-proto'],
    host: said['x-forwarded-host'],
  };
}

export interface AnswerHead {
  readonly headers: string[];
  /** Bytes of the body; undefined where the backend did not say. */
  readonly length: number | undefined;
}

/** The headers that the client gets, before those of the proxy. Undefined: the head is none. */
export function answerHead(headers: readonly string[]): AnswerHead | undefined {
  let length: number | undefined;
  let connection: string | undefined;
  const passed: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    if (CONTROL.test(value)) return undefined;
    const lower = name.toLowerCase();
    if (lower === 'content-length') {
      if (!/^\d{1,15}$/.test(value)) return undefined;
      length = Number(value);
    } else if (lower === 'connection') {
      connection = connection === undefined ? value : `${connection},${value}`;
    } else if (!OF_CONNECTION.has(lower) && !OWN_IN_ANSWER.has(lower)) {
      passed.push(name, value);
    }
  }
  return { headers: connection === undefined ? passed : without(passed, connection), length };
}

const CONTROL = /[^\t\x20-\x7e\x80-\xff]/;

/** Without the headers that `Connection` names. */
function without(headers: string[], connection: string): string[] {
  if (connection === 'keep-alive' || connection === 'close') return headers;
  const names = tokensOf(connection);
  return headers.filter((_, index) => !names.has((headers[index & ~1] as string).toLowerCase()));
}

/** Adds what every answer says once the gate was asked. */
export function countHeaders(
  headers: string[],
  { used, limit }: Counts,
  waited: { readonly position: number; readonly estimateMs: number } | undefined,
): string[] {
  headers.push('concurrent-requests', `${used}`);
  if (limit !== undefined) {
    headers.push('concurrent-requests-limit', `${limit}`);
    headers.push('concurrent-requests-remaining', `${Math.max(0, limit - used)}`);
  }
  if (waited === undefined) return headers;
  headers.push('concurrent-requests-position', `${waited.position}`);
  headers.push('concurrent-requests-estimate', `${Math.ceil(waited.estimateMs)}`);
  return headers;
}
