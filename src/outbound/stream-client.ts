/**
 * Requests to servers that the operator configured, with bodies that stream both ways: a request
 * goes out as its parts come, an answer is handed over as its parts arrive, and each side can make
 * the other wait. Its addresses are the operator's own, so no guard stands before them.
 *
 * It knows no time-outs beside that of connecting: who asks aborts. Nothing is sent twice, with one
 * exception: a request without a body and without effect that met a kept connection which was dead
 * already, before a byte of the answer, goes once more over a new one.
 */
import { Readable } from 'node:stream';
import { buildConnector, type Dispatcher } from 'undici';
import { type OutboundError, outboundErrorOf } from './outbound-error.ts';
import { type PoolNumbers, type Slot, SocketPool, type Waiter } from './socket-pool.ts';

export interface StreamRequest {
  /** `http://host:port` or `https://host:port`. */
  readonly origin: string;
  readonly method: string;
  /** Path and query as they are sent. */
  readonly target: string;
  /** Name, value, name, value …; no header of the connection itself, `host` replaces the origin's. */
  readonly headers: string[];
  /** All of it, or `stream`: what `write` and `finish` give. */
  readonly body: Uint8Array | 'stream' | undefined;
  /** Whether sending it twice does what sending it once does (RFC 9110, 9.2.2). */
  readonly idempotent: boolean;
}

/** Who takes the answer. After `end` or `failed` nothing is called any more. */
export interface StreamHandler {
  /** Headers as they came, in latin1: name, value, name, value … */
  head(status: number, headers: readonly string[]): void;
  /** The bytes stay as they are. False: no more before `resume`. */
  data(chunk: Uint8Array): boolean;
  end(): void;
  failed(error: OutboundError): void;
  /** A streamed body has room again. */
  room(): void;
}

export interface Exchange {
  /** Adds a part of a streamed body, whose bytes it keeps. False: wait for `room`. */
  write(chunk: Uint8Array): boolean;
  /** The streamed body is complete. */
  finish(): void;
  /** Goes on with an answer that `data` stopped. */
  resume(): void;
  /** Ends it wherever it is; its connection is closed, its handler hears nothing more. */
  abort(): void;
}

export interface StreamClientOptions {
  readonly connectTimeoutMs: number;
  readonly socketsMax: number;
  readonly socketsPerOriginMax: number;
  /** Certificates that are trusted, PEM; undefined: those of Node. */
  readonly ca?: readonly string[] | undefined;
}

export class StreamClient {
  readonly #pool: SocketPool;

  constructor({ connectTimeoutMs, socketsMax, socketsPerOriginMax, ca }: StreamClientOptions) {
    const connect = buildConnector({
      timeout: connectTimeoutMs,
      allowH2: false,
      ...(ca === undefined ? {} : { ca: [...ca] }),
    });
    this.#pool = new SocketPool({ connect, socketsMax, socketsPerOriginMax });
  }

  get numbers(): PoolNumbers {
    return this.#pool.numbers;
  }

  send(request: StreamRequest, handler: StreamHandler): Exchange {
    const call = new StreamCall(this.#pool, request, handler);
    this.#pool.acquire(request.origin, call);
    return call;
  }

  /** Ends every connection; requests under way fail as reset. */
  close(): Promise<void> {
    return this.#pool.close();
  }
}

/** Bytes of a streamed body that wait for its socket before `write` says no. */
const BODY_WAITING_BYTES = 64 * 1024;

/**
 * One request: `waiting` for a slot, `connecting`, `sent`, `answering`, `done` (the slot is given back).
 * It is the library's handler in its form without objects: headers come as they were read.
 */
class StreamCall implements Waiter, Exchange, Dispatcher.DispatchHandler {
  readonly #pool: SocketPool;
  readonly #request: StreamRequest;
  readonly #handler: StreamHandler;
  readonly #body: Readable | undefined;
  #slot: Slot | undefined;
  #isSent = false;
  #isAnswered = false;
  #isBodyComplete: boolean;
  #isRepeated = false;
  #isDone = false;
  #isNotModified = false;
  /** Over a connection that had carried a request before. */
  #isReused = false;
  #resume: (() => void) | undefined;

  constructor(pool: SocketPool, request: StreamRequest, handler: StreamHandler) {
    this.#pool = pool;
    this.#request = request;
    this.#handler = handler;
    this.#isBodyComplete = request.body !== 'stream';
    if (request.body === 'stream') this.#body = this.#open();
  }

  // The pool's side.

  start(slot: Slot): void {
    if (this.#isDone) {
      this.#pool.release(slot, true);
      return;
    }
    this.#slot = slot;
    const { target, method, headers, body } = this.#request;
    const content = body === 'stream' ? (this.#body ?? null) : (body ?? null);
    const options = { path: target, method: method as Dispatcher.HttpMethod, headers };
    slot.client.dispatch({ ...options, body: content }, this);
  }

  fail(error: OutboundError): void {
    this.#end(false);
    this.#handler.failed(error);
  }

  // The exchange.

  write(chunk: Uint8Array): boolean {
    return this.#isDone || (this.#body?.push(chunk) ?? true);
  }

  finish(): void {
    if (this.#isDone) return;
    this.#isBodyComplete = true;
    this.#body?.push(null);
  }

  resume(): void {
    this.#resume?.();
  }

  abort(): void {
    if (this.#isDone) return;
    if (this.#slot === undefined) this.#pool.cancel(this.#request.origin, this);
    this.#end(false);
  }

  // The library's side; it may still call after the end.

  onConnect(): void {
    this.#isSent = true;
    const slot = this.#slot;
    if (slot === undefined) return;
    this.#isReused = slot.carried > 0;
    slot.carried += 1;
  }

  onResponseStarted(): void {
    this.#isAnswered = true;
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void): boolean {
    if (this.#isDone) return false;
    // Interim answers end here: the listener has no way to pass them on.
    if (status < 200) return true;
    this.#isNotModified = status === 304;
    this.#resume = resume;
    this.#handler.head(
      status,
      headers.map((each) => each.toString('latin1')),
    );
    return true;
  }

  onData(chunk: Buffer): boolean {
    return this.#isDone ? false : this.#handler.data(chunk);
  }

  onComplete(): void {
    if (this.#isDone) return;
    // A backend that answers before it has read all leaves a connection nobody can use.
    this.#end(this.#isBodyComplete);
    this.#handler.end();
  }

  onError(error: Error): void {
    if (this.#isDone) return;
    if (this.#isNotModified && isLengthMismatch(error)) {
      this.#end(false);
      this.#handler.end();
      return;
    }
    if (this.#mayRepeat(error)) {
      this.#isRepeated = true;
      this.#isSent = false;
      const slot = this.#slot as Slot;
      // The client of this slot has lost its connection: it makes a new one.
      queueMicrotask(() => this.start(slot));
      return;
    }
    this.#end(false);
    this.#handler.failed(outboundErrorOf(error, this.#isSent));
  }

  #mayRepeat(error: Error): boolean {
    const { idempotent, body } = this.#request;
    if (!idempotent || body !== undefined || this.#isRepeated || this.#slot === undefined) {
      return false;
    }
    if (!this.#isSent || this.#isAnswered || !this.#isReused) return false;
    return outboundErrorOf(error, true).kind === 'reset' && !this.#slot.client.destroyed;
  }

  #open(): Readable {
    const body = new Readable({
      highWaterMark: BODY_WAITING_BYTES,
      read: () => {
        if (!this.#isDone) this.#handler.room();
      },
    });
    // It ends with its request; what went wrong comes as the request's own error.
    body.on('error', () => {});
    return body;
  }

  #end(reusable: boolean): void {
    this.#isDone = true;
    this.#resume = undefined;
    const slot = this.#slot;
    this.#slot = undefined;
    if (slot !== undefined) this.#pool.release(slot, reusable);
    if (!this.#isBodyComplete) this.#body?.destroy();
  }
}

/** A 304 may tell the length of what it does not bring (RFC 9110, 8.6); the library misses that body. */
function isLengthMismatch(error: Error & { readonly code?: string }): boolean {
  return error.code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH';
}
