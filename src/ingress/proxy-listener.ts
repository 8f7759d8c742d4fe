/**
 * The proxy's own listener, apart from the API's: what is proxied never meets a path of the daemon.
 * It hands every request over as it comes and knows neither routes nor backends.
 */
import type uWS from 'uWebSockets.js';
import type { IncomingCall } from '../proxy/ports.ts';
import { loadLibrary } from './library.ts';
import { listenAlone, openApp, type TlsFiles } from './listen.ts';
import { ProxyCall } from './proxy-call.ts';

export interface ProxyListenerOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly tls?: TlsFiles | undefined;
  readonly allowFallback: boolean;
  /** Has to listen to the request before it returns. */
  readonly take: (call: IncomingCall) => void;
}

const IDLE_POLL_MS = 10;

export class ProxyListener {
  readonly port: number;
  readonly #library: typeof uWS;
  readonly #open: { calls: number };
  #listener: uWS.us_listen_socket | undefined;

  /** Listens. Throws when the address is taken, the certificate cannot be used, or the library is the imitation. */
  static async start(options: ProxyListenerOptions): Promise<ProxyListener> {
    const { take, tls } = options;
    const library = loadLibrary(options);
    const app = openApp(library, tls);
    const open = { calls: 0 };
    const terms = {
      isSecure: tls !== undefined,
      onEnd: () => {
        open.calls -= 1;
      },
    };
    app.any('/*', (response, request) => {
      open.calls += 1;
      take(new ProxyCall(response, request, terms));
    });
    return new ProxyListener(library, await listenAlone(app, options), open);
  }

  private constructor(
    library: typeof uWS,
    listener: uWS.us_listen_socket,
    open: { calls: number },
  ) {
    this.#library = library;
    this.#listener = listener;
    this.#open = open;
    this.port = library.us_socket_local_port(listener);
  }

  /** Requests whose answers clients have not got yet. */
  get openCalls(): number {
    return this.#open.calls;
  }

  /** Closes the listening socket; open connections stay. */
  stopAccepting(): void {
    if (this.#listener === undefined) return;
    this.#library.us_listen_socket_close(this.#listener);
    this.#listener = undefined;
  }

  /** Resolves when every answer has been taken, or after this long. */
  async whenIdle(deadlineMs: number): Promise<void> {
    const endMs = performance.now() + deadlineMs;
    while (this.#open.calls > 0 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, IDLE_POLL_MS));
    }
  }
}
