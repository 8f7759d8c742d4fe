/** Who counts the events of `usage/firing-latency`: the daemon, or what stands beside it. */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { WebSocketTarget } from '../../load/web-socket-client.ts';
import { UseClient } from './use-client.ts';

export const FIRING_CATEGORY = 'pages';

export interface FiringSender {
  /** Resolves when the tenant's event of that number is answered. */
  send(tenant: string, value: number): Promise<void>;
}

export class DaemonSender implements FiringSender {
  readonly #client: UseClient;

  static async open(target: WebSocketTarget): Promise<DaemonSender> {
    return new DaemonSender(await UseClient.open(target));
  }

  private constructor(client: UseClient) {
    this.#client = client;
  }

  async send(tenant: string): Promise<void> {
    const events = [{ tenant, category: FIRING_CATEGORY, quantity: 1 }];
    const { counted } = await this.#client.use(events);
    if (counted !== 1) throw new Error('an event was not counted');
  }
}

/** One line an event, and the same line as its answer. */
export class BareSender implements FiringSender {
  readonly #socket: Socket;
  readonly #waiting = new Map<string, () => void>();

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    createInterface({ input: this.#socket }).on('line', (line) => this.#waiting.get(line)?.());
  }

  async send(tenant: string, value: number): Promise<void> {
    const line = `${tenant} ${value}`;
    await new Promise<void>((resolve) => {
      this.#waiting.set(line, resolve);
      this.#socket.write(`${line}\n`);
    });
    this.#waiting.delete(line);
  }
}
