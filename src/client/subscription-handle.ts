import type { BatchConsumer } from './batch-consumer.ts';
import type { Consumer } from './consumer.ts';
import type { SubscriptionCore } from './subscription.ts';

export interface SubscribeOptions {
  /** Deliveries that may be under way in this client; given back in steps. Default 256. */
  readonly credit?: number;
  /** The gateway of the type pull that takes them; default: none, as all subscriptions without one together. */
  readonly gateway?: string;
  /** `auto`: by the handler's result. `manual`: by the methods of a delivery. Default auto. */
  readonly settle?: 'auto' | 'manual';
  /** Aborting it closes the subscription. */
  readonly signal?: AbortSignal;
}

/** What `subscribe` returns. */
export interface Subscription {
  /** Resolves when the daemon took it. @throws FairleadClientError when it was refused for good */
  ready(): Promise<void>;
  /** Takes nothing more, gives back what no handler has begun, and waits for those that have. */
  close(): Promise<void>;
}

export class SubscriptionHandle implements Subscription {
  readonly core: SubscriptionCore;
  readonly #consumer: Consumer | BatchConsumer;
  readonly #removeAbort: () => void;

  constructor(
    core: SubscriptionCore,
    consumer: Consumer | BatchConsumer,
    signal: AbortSignal | undefined,
  ) {
    this.core = core;
    this.#consumer = consumer;
    const abort = (): void => void this.close();
    signal?.addEventListener('abort', abort, { once: true });
    this.#removeAbort = () => signal?.removeEventListener('abort', abort);
    if (signal?.aborted) abort();
  }

  ready(): Promise<void> {
    return this.core.ready();
  }

  async close(): Promise<void> {
    this.#removeAbort();
    await this.#consumer.stop();
  }
}
