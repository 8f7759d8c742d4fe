// A backend that reads requests byte by byte, as strictly as RFC 9112 can be read, and keeps what it got.

import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';

export interface RawRequest {
  readonly method: string;
  readonly target: string;
  /** Name as it came, value. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

export interface RawBackend {
  readonly url: string;
  readonly port: number;
  readonly requests: RawRequest[];
  /** Bytes that are no request. */
  readonly faults: string[];
  readonly sockets: Set<Socket>;
  /** Connections made since the start. */
  connections: number;
  close(): Promise<void>;
}

/** What to do with a request; an answer by default. */
export type OnRequest = (socket: Socket, request: RawRequest, index: number) => void;

export const plainAnswer: OnRequest = (socket) => {
  socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-From: backend\r\n\r\nok');
};

export async function rawBackend(t: Test, onRequest: OnRequest = plainAnswer): Promise<RawBackend> {
  const requests: RawRequest[] = [];
  const faults: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    backend.connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let rest = '';
    socket.on('data', (chunk) => {
      rest += chunk.toString('latin1');
      for (;;) {
        const read = readRequest(rest);
        if (read === undefined) return;
        if (typeof read === 'string') {
          faults.push(read);
          socket.destroy();
          return;
        }
        rest = rest.slice(read.bytes);
        requests.push(read.request);
        onRequest(socket, read.request, requests.length - 1);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => resolve());
    });
  const url = `http://127.0.0.1:${port}`;
  const backend: RawBackend = { url, port, requests, faults, sockets, connections: 0, close };
  t.teardown(close);
  return backend;
}

type Read = { readonly request: RawRequest; readonly bytes: number } | string | undefined;

const LINE = /^([A-Z-]+) (\/[!-~]*) HTTP\/1\.1$/;
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)$/;

/** A request at the beginning of the text; what is wrong with it; or undefined while it is not all there. */
function readRequest(text: string): Read {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const [, method, target] = LINE.exec(first) ?? [];
  if (method === undefined || target === undefined) return `line ${JSON.stringify(first)}`;
  const headers: [string, string][] = [];
  for (const line of lines) {
    const [, name, value] = HEADER.exec(line) ?? [];
    if (name === undefined || value === undefined) return `header ${JSON.stringify(line)}`;
    headers.push([name, value]);
  }
  const all = (name: string): string[] =>
    headers.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
  const [lengths, encodings] = [all('content-length'), all('transfer-encoding')];
  if (all('host').length !== 1) return 'not one host';
  if (lengths.length + encodings.length > 1) return 'two framings';
  const start = end + 4;
  const done = (body: string, bytes: number): Read => ({
    request: { method, target, headers, body },
    bytes,
  });
  if (lengths[0] !== undefined) {
    if (!/^\d+$/.test(lengths[0])) return `length ${lengths[0]}`;
    const length = Number(lengths[0]);
    if (text.length < start + length) return undefined;
    return done(text.slice(start, start + length), start + length);
  }
  if (encodings[0] === undefined) return done('', start);
  if (encodings[0] !== 'chunked') return `encoding ${encodings[0]}`;
  return readChunks(text, start, done);
}

function readChunks(
  text: string,
  start: number,
  done: (body: string, bytes: number) => Read,
): Read {
  let at = start;
  let body = '';
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = text.slice(at, lineEnd);
    if (!/^[0-9a-fA-F]{1,8}$/.test(size)) return `chunk ${JSON.stringify(size)}`;
    const bytes = Number.parseInt(size, 16);
    const next = lineEnd + 2 + bytes;
    if (text.length < next + 2) return undefined;
    if (text.slice(next, next + 2) !== '\r\n') return 'chunk without an end';
    if (bytes === 0) return done(body, next + 2);
    body += text.slice(lineEnd + 2, next);
    at = next + 2;
  }
}

export const headerOf = ({ headers }: RawRequest, name: string): string | undefined =>
  headers.find(([each]) => each.toLowerCase() === name)?.[1];
