/** A connection that counts events and waits for the answers: for what is looked at, not for what is timed. */
import { decodeDaemonFrame } from '../../../src/protocol/daemon-frames.ts';
import {
  encodeUse,
  readUseOk,
  type UseEntry,
  type UseResult,
} from '../../../src/protocol/usage-frames.ts';
import { WebSocketClient, type WebSocketTarget } from '../../load/web-socket-client.ts';
import { binaryFrame } from '../../load/web-socket-frame.ts';

interface Pending {
  resolve(result: UseResult): void;
  reject(error: Error): void;
}

export class UseClient {
  readonly #pending = new Map<number, Pending>();
  #socket!: WebSocketClient;
  #lastId = 0;

  static async open(target: WebSocketTarget): Promise<UseClient> {
    const client = new UseClient();
    client.#socket = await WebSocketClient.open(target, {
      frame: (bytes, _view, start, end) => client.#frame(Buffer.from(bytes.subarray(start, end))),
      readEnd: () => undefined,
      failed: (error) => client.#fail(error),
    });
    return client;
  }

  /** At most 4,096 events. @throws Error when the frame is refused or the connection ends */
  use(events: readonly UseEntry[]): Promise<UseResult> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#socket.write(binaryFrame(encodeUse({ id, events })));
    });
  }

  close(): void {
    this.#socket.close();
  }

  #frame(bytes: Buffer): void {
    const frame = decodeDaemonFrame(bytes);
    if (frame.kind === 'error') {
      this.#fail(new Error(`the daemon answered ${frame.code} ${frame.message}`));
    } else if (frame.kind === 'ok') {
      this.#pending.get(frame.id)?.resolve(readUseOk(frame));
      this.#pending.delete(frame.id);
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
