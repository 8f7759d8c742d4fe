/**
 * Ten thousand endpoints in one process: it listens on every address of the host, answers at once, and
 * tells how long after it was due each item arrived. Endpoints that hang take the request and keep quiet.
 */
import uWS from 'uWebSockets.js';
import { encodeHistogram, newHistogram } from '../../load/latency.ts';
import { answerParent } from '../child.ts';
import { endpointOf, isHanging, readItemBody, sharedNowUs } from './endpoint-hosts.ts';

export interface EndpointRound {
  readonly endpoints: number;
  /** Left out of the figures in every round… */
  readonly hanging: number;
  /** …and without an answer only in some. */
  readonly doHang: boolean;
  /** Items from `first` to before `end` are measured. */
  readonly first: number;
  readonly end: number;
}

export interface EndpointResult {
  /** Items measured, each once. */
  readonly arrived: number;
  readonly latency: string;
  /** Requests without an answer, most at one time. */
  readonly heldMax: number;
  /** Of all endpoints, also those that hang. */
  readonly requests: number;
}

let round: EndpointRound | undefined;
let seen = new Uint8Array(0);
let latency = newHistogram();
let held = 0;
let heldMax = 0;
let arrived = 0;
let requests = 0;
let fault: string | undefined;

export const questions = {
  async listen(): Promise<number> {
    const app = uWS.App().any('/*', handle);
    return await new Promise((resolve, reject) => {
      app.listen('0.0.0.0', 0, (socket) => {
        if (socket) resolve(uWS.us_socket_local_port(socket));
        else reject(new Error('the server got no port'));
      });
    });
  },
  expect(next: EndpointRound): void {
    round = next;
    seen = new Uint8Array(next.end);
    latency = newHistogram();
    [held, heldMax, arrived, requests, fault] = [0, 0, 0, 0, undefined];
  },
  /** How many of the measured have come. */
  arrived: () => arrived,
  /** @throws Error when an item came twice */
  result(): EndpointResult {
    if (fault !== undefined) throw new Error(fault);
    return { arrived, latency: encodeHistogram(latency), heldMax, requests };
  },
};

export type EndpointServerQuestions = typeof questions;

function handle(response: uWS.HttpResponse, request: uWS.HttpRequest): void {
  const host = request.getHeader('host').split(':')[0] as string;
  const nowUs = sharedNowUs();
  let text = '';
  let hangs = false;
  response.onAborted(() => {
    if (hangs) held -= 1;
  });
  response.onData((chunk, isLast) => {
    text += Buffer.from(chunk).toString('latin1');
    if (!isLast || round === undefined) return;
    requests += 1;
    const endpoint = endpointOf(host);
    const { endpoints, hanging, doHang } = round;
    const isApart = isHanging(endpoint, endpoints, hanging);
    hangs = isApart && doHang;
    if (hangs) {
      held += 1;
      heldMax = Math.max(heldMax, held);
      return;
    }
    if (!isApart) take(text, nowUs, round);
    response.end();
  });
}

function take(text: string, nowUs: number, { first, end }: EndpointRound): void {
  const { item, dueUs } = readItemBody(text);
  if (item < first || item >= end) return;
  if (seen[item] === 1) fault ??= `item ${item} came twice`;
  seen[item] = 1;
  arrived += 1;
  latency.recordValue(Math.max(1, nowUs - dueUs));
}

answerParent(questions);
