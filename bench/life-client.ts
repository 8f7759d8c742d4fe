/** A connection that asks and waits for the answer: for what is looked at, not for what is timed. */
import { encodePublish, encodeStatus, encodeSubscribe } from '../src/protocol/client-frames.ts';
import { decodeDaemonFrame, type OkFrame } from '../src/protocol/daemon-frames.ts';
import {
  type PublishResult,
  readPublishOk,
  readStatusOk,
  type StatusEntry,
} from '../src/protocol/ok-results.ts';
import { WebSocketClient, type WebSocketTarget } from './load/web-socket-client.ts';
import { binaryFrame } from './load/web-socket-frame.ts';

const SUBSCRIPTION = 1;

export class LifeClient {
  /** Deliveries received. */
  delivered = 0;
  #client!: WebSocketClient;
  #id = 0;
  #pending: { resolve: (ok: OkFrame) => void; reject: (error: Error) => void } | undefined;

  static async open(target: WebSocketTarget): Promise<LifeClient> {
    const client = new LifeClient();
    client.#client = await WebSocketClient.open(target, {
      frame: (bytes, _view, start, end) => client.#frame(Buffer.from(bytes.subarray(start, end))),
      readEnd: () => undefined,
      failed: (error) => client.#pending?.reject(error),
    });
    return client;
  }

  /** Takes deliveries and settles none of them. */
  async subscribe(destination: string, credit: number): Promise<void> {
    await this.#ask((id) =>
      encodeSubscribe({ id, subscription: SUBSCRIPTION, destination, credit }),
    );
  }

  async publish(frame: Omit<Parameters<typeof encodePublish>[0], 'id'>): Promise<PublishResult> {
    return readPublishOk(await this.#ask((id) => encodePublish({ id, ...frame })));
  }

  async status(messageIds: readonly Uint8Array[]): Promise<readonly (StatusEntry | undefined)[]> {
    return readStatusOk(await this.#ask((id) => encodeStatus({ id, messageIds })));
  }

  close(): void {
    this.#client.close();
  }

  #ask(encode: (id: number) => Uint8Array): Promise<OkFrame> {
    this.#id += 1;
    const content = encode(this.#id);
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#client.write(binaryFrame(content));
    });
  }

  #frame(bytes: Buffer): void {
    const frame = decodeDaemonFrame(bytes);
    if (frame.kind === 'deliver') this.delivered += frame.deliveries.length;
    if (frame.kind === 'ok' && frame.id === this.#id) this.#pending?.resolve(frame);
    if (frame.kind === 'error') {
      this.#pending?.reject(new Error(`the daemon answered ${frame.code} ${frame.message}`));
    }
  }
}
