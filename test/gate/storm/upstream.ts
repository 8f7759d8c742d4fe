/**
 * What stands behind the proxy, in a process of its own: it checks the body of every request, and answers
 * with one that follows from the request, or fails in the way that the request names. A request that names
 * none fails at random.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerParent } from '../../../bench/gateways/child.ts';
import { type Act, actOf, bodyOf, ID_HEADER, STUCK } from './storm-plan.ts';

const faults: string[] = [];
const FAULTS_MAX = 10;
/** Longer than the proxy waits. */
const STALL_MS = 10_000;
const DELAY_MS_MAX = 25;
const SMALL_BYTES = 1500;
const counts = { requests: 0, open: 0, openMax: 0 };
/** Answers that belong to another request: what the clients have to see. */
let mixedShare = 0;

function fault(text: string): void {
  if (faults.length < FAULTS_MAX) faults.push(text);
}

/** What hangs is left out: a tool counts it as no answer. */
function randomAct(): Act {
  const act = actOf(Math.floor(Math.random() * 1000));
  return STUCK.has(act) ? 'length' : act;
}

async function bodyIn(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://upstream');
  const number = (name: string): number => Number(url.searchParams.get(name));
  const asked = url.searchParams.get('act') as Act | null;
  const act = asked ?? randomAct();
  const id = number('id');
  const bytes = asked === null ? Math.floor(Math.random() * SMALL_BYTES) : number('bytes');
  if (act === 'early') {
    request.resume();
  } else {
    const body = await bodyIn(request);
    const sent = number('sent');
    if (!body.equals(bodyOf(id, sent))) fault(`the body of ${id} (${sent} bytes) is not its own`);
    if (request.headers[ID_HEADER] !== undefined && request.headers[ID_HEADER] !== `${id}`) {
      fault(`the headers of ${id} are not its own`);
    }
  }
  if (Math.random() < 0.5) await sleep(Math.random() * DELAY_MS_MAX);
  const of = Math.random() < mixedShare ? id + 1 : id;
  await answer(response, act, { id, body: bodyOf(of, bytes) });
}

type Way = (response: ServerResponse, body: Buffer) => Promise<void> | void;

/**
 * In pieces, with pauses. An empty one in one piece: its head says that all of it is there, so the next request
 * would come before the end of this one, and Node tells of no end of a request that was not begun.
 */
async function inPieces(response: ServerResponse, body: Buffer): Promise<void> {
  const pieces = body.length === 0 ? 1 : 1 + Math.floor(Math.random() * 4);
  for (let piece = 0; piece < pieces; piece += 1) {
    const at = (index: number): number => Math.floor((body.length * index) / pieces);
    response.write(body.subarray(at(piece), at(piece + 1)));
    if (piece + 1 < pieces) await sleep(Math.random() * 5);
  }
  response.end();
}

/** The head and half of the body, then the end by `how`. */
function half(response: ServerResponse, body: Buffer, how: () => void): void {
  response.setHeader('content-length', body.length + 1);
  response.write(body.subarray(0, body.length / 2), () => setTimeout(how, Math.random() * 5));
}

function raw(response: ServerResponse, text: string): void {
  response.socket?.end(text);
}

const WAYS: Readonly<Record<Act, Way>> = {
  length: (response, body) => {
    response.setHeader('content-length', body.length);
    return inPieces(response, body);
  },
  chunked: inPieces,
  untilClose: (response, body) => {
    response.useChunkedEncodingByDefault = false;
    response.setHeader('connection', 'close');
    return inPieces(response, body);
  },
  early: (response, body) => void response.setHeader('content-length', body.length).end(body),
  status500: (response) => void response.writeHead(500).end('no'),
  resetBeforeHead: ({ socket }) => void socket?.resetAndDestroy(),
  closeBeforeHead: ({ socket }) => void socket?.destroy(),
  resetAfterHead: (response, body) => {
    response.setHeader('content-length', body.length + 1).flushHeaders();
    setTimeout(() => response.socket?.resetAndDestroy(), Math.random() * 5);
  },
  resetInBody: (response, body) => half(response, body, () => response.socket?.resetAndDestroy()),
  shortBody: (response, body) => half(response, body, () => response.socket?.end()),
  badChunk: (response) =>
    raw(response, 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n!'),
  badHead: (response) => raw(response, 'HTTP/1.1 2x0 What\r\nno header\r\n\r\n'),
  silent: async (response) => {
    await sleep(STALL_MS);
    response.socket?.destroy();
  },
  stall: async (response, body) => {
    half(response, body, () => {});
    await sleep(STALL_MS);
    response.socket?.destroy();
  },
};

async function answer(
  response: ServerResponse,
  act: Act,
  { id, body }: { readonly id: number; readonly body: Buffer },
): Promise<void> {
  if (response.destroyed) return;
  response.setHeader(ID_HEADER, id);
  await WAYS[act](response, body);
}

export const questions = {
  /** @returns its port */
  async listen(mixed: number): Promise<number> {
    mixedShare = mixed;
    const server = createServer((request, response) => {
      counts.requests += 1;
      counts.open += 1;
      counts.openMax = Math.max(counts.openMax, counts.open);
      response.once('close', () => {
        counts.open -= 1;
      });
      // A request whose client has gone.
      serve(request, response).catch(() => response.destroy());
    });
    // Only the proxy ends connections: a kept one that this side closed might fail a request.
    Object.assign(server, { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 });
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code?.startsWith('HPE_') === true && error.code !== 'HPE_INVALID_EOF_STATE') {
        fault(`bytes that are no request: ${error.code}`);
      }
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve));
    return (server.address() as AddressInfo).port;
  },
  said: () => ({ ...counts, faults }),
};

export type UpstreamQuestions = typeof questions;

answerParent(questions);
