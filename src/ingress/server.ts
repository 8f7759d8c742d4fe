/**
 * The ingress: one listener for WebSocket and HTTP, with or without TLS, on the main thread.
 *
 * States: starting (listens, answers health only) → serving (from the first setReady(true) on) →
 * leaving (goAway: no new connections, no new work) → closed. Ready may come and go while serving;
 * it only shows at /readyz.
 */
import type uWS from 'uWebSockets.js';
import type { Logger } from '../base/logger.ts';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { encodeHello } from '../protocol/frames.ts';
import { CLOSE } from '../protocol/kinds.ts';
import type { ErrorForm } from '../rest/form-route.ts';
import type { Authenticator } from './auth.ts';
import { BOUNDS } from './bounds.ts';
import type { Session, Socket, SocketData } from './connection.ts';
import { Connections } from './connections.ts';
import type { Directory } from './directory.ts';
import { FrameRouter, type InboundPort } from './frame-router.ts';
import { healthRoutes, type Readiness } from './health.ts';
import { HttpServer } from './http.ts';
import type { Route } from './http-router.ts';
import { loadLibrary } from './library.ts';
import { listenAlone, openApp, type TlsFiles } from './listen.ts';
import type { MetricFamily } from './metrics-text.ts';
import type { MainPort, ShardPort } from './shard-port.ts';
import type { Turnstile } from './turnstile.ts';
import { Upgrader } from './upgrade.ts';

export interface IngressOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly tls?: TlsFiles | undefined;
  readonly allowFallback: boolean;
  readonly auth: Authenticator;
  readonly shards: readonly ShardPort[];
  readonly directory: Directory;
  readonly routes: readonly Route[];
  /** Of paths whose errors have another form than the others'. */
  readonly errorForms?: readonly ErrorForm[];
  readonly collect: () => Promise<MetricFamily[]>;
  readonly metricsScope: 'none' | 'platform';
  /** Takes what gateways received; left out: nobody does. */
  readonly inbound?: InboundPort;
  /** Gives permits; left out: nobody does. */
  readonly gate?: MainPort;
  /** Counts events; left out: nobody does. */
  readonly usage?: MainPort;
  /** Counts requests of the REST interface; left out: only all together are bounded. */
  readonly turnstile?: Turnstile;
  readonly logger: Logger;
  /** As told to clients in the hello frame. */
  readonly durability: string;
  readonly version: string;
  readonly idleTimeoutSec?: number;
  readonly connectionsMax?: number;
  readonly requestsMax?: number;
}

const nobody: InboundPort = async () => {
  throw new FairleadError('notYetSupported');
};

/** The limits that a client has to know. */
const helloLimits = {
  publishWindowBytes: LIMITS.publishWindowBytes,
  frameBytes: LIMITS.frameBytes,
  messagesPerFrame: LIMITS.messagesPerFrame,
  outcomesPerFrame: LIMITS.outcomesPerFrame,
  payloadBytes: LIMITS.payloadBytes,
  nameBytes: LIMITS.nameBytes,
  creditMax: LIMITS.creditMax,
  idsPerFrame: LIMITS.idsPerFrame,
  subscriptionsPerConnection: LIMITS.subscriptionsPerConnection,
  permitsPerFrame: LIMITS.permitsPerFrame,
  eventsPerFrame: LIMITS.eventsPerFrame,
} as const;

export class Ingress {
  readonly connections: Connections;
  readonly #options: IngressOptions;
  readonly #library: typeof uWS;
  readonly #router: FrameRouter;
  readonly #http: HttpServer;
  readonly #upgrader: Upgrader;
  readonly #hello: Uint8Array;
  #listener: uWS.us_listen_socket | undefined;
  #port = 0;
  #serving = false;
  #readiness: Readiness = { ready: false, reasons: ['starting'] };
  #leaving: FairleadError | undefined;

  /** Listens. Throws when the address is taken, the certificate cannot be used, or the library is the imitation. */
  static async start(options: IngressOptions): Promise<Ingress> {
    const ingress = new Ingress(options);
    await ingress.#listen();
    return ingress;
  }

  private constructor(options: IngressOptions) {
    const { auth, shards, gate, usage, directory, logger } = options;
    const { requestsMax, connectionsMax } = options;
    this.#options = options;
    this.#library = loadLibrary(options);
    this.connections = new Connections({ shards, ports: { gate, usage }, logger });
    directory.onChange(({ kind, name }) => {
      if (kind === 'destination') this.connections.ownerChanged(name, directory.ownerOf(name));
    });
    this.#router = new FrameRouter({
      directory,
      logger,
      inbound: options.inbound ?? nobody,
      goingAway: () => this.#leaving,
    });
    this.#http = new HttpServer({
      auth,
      logger,
      routes: [
        ...healthRoutes({ ...options, readiness: () => this.#readiness }),
        ...options.routes,
      ],
      errorForms: options.errorForms ?? [],
      isServing: () => this.#serving,
      turnstile: options.turnstile,
      ...(requestsMax === undefined ? {} : { requestsMax }),
    });
    this.#upgrader = new Upgrader({
      auth,
      openSockets: () => this.connections.size,
      refusal: () => this.#refusal(),
      ...(connectionsMax === undefined ? {} : { connectionsMax }),
    });
    this.#hello = encodeHello({ limits: helloLimits, durability: options.durability });
  }

  /** The bound port. */
  get port(): number {
    return this.#port;
  }

  /** Refusals of the ingress itself, by error code. */
  get refused(): ReadonlyMap<number, number> {
    return this.#router.refused;
  }

  /** The first `true` opens the door; later values only show at /readyz. */
  setReady(ready: boolean, reasons: readonly string[] = []): void {
    this.#readiness = { ready, reasons };
    if (ready) this.#serving = true;
  }

  /** Closes the listening socket; open connections stay. */
  stopAccepting(): void {
    if (this.#listener === undefined) return;
    this.#library.us_listen_socket_close(this.#listener);
    this.#listener = undefined;
  }

  /** Tells every client to connect elsewhere or later, and takes no new work from here on. */
  goAway(reason: string, retryAfterMs: number): void {
    this.#leaving = new FairleadError('goingAway', undefined, { retryAfterMs });
    this.setReady(false, [reason]);
    this.connections.goAway(reason, retryAfterMs);
  }

  /** Waits for requests under way and for what sockets hold unsent, at most this long, and closes all. */
  async closeAll(deadlineMs: number): Promise<void> {
    this.stopAccepting();
    this.#leaving ??= new FairleadError('goingAway');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs);
    });
    await Promise.all([
      this.connections.closeAll(deadlineMs),
      Promise.race([this.#http.whenIdle(), late]),
    ]);
    clearTimeout(timer);
  }

  #refusal(): FairleadError | undefined {
    return this.#leaving ?? (this.#serving ? undefined : new FairleadError('notReady'));
  }

  async #listen(): Promise<void> {
    const { host, port, tls } = this.#options;
    const app = openApp(this.#library, tls);
    app.ws<SocketData>('/v1/stream', this.#behavior());
    this.#http.attach(app);
    const listener = await listenAlone(app, { host, port });
    this.#listener = listener;
    this.#port = this.#library.us_socket_local_port(listener);
  }

  #behavior(): uWS.WebSocketBehavior<SocketData> {
    return {
      // Twice the limit, so that a frame over it gets an answer; the library only cuts the line.
      maxPayloadLength: 2 * LIMITS.frameBytes,
      // No limit: past one the library drops answers without a word. Deliveries are parked instead.
      maxBackpressure: 0,
      idleTimeout: this.#options.idleTimeoutSec ?? BOUNDS.idleTimeoutSec,
      sendPingsAutomatically: true,
      compression: this.#library.DISABLED,
      upgrade: (response, request, context) => this.#upgrader.upgrade(response, request, context),
      open: (socket) => this.#opened(socket, socket.getUserData().session),
      message: (socket, message, isBinary) => {
        const { connection } = socket.getUserData().session;
        if (connection === undefined) return;
        this.#router.take(connection, new Uint8Array(message), isBinary);
      },
      drain: (socket) => {
        const { connection } = socket.getUserData().session;
        if (connection !== undefined) this.connections.drained(connection);
      },
      close: (socket) => {
        const { session } = socket.getUserData();
        if (session.connection !== undefined) this.connections.closed(session.connection);
        session.connection = undefined;
      },
    };
  }

  #opened(socket: Socket, session: Session): void {
    const { identity, refusal } = session;
    if (refusal !== undefined || identity === undefined) {
      socket.end(refusal?.code ?? CLOSE.badToken, closeReason(refusal?.reason ?? 'tokenInvalid'));
      return;
    }
    session.connection = this.connections.open(socket, identity);
    session.connection.send(this.#hello);
  }
}

/** A close frame's reason has at most 123 bytes (RFC 6455, 5.5). */
const REASON_BYTES_MAX = 123;

function closeReason(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.byteLength <= REASON_BYTES_MAX) return reason;
  // A character cut in half is dropped: a close frame with broken UTF-8 is a protocol error.
  return bytes
    .subarray(0, REASON_BYTES_MAX)
    .toString()
    .replace(/\ufffd+$/, '');
}
