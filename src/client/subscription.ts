/**
 * One subscription over all connections of its client: credit, settlements, subscribing again.
 *
 * waiting (for a connection) → subscribed → waiting … → closed. Delivery numbers mean something on
 * their own connection only: what is settled after it ended is dropped, the daemon has taken the
 * message back. The protocol has no frame to unsubscribe: once closed, what still comes for the
 * credit that is left is given back as not attempted.
 */
import { type Delivery, encodeCredit, encodeSubscribe } from '../protocol/frames.ts';
import type { Connection } from './connection.ts';
import type { FairleadClientError } from './error.ts';
import { Settlements } from './settlements.ts';
import type { Outcome } from './types.ts';

/** Deliveries of one frame, and the connection over which they may be settled. */
export interface Arrival {
  readonly deliveries: readonly Delivery[];
  readonly link: Link;
}

/** A subscription's life on one connection. */
export class Link {
  readonly connection: Connection;
  readonly settlements: Settlements;
  /** Finished deliveries whose credit was not given back yet. */
  owedCredit = 0;
  unsettled = 0;

  constructor(connection: Connection, settlements: Settlements) {
    this.connection = connection;
    this.settlements = settlements;
  }

  get isLive(): boolean {
    return this.connection.isOpen;
  }
}

export interface SubscriptionOptions {
  readonly number: number;
  readonly destination: string;
  readonly credit: number;
  /** The gateway that takes them. */
  readonly gateway?: string | undefined;
  /** A refusal that belongs to no call. */
  readonly error: (error: FairleadClientError) => void;
  /** Takes deliveries; they stay its business until it settles them. */
  readonly take: (arrival: Arrival) => void;
  /** The connection ended: deliveries over it are void. */
  readonly lost: () => void;
}

const NOT_ATTEMPTED: Outcome = { outcome: 'notAttempted' };

export class SubscriptionCore {
  readonly #options: SubscriptionOptions;
  #link: Link | undefined;
  #closed = false;
  #credit: number;
  #error: FairleadClientError | undefined;
  #subscribed = false;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #watchers: (() => void)[] = [];

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#credit = options.credit;
  }

  get number(): number {
    return this.#options.number;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get unsettled(): number {
    return this.#link?.unsettled ?? 0;
  }

  /** Resolves at the first acceptance by the daemon. @throws FairleadClientError if it was refused */
  async ready(): Promise<void> {
    while (!this.#subscribed && !this.#closed) {
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
    if (this.#error !== undefined) throw this.#error;
  }

  attach(connection: Connection): void {
    const { number: subscription, destination, error, credit, gateway } = this.#options;
    this.#credit = Math.min(credit, connection.limits.creditMax);
    const settlements = new Settlements(connection, subscription, error);
    const link = new Link(connection, settlements);
    this.#link = link;
    const frame = { subscription, destination, credit: this.#credit, gateway };
    connection.request((id) => encodeSubscribe({ id, ...frame }), {
      ok: () => {
        this.#subscribed = true;
        this.#notify();
      },
      failed: (refusal) => this.#refused(link, refusal),
    });
  }

  detach(): void {
    clearTimeout(this.#retryTimer);
    if (this.#link === undefined) return;
    this.#link = undefined;
    this.#options.lost();
  }

  arrived(deliveries: readonly Delivery[]): void {
    const link = this.#link;
    if (link === undefined) return;
    link.unsettled += deliveries.length;
    if (this.#closed) {
      for (const { delivery } of deliveries) this.settle(link, delivery, NOT_ATTEMPTED);
    } else {
      this.#options.take({ deliveries, link });
    }
  }

  /** Settles one delivery and gives its credit back. False if its connection is gone. */
  settle(link: Link, delivery: number, outcome: Outcome | undefined): boolean {
    if (!link.isLive) return false;
    link.unsettled -= 1;
    link.settlements.add(delivery, outcome);
    this.#giveBack(link);
    return true;
  }

  flush(): void {
    this.#link?.settlements.flush();
  }

  /** Takes nothing more; deliveries not yet settled may still be. */
  close(error?: FairleadClientError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    clearTimeout(this.#retryTimer);
    this.#notify();
  }

  /** In steps of half the window: one small frame for many deliveries, and the daemon never runs dry. */
  #giveBack(link: Link): void {
    link.owedCredit += 1;
    if (this.#closed || link.owedCredit * 2 < this.#credit) return;
    const add = link.owedCredit;
    link.owedCredit = 0;
    // Settlements first: the daemon counts a delivery as outstanding until it is settled.
    link.settlements.flush();
    link.connection.send(encodeCredit({ id: 0, subscription: this.number, add }));
  }

  #refused(link: Link, error: FairleadClientError): void {
    if (link !== this.#link || error.error === 'connectionLost') return;
    if (!error.retryable) {
      this.close(error);
      this.#options.error(error);
      return;
    }
    this.#retryTimer = setTimeout(() => this.attach(link.connection), error.retryAfterMs ?? 1000);
  }

  #notify(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}
