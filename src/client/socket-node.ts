// The only importer of `ws`: loaded where the host has no WebSocket of its own (Node 20).
import type { WebSocketConstructor } from './socket.ts';

/** Returns the constructor of `ws`. @throws when it is not installed. */
export async function loadNodeWebSocket(): Promise<WebSocketConstructor> {
  const { WebSocket } = await import('ws');
  return WebSocket as unknown as WebSocketConstructor;
}
