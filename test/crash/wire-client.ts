/** One connection with frames by hand, because the SDK does not show what became of a settlement. */
import { WebSocket } from 'ws';
import {
  type Delivery,
  decodeDaemonFrame,
  type ErrorFrame,
  type OkFrame,
} from '../../src/protocol/frames.ts';
import { SUBPROTOCOL } from '../../src/protocol/kinds.ts';

export interface WireEvents {
  ok(frame: OkFrame): void;
  error(frame: ErrorFrame): void;
  deliver?(subscription: number, deliveries: readonly Delivery[]): void;
  closed(): void;
}

export class WireClient {
  readonly #socket: WebSocket;
  #open = true;

  /** Resolves after hello. */
  static open(url: string, token: string, events: WireEvents): Promise<WireClient> {
    const target = `${url.replace(/^http/, 'ws')}/v1/stream`;
    const socket = new WebSocket(target, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    });
    const client = new WireClient(socket);
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', () => {
        client.#open = false;
        reject(new Error('closed before hello'));
        events.closed();
      });
      socket.on('message', (data: Buffer) => {
        const frame = decodeDaemonFrame(data);
        if (frame.kind === 'hello') resolve(client);
        else if (frame.kind === 'ok') events.ok(frame);
        else if (frame.kind === 'error') events.error(frame);
        else if (frame.kind === 'deliver') events.deliver?.(frame.subscription, frame.deliveries);
      });
    });
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  get isOpen(): boolean {
    return this.#open && this.#socket.readyState === WebSocket.OPEN;
  }

  send(frame: Uint8Array): void {
    if (this.isOpen) this.#socket.send(frame);
  }

  close(): void {
    this.#socket.terminate();
  }
}
