/**
 * Requests to servers that the operator configured, with bodies that stream both ways: a request
 * goes out as its parts come, an answer is handed over as its parts arrive, and each side can make
 * the other wait. Its addresses are the operator's own, so no guard stands before them.
 *
 * It knows no time-outs beside that of connecting: who asks aborts. Nothing is sent twice, with one
 * exception: a request without a body and without effect that met a kept connection which was dead
 * already, before a byte of the answer, goes once more over a new one.
 */
import { Link } from './http1-link.ts';
import type { OutboundError } from './outbound-error.ts';
import { type PoolNumbers, SocketPool } from './socket-pool.ts';
import { StreamCall } from './stream-call.ts';

export interface StreamRequest {
  /** `http://host:port` or `https://host:port`. */
  readonly origin: string;
  readonly method: string;
  /** Path and query as they are sent. */
  readonly target: string;
  /** The header `host`; undefined: the origin's. */
  readonly host: string | undefined;
  /** Lines `name: value` with their CR LF, in latin1; none of the connection or of the body's framing. */
  readonly lines: string;
  /** All of it, or `stream`: what `write` and `finish` give. */
  readonly body: Uint8Array | 'stream' | undefined;
  /** Bytes of a streamed body; undefined: it goes in chunks. */
  readonly length: number | undefined;
  /** Whether sending it twice does what sending it once does (RFC 9110, 9.2.2). */
  readonly idempotent: boolean;
}

/** Who takes the answer. After `end` or `failed` nothing is called any more. */
export interface StreamHandler {
  /**
   * Headers as they came, in latin1: name, value, name, value … `length` of the body as the answer says
   * it, also where it brings none.
   */
  head(status: number, headers: readonly string[], length: number | undefined): void;
  /** The bytes are valid during the call. False: no more before `resume`. */
  data(chunk: Uint8Array): boolean;
  /** Nothing more of the answer came for now. */
  paused(): void;
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
  readonly #pool: SocketPool<Link>;

  constructor({ socketsMax, socketsPerOriginMax, connectTimeoutMs, ca }: StreamClientOptions) {
    const options = { connectTimeoutMs, ca, sessions: new Map<string, Buffer>() };
    const open = (origin: string, lost: () => void): Link => new Link(origin, options, lost);
    this.#pool = new SocketPool({ open, socketsMax, socketsPerOriginMax });
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
