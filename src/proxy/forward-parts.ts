// What a request on its way is made of: what all share, and what is its own.
import type { Deadlines } from './deadlines.ts';
import type { Forward } from './forward.ts';
import type { Peer } from './forwarded.ts';
import { requestLines } from './header-rules.ts';
import type { BackendRequest, Backends, Gate, IncomingCall } from './ports.ts';
import type { ProxyCounts } from './proxy-counts.ts';
import type { RequestHead } from './request-head.ts';
import { type Backend, type ProxyRoute, targetOf } from './route.ts';

/** What all requests share. */
export interface ForwardShared {
  readonly gate: Gate;
  readonly backends: Backends;
  /** All requests that have not ended. */
  readonly deadlines: Deadlines<Forward>;
  readonly counts: ProxyCounts;
  readonly nowMs: () => number;
  /** A fault of ours; the request is answered as internal. */
  readonly onFault: (error: unknown, requestId: string) => void;
}

export interface ForwardRequest {
  readonly call: IncomingCall;
  readonly route: ProxyRoute;
  readonly head: RequestHead;
  readonly peer: Peer;
  readonly requestId: string;
}

/** Methods that do once what they do twice (RFC 9110, 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/** The request as a backend gets it. */
export function backendRequest(
  { call, route, head, peer, requestId }: ForwardRequest,
  backend: Backend,
  body: BackendRequest['body'],
): BackendRequest {
  const { tenantFrom, preserveHost } = route;
  return {
    origin: backend.origin,
    method: call.method,
    target: targetOf(route, backend, call),
    host: preserveHost ? head.host : undefined,
    lines: requestLines({
      call,
      head,
      peer,
      requestId,
      tenantHeader: tenantFrom.kind === 'header' ? tenantFrom.name : undefined,
    }),
    body,
    length: head.contentLength,
    idempotent: IDEMPOTENT.has(call.method),
  };
}
