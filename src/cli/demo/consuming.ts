import type { Client, Subscription } from '../../client/index.ts';
import { type FromChild, hostMs, STAMP_BYTES } from './messages.ts';

const CREDIT = 1024;
const REPORT_MS = 50;

/** Takes every delivery of the destination, settles it as sent, and reports it in order. */
export class Consuming {
  readonly #client: Client;
  readonly #say: (message: FromChild) => void;
  readonly #indexOf: ReadonlyMap<string, number>;
  readonly #subscription: Subscription;
  readonly #report: NodeJS.Timeout;
  #tenants: number[] = [];
  #ids: Uint8Array[] = [];
  #publishedAt: number[] = [];
  #receivedAt: number[] = [];

  constructor(
    client: Client,
    start: { readonly destination: string; readonly tenants: readonly string[] },
    say: (message: FromChild) => void,
  ) {
    this.#client = client;
    this.#say = say;
    this.#indexOf = new Map(start.tenants.map((name, index) => [name, index]));
    this.#report = setInterval(() => this.#tell(), REPORT_MS);
    this.#subscription = client.subscribeBatches(
      start.destination,
      { credit: CREDIT },
      (deliveries) => {
        const nowMs = hostMs();
        for (const { tenant, messageId, payload } of deliveries) {
          const stamp = new DataView(payload.buffer, payload.byteOffset, STAMP_BYTES);
          this.#tenants.push(this.#indexOf.get(tenant) ?? 0);
          this.#ids.push(messageId);
          this.#publishedAt.push(stamp.getFloat64(0, true));
          this.#receivedAt.push(nowMs);
        }
      },
    );
  }

  async ready(): Promise<void> {
    await this.#client.whenConnected();
    await this.#subscription.ready();
  }

  async finish(): Promise<void> {
    await this.#subscription.close();
    clearInterval(this.#report);
    this.#tell();
  }

  #tell(): void {
    if (this.#ids.length === 0) return;
    this.#say({
      is: 'delivered',
      block: {
        tenants: Uint8Array.from(this.#tenants),
        ids: Buffer.concat(this.#ids),
        publishedAt: Float64Array.from(this.#publishedAt),
        receivedAt: Float64Array.from(this.#receivedAt),
      },
    });
    this.#tenants = [];
    this.#ids = [];
    this.#publishedAt = [];
    this.#receivedAt = [];
  }
}
