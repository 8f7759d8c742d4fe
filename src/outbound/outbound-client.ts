/**
 * Outgoing HTTP requests to addresses that tenants choose: one request, one answer, bounded in time
 * and bytes.
 *
 * Redirects are answers, cookies are unknown, answers come uncompressed. Every connection goes
 * through the guard (guarded-connector.ts). Nothing is sent twice here: whoever sends again knows
 * from `sentMaybe` whether the peer may have the first one.
 */
import { Client, type Dispatcher } from 'undici';
import { LIMITS } from '../limits.ts';
import { AddressGuard, type GuardOptions } from './address-guard.ts';
import { guardedConnector } from './guarded-connector.ts';
import { OutboundError, outboundErrorOf } from './outbound-error.ts';
import { checkHeaders, OWN_HEADERS } from './request-headers.ts';
import { createResolver, type Resolve } from './resolver.ts';
import { type PoolNumbers, type Slot, SocketPool, type Waiter } from './socket-pool.ts';

export interface OutboundRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | undefined;
  /** For everything: a free socket, connecting, sending, the answer. */
  readonly timeoutMs: number;
  /** Bytes of the answer's body that are kept; the rest is dropped. 0 unless given. */
  readonly answerBytesMax?: number;
  /** False: the answer is there with its head, and its body is dropped. True unless given. */
  readonly expectBody?: boolean;
}

export interface OutboundAnswer {
  readonly status: number;
  /** Names in lower case; a list where a name came more than once. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
  /** From `send` to the answer, in ms. */
  readonly ms: number;
}

export interface OutboundClientOptions extends GuardOptions {
  readonly connectTimeoutMs: number;
  /** Certificates that are trusted, PEM; undefined: those of Node. */
  readonly ca?: readonly string[] | undefined;
  /** How names are resolved; tests pass their own. */
  readonly resolve?: Resolve | undefined;
  readonly socketsMax?: number;
  readonly socketsPerOriginMax?: number;
}

export interface OutboundNumbers extends PoolNumbers {
  /** Requests that were sent or tried, since the start. */
  readonly requests: number;
  readonly failed: number;
  readonly blocked: number;
}

export class OutboundClient {
  readonly guard: AddressGuard;
  readonly #pool: SocketPool<Client>;
  readonly #targets = new Map<string, Target>();
  #requests = 0;
  #failed = 0;
  #blocked = 0;

  /** @throws Error when the allow list has an entry that is none */
  constructor(options: OutboundClientOptions) {
    const { connectTimeoutMs, ca, socketsMax, socketsPerOriginMax } = options;
    const guard = new AddressGuard(options);
    const resolve = options.resolve ?? createResolver({ isNamed: (host) => guard.isNamed(host) });
    this.guard = guard;
    this.#pool = new SocketPool({
      open: opener(guardedConnector({ guard, resolve, connectTimeoutMs, ca })),
      ...(socketsMax === undefined ? {} : { socketsMax }),
      ...(socketsPerOriginMax === undefined ? {} : { socketsPerOriginMax }),
    });
  }

  get numbers(): OutboundNumbers {
    return {
      ...this.#pool.numbers,
      requests: this.#requests,
      failed: this.#failed,
      blocked: this.#blocked,
    };
  }

  /** @throws OutboundError when there is no answer */
  async send(request: OutboundRequest): Promise<OutboundAnswer> {
    this.#requests += 1;
    try {
      const target = this.#targetOf(request.url);
      checkHeaders(request.headers ?? {});
      return await new Promise<OutboundAnswer>((resolve, reject) => {
        new Call({ pool: this.#pool, target, request, resolve, reject }).begin();
      });
    } catch (error) {
      this.#failed += 1;
      if (error instanceof OutboundError && error.kind === 'blocked') this.#blocked += 1;
      throw error;
    }
  }

  /** Ends every connection; requests under way end as reset. */
  close(): Promise<void> {
    return this.#pool.close();
  }

  /** The last URLs are remembered, so that one is taken apart and checked once. */
  #targetOf(url: string): Target {
    let target = this.#targets.get(url);
    if (target === undefined) {
      const { origin, pathname, search } = this.guard.checkUrl(url);
      target = { origin, path: `${pathname}${search}` };
      if (this.#targets.size >= LIMITS.outboundUrls) this.#targets.clear();
      this.#targets.set(url, target);
    }
    return target;
  }
}

/** Makes clients of one connection and one request at a time. */
function opener(connect: NonNullable<Client.Options['connect']>) {
  return (origin: string, lost: () => void): Client => {
    const client = new Client(origin, {
      connect,
      pipelining: 1,
      // The request's own timer ends it.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: LIMITS.outboundIdleMs,
      keepAliveMaxTimeout: LIMITS.outboundIdleMsMax,
      maxHeaderSize: LIMITS.outboundHeadBytes,
    });
    client.on('disconnect', lost);
    return client;
  };
}

/** A URL that was checked. */
interface Target {
  readonly origin: string;
  /** With its query. */
  readonly path: string;
}

interface CallOptions {
  readonly pool: SocketPool<Client>;
  readonly target: Target;
  readonly request: OutboundRequest;
  readonly resolve: (answer: OutboundAnswer) => void;
  readonly reject: (error: OutboundError) => void;
}

/**
 * One request: `waiting` for a slot, `connecting`, `sent`, `answered` (settled, the rest of the body
 * is being dropped), `done` (the slot is given back). A failure settles it and ends its socket.
 */
class Call implements Waiter<Client>, Dispatcher.DispatchHandler {
  readonly #pool: SocketPool<Client>;
  readonly #target: Target;
  readonly #request: OutboundRequest;
  readonly #resolve: CallOptions['resolve'];
  readonly #reject: CallOptions['reject'];
  readonly #startMs = performance.now();
  readonly #bytesMax: number;
  #timer: NodeJS.Timeout | undefined;
  #slot: Slot<Client> | undefined;
  #isSent = false;
  #isSettled = false;
  #status = 0;
  #headers: OutboundAnswer['headers'] = {};
  #chunks: Buffer[] = [];
  #kept = 0;
  #dropped = 0;

  constructor({ pool, target, request, resolve, reject }: CallOptions) {
    this.#pool = pool;
    this.#target = target;
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#bytesMax = request.expectBody === false ? 0 : (request.answerBytesMax ?? 0);
  }

  begin(): void {
    this.#timer = setTimeout(() => this.#late(), this.#request.timeoutMs);
    this.#pool.acquire(this.#target.origin, this);
  }

  start(slot: Slot<Client>): void {
    this.#slot = slot;
    const { method, headers, body } = this.#request;
    const options = {
      path: this.#target.path,
      method,
      headers: { ...OWN_HEADERS, ...headers },
      body: body ?? null,
    };
    slot.client.dispatch(options, this);
  }

  fail(error: OutboundError): void {
    this.#settle(error);
  }

  onRequestStart(): void {
    this.#isSent = true;
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    headers: OutboundAnswer['headers'],
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
    if (this.#request.expectBody !== false) return;
    this.#settle();
    // The socket is used again if the body, which nobody reads, ends soon.
    this.#timer = setTimeout(() => this.#giveBack(false), LIMITS.outboundDrainMs);
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    const room = this.#bytesMax - this.#kept;
    // A copy: the chunk is a view of a buffer that is used again or held as a whole.
    if (room > 0) this.#chunks.push(Buffer.from(chunk.subarray(0, room)));
    this.#kept += Math.min(room, chunk.length);
    this.#dropped += Math.max(0, chunk.length - room);
    if (this.#dropped <= LIMITS.outboundDropBytes) return;
    this.#settle();
    this.#giveBack(false);
  }

  onResponseEnd(): void {
    this.#settle();
    this.#giveBack(true);
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    // Nothing is missing when the body was to be dropped, or was cut at its bound before.
    this.#settle(outboundErrorOf(error, this.#isSent));
    this.#giveBack(false);
  }

  #late(): void {
    const where =
      this.#slot === undefined ? 'waiting for a socket' : this.#isSent ? 'answering' : 'connecting';
    const message = `${this.#target.origin} took longer than ${this.#request.timeoutMs} ms (${where}).`;
    this.#pool.cancel(this.#target.origin, this);
    this.#settle(new OutboundError('timeout', message, { sentMaybe: this.#isSent }));
    this.#giveBack(false);
  }

  #settle(error?: OutboundError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    clearTimeout(this.#timer);
    if (error !== undefined) {
      if (this.#status > 0) error.head = { status: this.#status, headers: this.#headers };
      this.#reject(error);
      return;
    }
    this.#resolve({
      status: this.#status,
      headers: this.#headers,
      body: this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks),
      ms: performance.now() - this.#startMs,
    });
    this.#chunks = [];
  }

  #giveBack(reusable: boolean): void {
    clearTimeout(this.#timer);
    const slot = this.#slot;
    this.#slot = undefined;
    if (slot !== undefined) this.#pool.release(slot, reusable);
  }
}
