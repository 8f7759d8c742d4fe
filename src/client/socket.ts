// Which WebSocket is used, and how the token travels with it.
import { SUBPROTOCOL } from '../protocol/kinds.ts';
import { FairleadClientError } from './error.ts';

/** The part of a WebSocket that the SDK needs; browsers, Node and `ws` all have it. */
export interface WebSocketLike {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: { message?: string }) => void) | null;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
  /** Only `ws` has it: ends the socket without the closing handshake. */
  terminate?(): void;
}

export interface WebSocketConstructor {
  new (url: string, protocols: string, options?: object): WebSocketLike;
  readonly prototype?: Partial<WebSocketLike>;
}

/** The one passed in, else the host's own, else `ws`. @throws FairleadClientError noWebSocket */
export async function findWebSocket(
  given: WebSocketConstructor | undefined,
): Promise<WebSocketConstructor> {
  if (given !== undefined) return given;
  const own = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (own !== undefined) return own;
  try {
    const { loadNodeWebSocket } = await import('./socket-node.ts');
    return await loadNodeWebSocket();
  } catch {
    throw new FairleadClientError('noWebSocket');
  }
}

/**
 * Opens a socket. `ws` takes headers, so the token goes into `Authorization`; other WebSockets do
 * not, so it goes into the query, as `access_token`.
 */
export function openSocket(
  WebSocket: WebSocketConstructor,
  url: string,
  token: string | undefined,
): WebSocketLike {
  const target = new URL(url);
  if (target.pathname === '/') target.pathname = '/v1/stream';
  target.protocol = target.protocol.replace(/^http/, 'ws');
  // Only the sockets of `ws` can be terminated.
  const takesHeaders = typeof WebSocket.prototype?.terminate === 'function';
  if (token !== undefined && !takesHeaders) target.searchParams.set('access_token', token);
  const socket = takesHeaders
    ? new WebSocket(target.href, SUBPROTOCOL, {
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        perMessageDeflate: false,
      })
    : new WebSocket(target.href, SUBPROTOCOL);
  socket.binaryType = 'arraybuffer';
  return socket;
}
