/**
 * Calls a handler for each delivery, at most `concurrency` at a time, in the order of arrival.
 *
 * A delivery is queued → handled → settled. With `auto`, what the handler returns is the outcome
 * and what it throws a retry; with `manual` its place is free again when it was settled, whenever
 * that is. Queued are never more than the credit. When the connection ends, what is queued is
 * forgotten: the daemon hands it out again.
 */
import { Delivery } from './delivery.ts';
import { FairleadClientError } from './error.ts';
import { Fifo } from './fifo.ts';
import type { Arrival, Link, SubscriptionCore } from './subscription.ts';
import type { Outcome, OutcomeName } from './types.ts';

// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing has sent it.
export type HandlerResult = void | undefined | OutcomeName | Outcome;
export type Handler = (delivery: Delivery) => HandlerResult | Promise<HandlerResult>;

export interface ConsumerOptions {
  readonly settle: 'auto' | 'manual';
  readonly concurrency: number;
  readonly handler: Handler;
  readonly error: (error: FairleadClientError) => void;
}

const RETRY_BASE_MS = 1000;
const RETRY_CAP_MS = 60_000;

export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #queue = new Fifo<{ delivery: Delivery; link: Link }>();
  #core: SubscriptionCore | undefined;
  #running = 0;
  /** Of those running, the ones that wait for a settlement by hand over the present connection. */
  #held = 0;
  #asked = false;
  #watchers: (() => void)[] = [];

  constructor(options: ConsumerOptions) {
    this.#options = options;
  }

  bind(core: SubscriptionCore): void {
    this.#core = core;
  }

  take({ deliveries, link }: Arrival): void {
    const isLive = (): boolean => link.isLive;
    for (const wire of deliveries) {
      const end = (delivery: Delivery, outcome: Outcome): boolean =>
        this.#ended(link, delivery, outcome);
      this.#queue.push({ delivery: new Delivery(wire, end, isLive), link });
    }
    this.#run();
  }

  lost(): void {
    this.#queue.drain();
    this.#running -= this.#held;
    this.#held = 0;
    this.#notify();
  }

  /** Gives back what is queued; resolves when no handler runs and nothing is held. */
  async stop(): Promise<void> {
    this.#core?.close();
    for (const { delivery, link } of this.#queue.drain()) {
      this.#core?.settle(link, delivery.number, { outcome: 'notAttempted' });
    }
    while (this.#running > 0) {
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  #run(): void {
    while (this.#running < this.#options.concurrency) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#running += 1;
      if (this.#options.settle === 'manual') this.#held += 1;
      this.#handle(next.delivery);
    }
  }

  #handle(delivery: Delivery): void {
    try {
      const result = this.#options.handler(delivery);
      if (result instanceof Promise) {
        result.then(
          (value) => this.#handled(delivery, value),
          (cause) => this.#threw(delivery, cause),
        );
      } else {
        this.#handled(delivery, result);
      }
    } catch (cause) {
      this.#threw(delivery, cause);
    }
  }

  #handled(delivery: Delivery, result: HandlerResult): void {
    if (this.#options.settle === 'manual') return;
    this.#release();
    if (result === undefined) delivery.sent();
    else delivery.end(typeof result === 'string' ? { outcome: result } : result);
  }

  #threw(delivery: Delivery, cause: unknown): void {
    const message = cause instanceof Error ? cause.message : String(cause);
    this.#options.error(new FairleadClientError('handlerFailed', message));
    if (this.#options.settle === 'auto') this.#release();
    const most = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** Math.min(delivery.attempt - 1, 16));
    delivery.retry(Math.round(most / 2 + (Math.random() * most) / 2));
  }

  /** A delivery got its outcome: by the handler's return, or by hand. */
  #ended(link: Link, delivery: Delivery, outcome: Outcome): boolean {
    if (this.#options.settle === 'manual' && link.isLive && this.#held > 0) {
      this.#held -= 1;
      this.#release();
    }
    return this.#core?.settle(link, delivery.number, outcome) ?? false;
  }

  #release(): void {
    this.#running -= 1;
    this.#notify();
    if (this.#asked || this.#queue.length === 0) return;
    this.#asked = true;
    // In a later microtask: a handler that returns at once would otherwise nest call in call.
    queueMicrotask(() => {
      this.#asked = false;
      this.#run();
    });
  }

  #notify(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}
