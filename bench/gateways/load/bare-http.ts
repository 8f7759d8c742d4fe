/**
 * The other side of the HTTP rows: undici alone, in a process of its own. It sends requests with the
 * bytes of one that was seen before, only the numbers of the messages change.
 */
import { type Dispatcher, Pool } from 'undici';
import { answerParent } from '../child.ts';
import type { SeenRequest } from './http-server.ts';
import { markersOf, writeMarker } from './marker.ts';

/** `request` is the documented way with a promise; `dispatch` is what it is built on, the least there is. */
export type BareWay = 'request' | 'dispatch';

let pool: Pool | undefined;
let template: Template | undefined;
let inFlight = 0;

interface Template {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
  readonly markers: readonly number[];
}

/** The connection's own; undici writes them itself. */
const LEFT_OUT = new Set(['host', 'connection', 'content-length', 'transfer-encoding']);

export const questions = {
  /** @param leftOut names of further headers that are not sent */
  open(origin: string, sockets: number, request: SeenRequest, leftOut: readonly string[]): void {
    pool = new Pool(origin, { connections: sockets, pipelining: 1 });
    inFlight = sockets;
    const kept = request.headers.filter(([name]) => !LEFT_OUT.has(name) && !leftOut.includes(name));
    const body = Buffer.from(request.body);
    const headers = Object.fromEntries(kept);
    template = { path: request.path, headers, body, markers: markersOf(body) };
  },
  /** Sends messages 0…n-1, as many a request as the template has; resolves when all are answered. */
  async send(messages: number, way: BareWay): Promise<void> {
    let next = 0;
    const take = (): number | undefined => {
      const first = next;
      next += template?.markers.length ?? messages;
      return first < messages ? first : undefined;
    };
    const worker = way === 'request' ? byRequest : byDispatch;
    await Promise.all(Array.from({ length: inFlight }, () => worker(take)));
  },
};

export type BareHttpQuestions = typeof questions;

async function byRequest(take: () => number | undefined): Promise<void> {
  for (let first = take(); first !== undefined; first = take()) {
    const { statusCode, body } = await ready().pool.request(optionsOf(first));
    await body.dump();
    if (statusCode !== 200) throw new Error(`answered ${statusCode}`);
  }
}

function byDispatch(take: () => number | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (): void => {
      const first = take();
      if (first === undefined) resolve();
      else ready().pool.dispatch(optionsOf(first), handler);
    };
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => undefined,
      onResponseStart: (_, status) => {
        if (status !== 200) reject(new Error(`answered ${status}`));
      },
      onResponseData: () => undefined,
      onResponseEnd: next,
      onResponseError: (_, error) => reject(error),
    };
    next();
  });
}

function optionsOf(first: number) {
  const { path, headers, body, markers } = ready().template;
  const bytes = Buffer.from(body);
  for (const [at, marker] of markers.entries()) writeMarker(bytes, marker, first + at);
  return { path, method: 'POST' as const, headers, body: bytes };
}

function ready(): { pool: Pool; template: Template } {
  if (pool === undefined || template === undefined) throw new Error('not open');
  return { pool, template };
}

answerParent(questions);
