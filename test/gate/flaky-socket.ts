/** A WebSocket of the SDK whose connection breaks as networks do it: at once, or by silence. */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { WebSocketConstructor } from '../../src/client/index.ts';

/** Nobody listens there. */
const NOWHERE = 'ws://127.0.0.1:1/';

/** The sockets of one client. */
export class FlakyLine {
  /** While it is cut no connection is made. */
  isCut = false;
  #socket: WebSocket | undefined;

  /** A constructor that the SDK takes. */
  get WebSocket(): WebSocketConstructor {
    const line = this;
    return class extends WebSocket {
      constructor(url: string, protocols: string, options: object) {
        super(line.isCut ? NOWHERE : url, protocols, options);
        line.#socket = this;
      }
    } as unknown as WebSocketConstructor;
  }

  /** Ends the socket without a word. */
  drop(): void {
    this.#socket?.terminate();
  }

  /** Nothing goes in or out; then all of it does, late, or the connection ends. */
  freeze(ms: number, thaws: boolean): void {
    const socket = this.#socket;
    if (socket === undefined || socket.readyState !== WebSocket.OPEN) return;
    const raw = (socket as unknown as { _socket: Socket })._socket;
    raw.pause();
    raw.cork();
    setTimeout(() => {
      if (thaws) {
        raw.uncork();
        raw.resume();
      } else {
        socket.terminate();
      }
    }, ms);
  }
}
