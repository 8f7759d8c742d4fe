// A real HTTP server for tests of outgoing requests, and clients that may reach it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { OutboundClient, type OutboundClientOptions } from '../../src/outbound/outbound-client.ts';

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface HttpPeer {
  readonly port: number;
  readonly url: string;
  readonly received: Received[];
  /** Connections made since the start. */
  readonly connections: () => number;
  readonly close: () => Promise<void>;
}

export type Answer = (response: ServerResponse, request: Received) => void;

export async function httpPeer(
  answer: Answer = (response) => response.end('ok'),
  { host = '127.0.0.1', port = 0 } = {},
): Promise<HttpPeer> {
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const whole = { method, url, headers, body: Buffer.concat(chunks).toString() };
      received.push(whole);
      answer(response, whole);
    });
  });
  server.on('connection', (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    port: taken,
    url: `http://${shown}:${taken}`,
    received,
    connections: () => connections,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** A client that may reach this machine. */
export function localClient(options: Partial<OutboundClientOptions> = {}): OutboundClient {
  return new OutboundClient({
    allow: ['127.0.0.0/8', '::1'],
    allowHttp: true,
    connectTimeoutMs: 1_000,
    ...options,
  });
}
