/** Speaks the inspector protocol of a Node process: to its main thread and to its workers. */
import { once } from 'node:events';
import { WebSocket } from 'ws';

const CONNECT_TRIES = 50;
const RETRY_MS = 100;
/** Workers that run already are told of within this time after `NodeWorker.enable`. */
const WORKERS_MS = 300;

export interface InspectedThread {
  readonly name: string;
  send(method: string, params: object): Promise<unknown>;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export class InspectorClient {
  readonly #socket: WebSocket;
  readonly #workers: string[] = [];
  readonly #pending = new Map<number, (message: Message) => void>();
  #lastId = 0;

  static async connect(port: number): Promise<InspectorClient> {
    const list = await targets(port);
    const socket = new WebSocket(list[0]?.webSocketDebuggerUrl ?? '', { maxPayload: 2 ** 30 });
    await once(socket, 'open');
    return new InspectorClient(socket);
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => this.#take(JSON.parse(String(data)) as Message));
  }

  async threads(): Promise<InspectedThread[]> {
    await this.#send(undefined, 'NodeWorker.enable', { waitForDebuggerOnStart: false });
    await new Promise((resolve) => setTimeout(resolve, WORKERS_MS));
    const thread = (name: string, session?: string): InspectedThread => ({
      name,
      send: (method, params) => this.#send(session, method, params),
    });
    return [thread('main'), ...this.#workers.map((session, at) => thread(`worker-${at}`, session))];
  }

  close(): void {
    this.#socket.close();
  }

  #send(session: string | undefined, method: string, params: object): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    const message = JSON.stringify({ id, method, params });
    const answer = new Promise((resolve, reject) => {
      this.#pending.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result);
        else reject(new Error(`${method}: ${error.message}`));
      });
    });
    if (session === undefined) {
      this.#socket.send(message);
    } else {
      this.#lastId += 1;
      const outer = { sessionId: session, message };
      const wrapped = { id: this.#lastId, method: 'NodeWorker.sendMessageToWorker', params: outer };
      this.#socket.send(JSON.stringify(wrapped));
    }
    return answer;
  }

  #take(message: Message): void {
    if (message.id !== undefined) {
      const pending = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      pending?.(message);
    } else if (message.method === 'NodeWorker.attachedToWorker') {
      this.#workers.push(String(message.params?.sessionId));
    } else if (message.method === 'NodeWorker.receivedMessageFromWorker') {
      this.#take(JSON.parse(String(message.params?.message)) as Message);
    }
  }
}

async function targets(port: number): Promise<{ readonly webSocketDebuggerUrl: string }[]> {
  for (let left = CONNECT_TRIES; ; left -= 1) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/json/list`);
      return (await response.json()) as { webSocketDebuggerUrl: string }[];
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
