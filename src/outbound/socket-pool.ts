/**
 * The sockets of outgoing requests: for each origin as many as its requests need, bounded for an
 * origin and in all. One slot is one client with at most one socket and one request; what a client is
 * says who makes the pool.
 *
 * A slot is `taken` (a request has it), `idle` (kept for its origin's next one) or gone. Who gets no
 * slot waits in the line of its origin. When all sockets are used up, an origin that waits takes the
 * socket that was idle longest, else the next that is given back: origins in turn, so that no
 * origin with many requests keeps the others out.
 */
import { LIMITS } from '../limits.ts';
import { OutboundError } from './outbound-error.ts';

/** One request in need of a slot. */
export interface Waiter<C> {
  /** Takes the slot; gives it back with `release`. */
  start(slot: Slot<C>): void;
  /** There will be none. */
  fail(error: OutboundError): void;
}

export interface Slot<C> {
  readonly client: C;
  readonly origin: Origin<C>;
  /** Not idle and not gone. */
  isTaken: boolean;
}

interface Origin<C> {
  readonly name: string;
  /** Slots, taken or idle. */
  slots: number;
  /** The one used last comes first: so the others can end. */
  readonly idle: Slot<C>[];
  readonly waiting: Set<Waiter<C>>;
}

/** What makes the connection of a slot. */
export interface PooledClient {
  /** Ends the connection; a request under way fails, with the error if one is given. */
  destroy(error?: Error): unknown;
}

export interface SocketPoolOptions<C> {
  /** `lost` has to be called when the connection ended: it matters where the slot is idle. */
  readonly open: (origin: string, lost: () => void) => C;
  readonly socketsMax?: number;
  readonly socketsPerOriginMax?: number;
}

export interface PoolNumbers {
  readonly origins: number;
  readonly sockets: number;
  readonly idle: number;
  readonly waiting: number;
}

export class SocketPool<C extends PooledClient> {
  readonly #open: SocketPoolOptions<C>['open'];
  readonly #socketsMax: number;
  readonly #perOriginMax: number;
  readonly #origins = new Map<string, Origin<C>>();
  /** Idle slots of all origins, the longest idle first. */
  readonly #idle = new Set<Slot<C>>();
  /** Origins that could have one more slot if there were sockets, in order of their turn. */
  readonly #starving = new Set<Origin<C>>();
  /** Those taken and those idle. */
  readonly #slots = new Set<Slot<C>>();
  #waiting = 0;
  #closed = false;

  constructor({ open, socketsMax, socketsPerOriginMax }: SocketPoolOptions<C>) {
    this.#open = open;
    this.#socketsMax = socketsMax ?? LIMITS.outboundSockets;
    this.#perOriginMax = socketsPerOriginMax ?? LIMITS.outboundSocketsPerOrigin;
  }

  get numbers(): PoolNumbers {
    return {
      origins: this.#origins.size,
      sockets: this.#slots.size,
      idle: this.#idle.size,
      waiting: this.#waiting,
    };
  }

  /** Starts the waiter with a slot, at once or when there is one. */
  acquire(name: string, waiter: Waiter<C>): void {
    if (this.#closed) {
      waiter.fail(new OutboundError('reset', 'Outgoing requests have ended.'));
      return;
    }
    let origin = this.#origins.get(name);
    if (origin === undefined) {
      origin = { name, slots: 0, idle: [], waiting: new Set() };
      this.#origins.set(name, origin);
    }
    const slot = origin.waiting.size === 0 ? this.#slotFor(origin) : undefined;
    if (slot !== undefined) {
      waiter.start(slot);
      return;
    }
    if (this.#waiting >= LIMITS.outboundWaiting) {
      waiter.fail(new OutboundError('timeout', 'As many requests wait for a socket as may.'));
      this.#forgetIfUnused(origin);
      return;
    }
    origin.waiting.add(waiter);
    this.#waiting += 1;
    if (origin.slots < this.#perOriginMax) this.#starving.add(origin);
  }

  /** Takes a waiter out of the line. */
  cancel(name: string, waiter: Waiter<C>): void {
    const origin = this.#origins.get(name);
    if (origin === undefined || !origin.waiting.delete(waiter)) return;
    this.#waiting -= 1;
    if (origin.waiting.size === 0) this.#starving.delete(origin);
    this.#forgetIfUnused(origin);
  }

  /** Gives a slot back; `reusable` false ends its socket. */
  release(slot: Slot<C>, reusable: boolean): void {
    if (!slot.isTaken) return;
    slot.isTaken = false;
    const { origin } = slot;
    const isOthersTurn = this.#starving.size > 0 && first(this.#starving) !== origin;
    if (!reusable || this.#closed || isOthersTurn) {
      this.#end(slot);
      this.#serve(origin);
      return;
    }
    if (origin.waiting.size > 0) {
      slot.isTaken = true;
      this.#startNext(origin, slot);
      return;
    }
    origin.idle.push(slot);
    this.#idle.add(slot);
  }

  /** Ends every socket; requests under way end as reset. */
  async close(): Promise<void> {
    this.#closed = true;
    const error = new OutboundError('reset', 'Outgoing requests have ended.');
    for (const origin of [...this.#origins.values()]) {
      for (const waiter of [...origin.waiting]) {
        this.cancel(origin.name, waiter);
        waiter.fail(error);
      }
    }
    const slots = [...this.#slots];
    for (const slot of this.#idle) this.#slots.delete(slot);
    this.#idle.clear();
    await Promise.all(slots.map(({ client }) => client.destroy(error)));
  }

  /** An idle slot of the origin or a new one; undefined at the bounds. */
  #slotFor(origin: Origin<C>): Slot<C> | undefined {
    const idle = origin.idle.pop();
    if (idle !== undefined) {
      this.#idle.delete(idle);
      idle.isTaken = true;
      return idle;
    }
    if (origin.slots >= this.#perOriginMax) return undefined;
    if (this.#slots.size >= this.#socketsMax && !this.#endIdlest()) {
      return undefined;
    }
    return this.#newSlot(origin);
  }

  #newSlot(origin: Origin<C>): Slot<C> {
    // The peer ended an idle connection, or it was idle for long.
    const lost = (): void => {
      if (!this.#idle.delete(slot)) return;
      origin.idle.splice(origin.idle.indexOf(slot), 1);
      this.#end(slot);
      this.#serve(origin);
    };
    const slot: Slot<C> = { client: this.#open(origin.name, lost), origin, isTaken: true };
    origin.slots += 1;
    this.#slots.add(slot);
    return slot;
  }

  #endIdlest(): boolean {
    const [slot] = this.#idle;
    if (slot === undefined) return false;
    this.#idle.delete(slot);
    slot.origin.idle.splice(slot.origin.idle.indexOf(slot), 1);
    this.#end(slot);
    return true;
  }

  /** For a slot that is neither taken nor idle any more. */
  #end(slot: Slot<C>): void {
    this.#slots.delete(slot);
    slot.origin.slots -= 1;
    void slot.client.destroy();
    this.#forgetIfUnused(slot.origin);
  }

  /** After a socket ended: the next starving origin, or the one that may now open another. */
  #serve(origin: Origin<C>): void {
    if (this.#closed) return;
    if (origin.waiting.size > 0 && origin.slots < this.#perOriginMax) this.#starving.add(origin);
    const [next] = this.#starving;
    if (next === undefined) return;
    const slot = this.#slotFor(next);
    if (slot !== undefined) this.#startNext(next, slot);
  }

  #startNext(origin: Origin<C>, slot: Slot<C>): void {
    const [waiter] = origin.waiting;
    if (waiter === undefined) throw new Error('an origin without waiters was given a slot');
    origin.waiting.delete(waiter);
    this.#waiting -= 1;
    // To the end of the line.
    this.#starving.delete(origin);
    if (origin.waiting.size > 0 && origin.slots < this.#perOriginMax) this.#starving.add(origin);
    waiter.start(slot);
  }

  #forgetIfUnused(origin: Origin<C>): void {
    if (origin.slots > 0 || origin.waiting.size > 0) return;
    this.#origins.delete(origin.name);
  }
}

function first<T>(all: ReadonlySet<T>): T | undefined {
  const [each] = all;
  return each;
}
