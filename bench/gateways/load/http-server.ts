/**
 * The HTTP server that all senders are measured against, in a process of its own and as cheap as can
 * be: it finds the numbers of the messages and answers 200 without a body.
 *
 * Paths that begin with `/callbacks` get status callbacks, one a status of a message, and count where a
 * round is one of callbacks; any other path gets messages, and counts where it is one of messages.
 */
import uWS from 'uWebSockets.js';
import { answerParent } from '../child.ts';
import { MARKER_BYTES, nextMarker, readMarker } from './marker.ts';
import { Round, type RoundResult } from './round.ts';
import { callbackText, StatusOrder } from './status-order.ts';

/** A request as it came, to be sent again. */
export interface SeenRequest {
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

let round: Round | undefined;
/** Of a round of callbacks. */
let order: StatusOrder | undefined;
let isLooking = false;
let largest: SeenRequest | undefined;

export const questions = {
  listen,
  /** Begins a round of so many messages, numbered from 0. */
  expect(messages: number, senderPid: number): void {
    round = new Round(messages, senderPid);
    order = undefined;
  },
  /** Begins a round of callbacks: each message has these statuses, in this order. */
  expectCallbacks(messages: number, statuses: readonly string[], senderPid: number): void {
    round = new Round(messages * statuses.length, senderPid);
    order = new StatusOrder(messages, statuses);
  },
  /** Messages, or callbacks, that came so far. */
  arrived: (): number => round?.log.arrived ?? 0,
  /** Resolves when all have come. */
  async result(): Promise<RoundResult> {
    if (round === undefined) throw new Error('no round');
    return await round.result();
  },
  /** From now on the largest request is kept. */
  look(): void {
    isLooking = true;
    largest = undefined;
  },
  /** The largest request since. */
  seen(): SeenRequest {
    if (largest === undefined) throw new Error('no request came');
    isLooking = false;
    return largest;
  },
};

export type HttpServerQuestions = typeof questions;

async function listen(): Promise<number> {
  const app = uWS.App().any('/*', handle);
  return await new Promise((resolve, reject) => {
    app.listen('127.0.0.1', 0, (socket) => {
      if (socket) resolve(uWS.us_socket_local_port(socket));
      else reject(new Error('the server got no port'));
    });
  });
}

function handle(response: uWS.HttpResponse, request: uWS.HttpRequest): void {
  const head = isLooking ? headOf(request) : undefined;
  const isCallback = request.getUrl().startsWith('/callbacks');
  const number = isCallback && order !== undefined ? request.getQuery('n') : undefined;
  // A body may come in pieces, and the bytes are valid during the call only.
  let start: Buffer | undefined;
  response.onAborted(() => round?.log.fail('a request was given up'));
  response.onData((chunk, isLast) => {
    let body = Buffer.from(chunk);
    if (start !== undefined) body = Buffer.concat([start, body]);
    if (!isLast) {
      start = start === undefined ? Buffer.from(body) : body;
      return;
    }
    if (head !== undefined && body.length > (largest?.body.length ?? -1)) {
      largest = { ...head, body: Uint8Array.from(body) };
    }
    if (order === undefined) takeMessages(body);
    else if (number !== undefined) takeCallback(order, Number(number), body);
    response.end();
  });
}

function takeMessages(body: Buffer): void {
  if (round === undefined) return;
  round.requests += 1;
  let at = nextMarker(body, 0);
  if (at === -1) round.log.fail(`a request without a message: ${body.toString('latin1')}`);
  while (at !== -1) {
    round.log.take(readMarker(body, at));
    at = nextMarker(body, at + MARKER_BYTES);
  }
}

function takeCallback(statuses: StatusOrder, message: number, body: Buffer): void {
  if (round === undefined) return;
  round.requests += 1;
  const next = statuses.take(message, callbackText(body));
  if (typeof next === 'string') round.log.fail(next);
  else round.log.take(next);
}

function headOf(request: uWS.HttpRequest): Omit<SeenRequest, 'body'> {
  const headers: [string, string][] = [];
  request.forEach((name, value) => {
    headers.push([name, value]);
  });
  const query = request.getQuery();
  return { path: request.getUrl() + (query === '' ? '' : `?${query}`), headers };
}

answerParent(questions);
