/** The consumer of the pull gateway: settles what it gets as planned, some of it later. */
import {
  type Delivery,
  encodeCredit,
  encodeSettle,
  encodeSubscribe,
  type OkFrame,
  readSettleOk,
  type SettleOutcome,
} from '../../src/protocol/frames.ts';
import { DELIVERY_FLAG, OUTCOME } from '../../src/protocol/kinds.ts';
import { messageIdToText } from '../../src/protocol/message-id.ts';
import { numberOf, planned, REJECT_CODES, type SeenAttempt } from './gateway-traffic.ts';
import { below, type Random } from './traffic.ts';
import { WireClient } from './wire-client.ts';

const CREDIT = 50;
const SUBSCRIPTION = 1;
const SUBSCRIBE_ID = 1;
const RETRY_SHARE = 0.04;

export class PullConsumer {
  readonly attempts: SeenAttempt[] = [];
  readonly strange: string[] = [];
  readonly #random: Random;
  readonly #settles = new Map<number, SeenAttempt>();
  #client: WireClient | undefined;
  #request = SUBSCRIBE_ID;
  isDraining = false;

  constructor(random: Random) {
    this.#random = random;
  }

  async connect({ url, token }: { readonly url: string; readonly token: string }): Promise<void> {
    const client = await WireClient.open(url, token, {
      ok: (frame) => this.#answered(frame),
      error: ({ code, message }) => this.strange.push(`pull: ${code} ${message}`),
      deliver: (_, deliveries) => {
        for (const each of deliveries) void this.#take(each, client);
      },
      closed: () => this.#settles.clear(),
    });
    this.#client = client;
    const id = SUBSCRIBE_ID;
    const subscription = SUBSCRIPTION;
    const frame = { id, subscription, destination: 'pull', credit: CREDIT, gateway: 'pull' };
    client.send(encodeSubscribe(frame));
  }

  end(): void {
    this.#client?.close();
  }

  async #take(delivery: Delivery, client: WireClient): Promise<void> {
    const { attempt, flags, recipient, payload, messageId } = delivery;
    const number = numberOf(recipient ?? null) ?? -1;
    const plan = planned(Math.max(0, number));
    const isRight = plan.text === Buffer.from(payload).toString() && plan.destination === 'pull';
    if (number < 0 || !isRight) this.strange.push(`pull got ${recipient}`);
    const flagged = (flags & DELIVERY_FLAG.maybeDelivered) !== 0;
    const id = messageIdToText(messageId);
    const seen: SeenAttempt = {
      ...{ number, gateway: 'pull', atMs: Date.now(), attempt, id, flagged },
      ...{ said: 'open', answeredMs: 0, maybeLost: false },
    };
    this.attempts.push(seen);
    const heldMs = this.isDraining ? 0 : below(this.#random, 60);
    await new Promise((resolve) => setTimeout(resolve, heldMs));
    if (!client.isOpen) return;
    this.#request += 1;
    const isLater = !this.isDraining && this.#random() < RETRY_SHARE;
    const { fate } = plan;
    seen.said = isLater ? 'refused' : fate === 'rejected' ? 'rejected' : 'taken';
    seen.answeredMs = Date.now();
    // It may not arrive, or not be acknowledged.
    seen.maybeLost = true;
    this.#settles.set(this.#request, seen);
    const common = { delivery: delivery.delivery };
    const outcomes: SettleOutcome[] = [
      isLater
        ? { ...common, outcome: OUTCOME.retry, retryAfterMs: 20 }
        : fate === 'rejected'
          ? { ...common, outcome: OUTCOME.failed, code: REJECT_CODES.pull }
          : { ...common, outcome: fate === 'delivered' ? OUTCOME.delivered : OUTCOME.sent },
    ];
    client.send(encodeSettle({ id: this.#request, subscription: SUBSCRIPTION, outcomes }));
    client.send(encodeCredit({ id: 0, subscription: SUBSCRIPTION, add: 1 }));
  }

  /** Only an acknowledged settlement is sure. */
  #answered(frame: OkFrame): void {
    const seen = this.#settles.get(frame.id);
    this.#settles.delete(frame.id);
    if (seen !== undefined && readSettleOk(frame).applied === 1) seen.maybeLost = false;
  }
}
