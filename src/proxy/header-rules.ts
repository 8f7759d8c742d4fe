/**
 * Which headers pass, in both directions. Those of one connection stay there (RFC 9110, 7.6.1), also
 * those that `Connection` names; what the proxy says itself is not taken from others. Pure.
 */
import { LIMITS } from '../limits.ts';
import { forwardedLines, type Peer, type SaidByFront } from './forwarded.ts';
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
  /** The header in which a front names the tenant. */
  readonly tenantHeader: string | undefined;
}

/** The headers that the backend gets, as lines with their ends; without host and framing. */
export function requestLines({ call, head, peer, requestId, tenantHeader }: PassedOn): string {
  const { headers } = call;
  let lines = '';
  const hasPerConnection = head.perConnection.size > 0;
  let said: Record<string, string> | undefined;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    const kind = kindOf(name);
    if (kind === 'own' || (hasPerConnection && head.perConnection.has(name))) continue;
    // With an underscore it is another name here, but the same for servers that make variables of names.
    if (kind === 'underscore' && name.replaceAll('_', '-') === tenantHeader) continue;
    if (kind === 'front') {
      if (!peer.isTrusted) continue;
      said ??= {};
      const saidBefore = said[name];
      said[name] = saidBefore === undefined ? value : `${saidBefore}, ${value}`;
      if (SAID_AGAIN.has(name)) continue;
    }
    lines += `${name}: ${value}\r\n`;
  }
  const forwarded = forwardedLines({
    peer,
    host: head.host,
    isSecure: call.isSecure,
    said: said === undefined ? undefined : saidOf(said),
  });
  return `${lines}${forwarded}x-request-id: ${requestId}\r\nvia: ${VIA}\r\n`;
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

/** Which headers of answers pass: those seen before, bounded, because backends choose them. */
const answerKinds = new Map<string, 'pass' | 'own' | 'connection'>();

function answerKindOf(name: string): 'pass' | 'own' | 'connection' {
  let kind = answerKinds.get(name);
  if (kind !== undefined) return kind;
  const lower = name.toLowerCase();
  if (lower === 'connection') kind = 'connection';
  else kind = OF_CONNECTION.has(lower) || OWN_IN_ANSWER.has(lower) ? 'own' : 'pass';
  if (answerKinds.size >= LIMITS.proxyHeaderNames) answerKinds.clear();
  answerKinds.set(name, kind);
  return kind;
}

/** The headers that the client gets, before those of the proxy. */
export function answerHeaders(headers: readonly string[]): string[] {
  let connection: string | undefined;
  const passed: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    const kind = answerKindOf(name);
    if (kind === 'pass') passed.push(name, value);
    else if (kind === 'connection') {
      connection = connection === undefined ? value : `${connection},${value}`;
    }
  }
  return connection === undefined ? passed : without(passed, connection);
}

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
