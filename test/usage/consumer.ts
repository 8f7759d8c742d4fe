// Takes the messages of a run and settles them in every way; those of one destination get receipts later.
import {
  type Delivery,
  encodeCredit,
  encodeReceipt,
  encodeSettle,
  encodeSubscribe,
  type MessageReceipt,
  readSettleOk,
  type SettleOutcome,
} from '../../src/protocol/frames.ts';
import { MESSAGE_STATUS, OUTCOME } from '../../src/protocol/kinds.ts';
import type { Random } from '../crash/traffic.ts';
import { WireClient } from '../crash/wire-client.ts';
import { CONSUMED, TOLD } from './world.ts';

const CREDIT = 1_000;
const TICK_MS = 4;
const RETRY_MS = 20;

type Outcome = number | SettleOutcome;

interface Due {
  readonly outcomes: Outcome[];
  /** Of those that were sent, and are told so. */
  readonly receipts: MessageReceipt[];
}

const nothing = (): Due[] => CONSUMED.map(() => ({ outcomes: [], receipts: [] }));

export class Consumer {
  /** From now on nothing comes back. */
  isDraining = false;
  readonly faults: string[] = [];
  readonly #random: Random;
  readonly #tick: NodeJS.Timeout;
  #client: WireClient | undefined;
  #due = nothing();
  #request = 0;
  /** Receipts that wait for the answer to the settlement. */
  readonly #behind = new Map<number, readonly MessageReceipt[]>();

  constructor(random: Random) {
    this.#random = random;
    this.#tick = setInterval(() => this.#settle(), TICK_MS);
  }

  async connect(url: string, token: string): Promise<void> {
    this.#client = await WireClient.open(url, token, {
      ok: (frame) => {
        // That of a subscription says nothing.
        if (frame.result.length === 0) return;
        readSettleOk(frame);
        this.#tell(this.#behind.get(frame.id) ?? []);
        this.#behind.delete(frame.id);
      },
      error: ({ code, message }) =>
        this.faults.push(`a settlement was answered by ${code} ${message}`),
      deliver: (subscription, deliveries) => this.#take(subscription, deliveries),
      closed: () => {
        this.#due = nothing();
        this.#behind.clear();
      },
    });
    CONSUMED.forEach((destination, subscription) => {
      const id = this.#next();
      this.#client?.send(encodeSubscribe({ id, subscription, destination, credit: CREDIT }));
    });
  }

  close(): void {
    clearInterval(this.#tick);
    this.#client?.close();
  }

  #next(): number {
    this.#request += 1;
    return this.#request;
  }

  #take(subscription: number, deliveries: readonly Delivery[]): void {
    const due = this.#due[subscription] as Due;
    const isTold = CONSUMED[subscription] === TOLD;
    for (const { delivery, messageId } of deliveries) {
      const outcome = this.#outcome(delivery, CONSUMED[subscription] === 'frail');
      due.outcomes.push(outcome);
      if (isTold && typeof outcome === 'number') due.receipts.push(this.#receipt(messageId));
    }
  }

  #outcome(delivery: number, isFrail: boolean): Outcome {
    const dice = this.#random();
    const isRetried = !this.isDraining && dice < (isFrail ? 0.4 : 0.03);
    if (isRetried) return { delivery, outcome: OUTCOME.retry, retryAfterMs: RETRY_MS };
    if (dice < 0.6) return delivery;
    return { delivery, outcome: dice < 0.93 ? OUTCOME.delivered : OUTCOME.failed };
  }

  #receipt(messageId: Uint8Array): MessageReceipt {
    const isDelivered = this.#random() < 0.5;
    const status = isDelivered ? MESSAGE_STATUS.delivered : MESSAGE_STATUS.undelivered;
    // The frame that it came in is not kept.
    return { messageId: Uint8Array.from(messageId), status };
  }

  #settle(): void {
    const due = this.#due;
    this.#due = nothing();
    due.forEach(({ outcomes, receipts }, subscription) => {
      if (outcomes.length === 0) return;
      const id = this.#next();
      this.#behind.set(id, receipts);
      this.#client?.send(encodeSettle({ id, subscription, outcomes }));
      this.#client?.send(encodeCredit({ id: 0, subscription, add: outcomes.length }));
    });
  }

  #tell(receipts: readonly MessageReceipt[]): void {
    if (receipts.length > 0) this.#client?.send(encodeReceipt({ id: this.#next(), receipts }));
  }
}
