import type { Delivery as WireDelivery } from '../protocol/frames.ts';
import { DELIVERY_FLAG } from '../protocol/kinds.ts';
import { idText } from './message-id.ts';
import type { Outcome, OutcomeName } from './types.ts';

const textDecoder = new TextDecoder();

/**
 * One attempt to hand over one message. It ends with one outcome; each of the ending methods
 * returns false when it has one already or its connection is gone, and then changes nothing.
 */
export class Delivery {
  readonly #wire: WireDelivery;
  readonly #end: (delivery: Delivery, outcome: Outcome) => boolean;
  readonly #isLive: () => boolean;
  #ended = false;

  constructor(
    wire: WireDelivery,
    end: (delivery: Delivery, outcome: Outcome) => boolean,
    isLive: () => boolean,
  ) {
    this.#wire = wire;
    this.#end = end;
    this.#isLive = isLive;
  }

  /** The message's id, 32 hexadecimal digits: the same in every attempt. */
  get id(): string {
    return idText(this.#wire.messageId);
  }

  get tenant(): string {
    return this.#wire.tenant;
  }

  get sender(): string | undefined {
    return this.#wire.sender;
  }

  get recipient(): string | undefined {
    return this.#wire.recipient;
  }

  /** A view of the frame it came in: copy what is kept for long. */
  get payload(): Uint8Array {
    return this.#wire.payload;
  }

  /** The payload as UTF-8. */
  get text(): string {
    return textDecoder.decode(this.#wire.payload);
  }

  /** From 1. */
  get attempt(): number {
    return this.#wire.attempt;
  }

  get acceptedMs(): number {
    return this.#wire.acceptedMs;
  }

  /** When its validity ends, ms since the epoch. */
  get expiresAtMs(): number | undefined {
    return this.#wire.expiresMs;
  }

  /** An earlier attempt may have reached the recipient: its outcome was never told. */
  get maybeDelivered(): boolean {
    return (this.#wire.flags & DELIVERY_FLAG.maybeDelivered) !== 0;
  }

  /** False once its connection ended: the daemon has taken the message back. */
  get isLive(): boolean {
    return this.#isLive();
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  sent(code?: number): boolean {
    return this.end(outcome('sent', { code }));
  }

  delivered(code?: number): boolean {
    return this.end(outcome('delivered', { code }));
  }

  /** Comes again after that time, with the next attempt. */
  retry(retryAfterMs: number, code?: number): boolean {
    return this.end(outcome('retry', { retryAfterMs, code }));
  }

  /** For good. */
  failed(code?: number): boolean {
    return this.end(outcome('failed', { code }));
  }

  /** The gateway, the tenant or the sender rests for that time; it costs the tenant nothing. */
  throttled(retryAfterMs: number, scope: 'gateway' | 'tenant' | 'sender' = 'gateway'): boolean {
    return this.end(outcome('throttled', { retryAfterMs, scope }));
  }

  /** Back to the head of its queue; it costs the tenant nothing. */
  notAttempted(): boolean {
    return this.end(outcome('notAttempted', {}));
  }

  end(outcome: Outcome): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    return this.#end(this, outcome);
  }

  /** Its number on its connection. */
  get number(): number {
    return this.#wire.delivery;
  }
}

function outcome(
  name: OutcomeName,
  fields: {
    code?: number | undefined;
    retryAfterMs?: number;
    scope?: 'gateway' | 'tenant' | 'sender';
  },
): Outcome {
  const { code, ...rest } = fields;
  return { outcome: name, ...rest, ...(code !== undefined && { code }) };
}
