/**
 * One connection to an origin, made when it is needed and made anew when it ended. It carries one request at
 * a time, and who has it says when it is free. Bytes that come while nobody has it end it: they would be
 * taken for the next answer.
 *
 * States: `idle` (open or not) → `connecting` → `busy` → `idle` …; any of them → `destroyed`.
 *
 * All connections read into the same memory (`onread` of node:net): what a read brings is used up before the
 * next one, and a read costs no allocation and no stream. TLS takes the usual way.
 */
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { LIMITS } from '../limits.ts';
import { AnswerParser } from './answer-parser.ts';
import { OutboundError } from './outbound-error.ts';

/** Who has the connection. */
export interface LinkUser {
  /** It is there: the request may be written. `isReused`: it has carried a request before. */
  ready(isReused: boolean): void;
  /** There will be none. */
  unreachable(error: unknown): void;
  /** Those before `to`, valid during the call. False: no more before `resume`. */
  bytes(bytes: Buffer, to: number): boolean;
  /** The peer sends no more. */
  ended(): void;
  /** It broke. */
  broken(error: unknown): void;
  /** What was written has left. */
  drained(): void;
}

export interface LinkOptions {
  readonly connectTimeoutMs: number;
  /** Certificates that are trusted, PEM; undefined: those of Node. */
  readonly ca?: readonly string[] | undefined;
  /** By origin, what a next handshake may leave out; one for each origin. */
  readonly sessions: Map<string, Buffer>;
}

const READ_BYTES = 64 * 1024;
const KEEP_ALIVE_PROBE_MS = 60_000;
/** A peer ends its connection about when it said: none is used in the last moments. */
const KEEP_MARGIN_MS = 2_000;
const memory = Buffer.allocUnsafeSlow(READ_BYTES);

export class Link {
  readonly parser = new AnswerParser();
  /** The header `host` of its origin, with its line end. */
  readonly hostLine: string;
  readonly #origin: string;
  readonly #host: string;
  readonly #port: number;
  readonly #isSecure: boolean;
  readonly #options: LinkOptions;
  readonly #onLost: () => void;
  #socket: Socket | undefined;
  #isConnected = false;
  #user: LinkUser | undefined;
  #isPaused = false;
  #isDestroyed = false;
  #connectTimer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #idleUntilMs = 0;

  /** `onLost` hears of an idle connection that has ended. */
  constructor(origin: string, options: LinkOptions, onLost: () => void) {
    const { protocol, host, hostname, port } = new URL(origin);
    this.#origin = origin;
    this.hostLine = `host: ${host}\r\n`;
    this.#isSecure = protocol === 'https:';
    this.#host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    this.#port = port === '' ? (this.#isSecure ? 443 : 80) : Number(port);
    this.#options = options;
    this.#onLost = onLost;
  }

  get isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  /** Bytes that were written and have not left. */
  get waitingBytes(): number {
    return this.#socket?.writableLength ?? 0;
  }

  /** Calls `ready` at once over an open connection, later over a new one. */
  use(user: LinkUser): void {
    this.#user = user;
    if (this.#isConnected && performance.now() < this.#idleUntilMs) user.ready(true);
    else this.#connect();
  }

  /**
   * The answer is complete, and another request may follow, for as long as the peer says if it says so.
   * False: not even now.
   */
  free(keepMs: number | undefined): boolean {
    this.#user = undefined;
    const hintMs = keepMs === undefined ? LIMITS.outboundIdleMs : keepMs - KEEP_MARGIN_MS;
    if (hintMs <= 0 || !this.#isConnected) return false;
    const idleMs = Math.min(hintMs, LIMITS.outboundIdleMsMax);
    this.#idleUntilMs = performance.now() + idleMs;
    this.#idleTimer ??= this.#idleSoon(idleMs);
    return true;
  }

  write(text: string): void {
    this.#socket?.write(text, 'latin1');
  }

  writeBytes(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  /** What is written from here on leaves together, at `uncork`. */
  cork(): void {
    this.#socket?.cork();
  }

  uncork(): void {
    this.#socket?.uncork();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket?.resume();
  }

  /** Who has it hears of it only if there is an error. */
  destroy(error?: Error): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    const user = this.#user;
    this.#user = undefined;
    this.#drop();
    if (error !== undefined) user?.broken(error);
  }

  #drop(): void {
    clearTimeout(this.#connectTimer);
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    this.#isConnected = false;
    this.#isPaused = false;
    socket?.destroy();
  }

  /** One timer looks at many idle times: a request moves a number and no timer. */
  #idleSoon(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#idleTimer = undefined;
      if (this.#user !== undefined || this.#socket === undefined) return;
      const leftMs = this.#idleUntilMs - performance.now();
      if (leftMs > 0) this.#idleTimer = this.#idleSoon(leftMs);
      else this.#lost();
    }, ms).unref();
  }

  #lost(): void {
    this.#drop();
    this.#onLost();
  }

  // Connecting.

  #connect(): void {
    this.#drop();
    const { connectTimeoutMs } = this.#options;
    let socket: Socket;
    try {
      socket = this.#isSecure ? this.#openSecure() : this.#openPlain();
    } catch (error) {
      queueMicrotask(() => this.#unreachable(error));
      return;
    }
    this.#socket = socket;
    // Timers run before sockets are looked at: after a stall it may be there already.
    this.#connectTimer = setTimeout(
      () => setImmediate(() => this.#tooLate(socket)),
      connectTimeoutMs,
    );
    socket.once(this.#isSecure ? 'secureConnect' : 'connect', () => this.#connected(socket));
    socket.on('error', (error) => this.#ended(socket, error));
    socket.on('end', () => this.#ended(socket, undefined));
    socket.on('close', () => this.#ended(socket, undefined));
    socket.on('drain', () => {
      if (socket === this.#socket) this.#user?.drained();
    });
  }

  #openPlain(): Socket {
    const socket: Socket = connect({
      host: this.#host,
      port: this.#port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
      onread: {
        buffer: memory,
        callback: (count) => this.#read(socket, memory, count),
      },
    });
    return socket;
  }

  #openSecure(): Socket {
    const { ca, sessions } = this.#options;
    const session = sessions.get(this.#origin);
    const socket = connectTls({
      host: this.#host,
      port: this.#port,
      servername: isIP(this.#host) === 0 ? this.#host : '',
      ALPNProtocols: ['http/1.1'],
      ...(ca === undefined ? {} : { ca: [...ca] }),
      ...(session === undefined ? {} : { session }),
    });
    socket.on('session', (next: Buffer) => sessions.set(this.#origin, next));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
    socket.on('data', (chunk: Buffer) => {
      if (!this.#read(socket, chunk, chunk.length)) socket.pause();
    });
    return socket;
  }

  #connected(socket: Socket): void {
    if (socket !== this.#socket) return;
    clearTimeout(this.#connectTimer);
    this.#isConnected = true;
    this.#user?.ready(false);
  }

  #tooLate(socket: Socket): void {
    if (socket !== this.#socket || this.#isConnected) return;
    this.#unreachable(new OutboundError('timeout', `${this.#host} took no connection in time.`));
  }

  #unreachable(error: unknown): void {
    const user = this.#user;
    this.#user = undefined;
    this.#drop();
    user?.unreachable(error);
  }

  // Connected.

  #read(socket: Socket, bytes: Buffer, to: number): boolean {
    if (socket !== this.#socket) return false;
    const user = this.#user;
    if (user === undefined) {
      this.#lost();
      return false;
    }
    const hasRoom = user.bytes(bytes, to);
    // It may have been given back meanwhile, and another have it.
    if (hasRoom || socket !== this.#socket || user !== this.#user) return true;
    this.#isPaused = true;
    return false;
  }

  #ended(socket: Socket, error: Error | undefined): void {
    if (socket !== this.#socket) return;
    const user = this.#user;
    if (user === undefined) {
      this.#lost();
    } else if (!this.#isConnected) {
      this.#unreachable(
        error ?? new OutboundError('refused', `${this.#host} ended the connection.`),
      );
    } else {
      this.#drop();
      if (error === undefined) user.ended();
      else user.broken(error);
    }
  }
}
