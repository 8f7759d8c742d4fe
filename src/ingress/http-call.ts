/**
 * One HTTP request as the network library gives it: copies what is only valid inside the handler,
 * gathers the body, and sends exactly one answer, or none when the client has gone.
 *
 * States: open → answered | aborted. Past open nothing touches the response any more.
 */

import type uWS from 'uWebSockets.js';
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import { FairleadError } from '../errors.ts';
import { BOUNDS } from './bounds.ts';
import type { BasicCredentials, HttpReply } from './http-router.ts';

const requestIdPattern = new RegExp(`^[A-Za-z0-9._-]{1,${BOUNDS.requestIdBytes}}$`);
const bearerPattern = /^bearer +([^ ]+) *$/i;
const basicPattern = /^basic +([A-Za-z0-9+/]+=*) *$/i;

/** Bytes of bodies held for all calls; shared by the calls of one server. */
export interface BodyBudget {
  heldBytes: number;
}

/** The client went away before its request was complete: there is nobody to answer. */
export class ClientGone extends Error {}

export class HttpCall {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: ReadonlyMap<string, string>;
  readonly requestId: string;
  readonly remoteAddress: string;
  readonly #response: uWS.HttpResponse;
  #open = true;
  #onAborted: (() => void) | undefined;
  #onGone: (() => void) | undefined;

  constructor(response: uWS.HttpResponse, request: uWS.HttpRequest) {
    this.#response = response;
    this.remoteAddress = Buffer.from(response.getRemoteAddressAsText()).toString();
    response.onAborted(() => {
      this.#open = false;
      this.#onAborted?.();
      this.#onGone?.();
    });
    const headers = new Map<string, string>();
    request.forEach((name, value) => {
      headers.set(name, value);
    });
    this.headers = headers;
    this.method = request.getMethod().toUpperCase();
    this.path = request.getUrl();
    this.query = new URLSearchParams(request.getQuery() ?? '');
    const given = headers.get('x-request-id') ?? '';
    this.requestId = requestIdPattern.test(given) ? given : randomUUID();
  }

  /** False once it is answered or the client has gone. */
  get open(): boolean {
    return this.#open;
  }

  /** Calls it once if the client goes away before it is answered; undefined: no longer. */
  onGone(listener: (() => void) | undefined): void {
    this.#onGone = listener;
    if (!this.#open) listener?.();
  }

  /** The bearer token; throws tokenMissing. */
  token(): string {
    const token = bearerPattern.exec(this.headers.get('authorization') ?? '')?.[1];
    if (token === undefined) throw new FairleadError('tokenMissing');
    return token;
  }

  /** User and password; throws tokenMissing. */
  credentials(): BasicCredentials {
    const encoded = basicPattern.exec(this.headers.get('authorization') ?? '')?.[1];
    const text = Buffer.from(encoded ?? '', 'base64').toString();
    const colon = text.indexOf(':');
    if (colon < 0) throw new FairleadError('tokenMissing', 'Basic credentials are required.');
    return { user: text.slice(0, colon), password: text.slice(colon + 1) };
  }

  /**
   * Gathers the body. Call it before the first await, or the bytes are lost. Rejects with
   * bodyTooLarge past `bytesMax`, with overloaded when all bodies together are too many, and with
   * ClientGone.
   */
  body(bytesMax: number, budget: BodyBudget): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      let held = new Uint8Array(0);
      let length = 0;
      let done = false;
      const end = (): void => {
        done = true;
        budget.heldBytes -= held.byteLength;
        this.#onAborted = undefined;
      };
      this.#onAborted = () => {
        end();
        reject(new ClientGone());
      };
      this.#response.onData((chunk, isLast) => {
        if (done) return;
        const need = length + chunk.byteLength;
        if (need > bytesMax) {
          end();
          reject(
            new FairleadError('bodyTooLarge', `A request body has at most ${bytesMax} bytes.`),
          );
          return;
        }
        if (need > held.byteLength) {
          const room = Math.min(bytesMax, Math.max(need, 2 * held.byteLength));
          budget.heldBytes += room - held.byteLength;
          const grown = new Uint8Array(room);
          grown.set(held);
          held = grown;
        }
        held.set(new Uint8Array(chunk), length);
        length = need;
        if (budget.heldBytes > BOUNDS.bodiesBytes) {
          end();
          reject(overloaded('All request bodies together are too large.'));
        } else if (isLast) {
          end();
          resolve(held.subarray(0, length));
        }
      });
    });
  }

  /** Sends the answer, unless the client has gone. `close` also ends the connection. */
  reply({ status, body, text, headers }: HttpReply, close = false): void {
    if (!this.#open) return;
    const content = text ?? (body === undefined ? '' : `${JSON.stringify(body)}\n`);
    this.#open = false;
    this.#response.cork(() => {
      const response = this.#response;
      response.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Unknown'}`);
      response.writeHeader('x-request-id', this.requestId);
      if (body !== undefined) response.writeHeader('content-type', 'application/json');
      for (const [name, value] of Object.entries(headers ?? {})) response.writeHeader(name, value);
      const bytes = Buffer.byteLength(content);
      if (this.method !== 'HEAD') {
        response.end(content, close);
      } else if (close) {
        response.endWithoutBody(bytes, true);
      } else {
        // With the length as its argument the library would wait for that many bytes.
        response.writeHeader('content-length', String(bytes));
        response.endWithoutBody();
      }
    });
  }

  /**
   * Sends `{code, message, status, details}`, or what `replyOf` makes of the error, and the headers
   * that belong to the status.
   */
  refuse(
    error: FairleadError,
    extra: Readonly<Record<string, string>> = {},
    replyOf: (error: FairleadError) => HttpReply = jsonReplyOf,
  ): void {
    const headers: Record<string, string> = { ...extra };
    const retryAfterMs = error.details?.retryAfterMs;
    if (typeof retryAfterMs === 'number') headers['retry-after'] = `${retryAfterSec(retryAfterMs)}`;
    const reply = replyOf(error);
    const close = error.error === 'bodyTooLarge' || error.error === 'overloaded';
    this.reply({ ...reply, headers: { ...headers, ...reply.headers } }, close);
  }
}

function jsonReplyOf({ code, message, status, details }: FairleadError): HttpReply {
  const headers = status === 401 ? { 'www-authenticate': 'Bearer' } : {};
  return { status, body: { code, message, status, details: details ?? null }, headers };
}

/** Whole seconds, as the header wants; at least one. */
function retryAfterSec(retryAfterMs: number): number {
  return Math.max(1, Math.ceil(retryAfterMs / 1000));
}

export function overloaded(message: string): FairleadError {
  return new FairleadError('overloaded', message, { retryAfterMs: BOUNDS.retryAfterMs });
}
