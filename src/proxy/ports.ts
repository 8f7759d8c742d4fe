/**
 * What the proxy needs of others, as it needs it: the gate that counts, the listener's side of a
 * request, the way to backends, and tokens. They are joined with it where the daemon is composed.
 */

/** Counts concurrent users of a resource by tenant. */
export interface Gate {
  /** `waited` is called at most once, later, unless it was given up. */
  enter(ask: GateAsk, waited: (end: Passed | Impeded) => void): Passed | Waiting | Impeded;
}

export interface GateAsk {
  readonly resource: string;
  /** Empty: the platform's own. */
  readonly tenant: string;
  readonly seats?: number;
  /** How long it may wait at most; left out: as long as the resource says. */
  readonly waitMs?: number;
}

export interface Counts {
  /** Seats taken of the tenant's share of the resource, this request's included. */
  readonly used: number;
  /** Undefined: none is set. */
  readonly limit: number | undefined;
}

export interface Passed extends Counts {
  readonly kind: 'passed';
  /**
   * Exactly once; more often does nothing. `ok` says whether the time it took tells something of the
   * resource: true for an answer, false for a failure; left out where the client ended it.
   */
  leave(ok?: boolean): void;
}

export interface Waiting extends Counts {
  readonly kind: 'waiting';
  readonly position: number;
  readonly estimateMs: number;
  giveUp(): void;
}

export interface Impeded extends Counts {
  readonly kind: 'impeded';
  /** Of the table of errors. */
  readonly code: number;
  readonly retryAfterMs: number;
  readonly estimateMs: number | undefined;
}

/** Hears what happens to a request on the client's side. */
export interface CallListener {
  /** A part of the body; its bytes are valid during the call only. `last` comes once, maybe with no bytes. */
  bodyPart(chunk: Uint8Array, last: boolean): void;
  /** The client has gone; nothing comes after it. */
  gone(): void;
  /** After a `write` that said no: there is room again. */
  drained(): void;
}

/** A request as the listener gives it. Heads are complete, bodies follow. */
export interface IncomingCall {
  /** As it came: methods know cases. */
  readonly method: string;
  /** As it came, not decoded, without its query. */
  readonly path: string;
  /** Without the question mark; undefined where there is none. */
  readonly query: string | undefined;
  /** Name in lower case, value, name, value … in latin1; a name may come several times. */
  readonly headers: readonly string[];
  /** A value held bytes that the listener could not keep. */
  readonly isMangled: boolean;
  /** Address of the peer. */
  readonly peer: string;
  readonly isSecure: boolean;
  /** False once it is answered or the client has gone: then nothing does anything. */
  readonly isOpen: boolean;
  /** Has to be called while the listener hands the request over. */
  listen(listener: CallListener): void;
  /** No more of the body for now. */
  pause(): void;
  resume(): void;
  /** The whole answer at once. `close`: nothing more is read from this connection. */
  answer(reply: WholeReply, close: boolean): void;
  /** Begins an answer; `length` of its body in bytes, undefined where it is not known. */
  head(status: number, headers: readonly string[], length: number | undefined): void;
  /** The bytes are valid during the call. False: wait for `drained`. */
  write(chunk: Uint8Array): boolean;
  /** What waits for more to leave with it leaves. */
  flush(): void;
  end(): void;
  /** Closes the connection: what was begun will not be complete. */
  cut(): void;
}

export interface WholeReply {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
}

/** Ways to backends. */
export interface Backends {
  send(request: BackendRequest, handler: BackendHandler): BackendExchange;
}

export interface BackendRequest {
  /** `http://host:port` or `https://host:port`. */
  readonly origin: string;
  readonly method: string;
  readonly target: string;
  /** The header `host`; undefined: the backend's own. */
  readonly host: string | undefined;
  /** Lines `name: value` with their line ends, in latin1; none of them about the connection or the body. */
  readonly lines: string;
  readonly body: Uint8Array | 'stream' | undefined;
  /** Bytes of a body that streams; undefined: it goes in chunks. */
  readonly length: number | undefined;
  readonly idempotent: boolean;
}

export interface BackendHandler {
  /** `length` of the body as the backend says it; undefined where it does not. */
  head(status: number, headers: readonly string[], length: number | undefined): void;
  /** The bytes are valid during the call. False: no more before `resume`. */
  data(chunk: Uint8Array): boolean;
  /** Nothing more came for now. */
  paused(): void;
  end(): void;
  /** Nothing comes after it. */
  failed(failure: BackendFailure): void;
  /** After a `write` that said no: there is room again. */
  room(): void;
}

export interface BackendFailure {
  /** `refused`, `dns`, `timeout`, `reset`, … */
  readonly kind: string;
  /** Whether a byte of the request may have left. */
  readonly sentMaybe: boolean;
}

export interface BackendExchange {
  write(chunk: Uint8Array): boolean;
  finish(): void;
  resume(): void;
  abort(): void;
}

/** Checks bearer tokens. */
export interface Tokens {
  /** What a token says that was verified before and is still good. */
  known(token: string): TokenSays | undefined;
  /** @throws FairleadError tokenInvalid, tokenExpired */
  verify(token: string): Promise<TokenSays>;
}

export interface TokenSays {
  /** Undefined: the platform. */
  readonly tenant: string | undefined;
}
