// Hands deliveries to a handler as they came: a frame at a time, no object and no promise each.
import type { Delivery as WireDelivery } from '../protocol/frames.ts';
import { FairleadClientError } from './error.ts';
import type { Arrival, Link, SubscriptionCore } from './subscription.ts';
import type { Outcome } from './types.ts';

/** The deliveries of one frame. */
export class DeliveryBatch {
  readonly deliveries: readonly WireDelivery[];
  readonly #link: Link;
  readonly #core: SubscriptionCore;
  /** 1 for each that has its outcome. */
  readonly #ended: Uint8Array;

  constructor({ deliveries, link }: Arrival, core: SubscriptionCore) {
    this.deliveries = deliveries;
    this.#link = link;
    this.#core = core;
    this.#ended = new Uint8Array(deliveries.length);
  }

  /** False once the connection ended: the daemon has taken the messages back. */
  get isLive(): boolean {
    return this.#link.isLive;
  }

  /** Settles the delivery at a position of the batch, once. Without an outcome it was sent. */
  settle(position: number, outcome?: Outcome): boolean {
    const delivery = this.deliveries[position];
    if (delivery === undefined || this.#ended[position] === 1) return false;
    this.#ended[position] = 1;
    return this.#core.settle(this.#link, delivery.delivery, outcome);
  }

  /** Settles all that have no outcome yet. */
  settleRest(outcome?: Outcome): void {
    for (let position = 0; position < this.deliveries.length; position += 1) {
      this.settle(position, outcome);
    }
  }
}

export type BatchHandler = (
  deliveries: readonly WireDelivery[],
  batch: DeliveryBatch,
) => void | Promise<void>;

export interface BatchConsumerOptions {
  readonly settle: 'auto' | 'manual';
  readonly handler: BatchHandler;
  readonly error: (error: FairleadClientError) => void;
}

const RETRY: Outcome = { outcome: 'retry', retryAfterMs: 1000 };

export class BatchConsumer {
  readonly #options: BatchConsumerOptions;
  #core: SubscriptionCore | undefined;
  #running = 0;
  #watchers: (() => void)[] = [];

  constructor(options: BatchConsumerOptions) {
    this.#options = options;
  }

  bind(core: SubscriptionCore): void {
    this.#core = core;
  }

  take(arrival: Arrival): void {
    if (this.#core === undefined) return;
    const batch = new DeliveryBatch(arrival, this.#core);
    this.#running += 1;
    try {
      const result = this.#options.handler(batch.deliveries, batch);
      if (result === undefined) this.#handled(batch);
      else
        result.then(
          () => this.#handled(batch),
          (cause) => this.#threw(batch, cause),
        );
    } catch (cause) {
      this.#threw(batch, cause);
    }
  }

  /** What a handler still has is void; `isLive` says so. */
  lost(): void {}

  /** Resolves when no handler runs. */
  async stop(): Promise<void> {
    this.#core?.close();
    while (this.#running > 0) {
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  #handled(batch: DeliveryBatch): void {
    if (this.#options.settle === 'auto') batch.settleRest();
    this.#done();
  }

  #threw(batch: DeliveryBatch, cause: unknown): void {
    const message = cause instanceof Error ? cause.message : String(cause);
    this.#options.error(new FairleadClientError('handlerFailed', message));
    batch.settleRest(RETRY);
    this.#done();
  }

  #done(): void {
    this.#running -= 1;
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}
