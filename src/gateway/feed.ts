/**
 * One internal connection of a gateway with its subscriptions: decodes deliveries, gathers
 * settlements a turn of the event loop, gives credit back with them.
 *
 * States: open → retiring (takes nothing more; what still comes is given back as not attempted) →
 * closed, once every delivery is settled and the shard has said that no other is on its way. `close`
 * ends it at once: what is unsettled then returns in doubt.
 */
import type { Logger } from '../base/logger.ts';
import { LIMITS } from '../limits.ts';
import {
  type Delivery,
  decodeDaemonFrame,
  type ErrorFrame,
  encodeCredit,
  encodeSettle,
  encodeSubscribe,
  messageIdToText,
  type SettleOutcome,
} from '../protocol/frames.ts';
import { DELIVERY_FLAG, OUTCOME } from '../protocol/kinds.ts';
import type { Job, Settler, Ticket, WireOutcome } from './job.ts';
import type { GatewayConnection, GatewayShards } from './ports.ts';
import { ReadAhead } from './read-ahead.ts';

export interface FeedOptions {
  readonly gateway: string;
  /** All in one shard. */
  readonly destinations: readonly string[];
  readonly shard: number;
  /** Deliveries of each destination that may be unsettled at one time. */
  readonly credit: number;
  /** Whether more than those are asked for while the gateway is fast. */
  readonly readsAhead: boolean;
  readonly shards: GatewayShards;
  readonly logger: Logger;
  /** Takes deliveries, each to be settled once. */
  readonly take: (jobs: readonly Job[]) => void;
  /** A subscription was refused: nothing comes for its destination. */
  readonly refused: (error: ErrorFrame) => void;
}

/** Request ids: one a subscription, and this one for the question whether all has come. */
const BARRIER_ID = LIMITS.subscriptionsPerConnection + 1;
const UNTRIED: WireOutcome = { outcome: OUTCOME.notAttempted };
/** A fast gateway's outcomes leave together: so many, or what came in so long a time. */
const GATHERED_MAX = 256;
const GATHER_MS = 3;
/** From so many messages read ahead on; slower ones tell each turn. */
const GATHER_FROM = 16;
/** Of a lease, the part that is kept for the way of an outcome. */
const LEASE_MARGIN = 0.1;
const LEASE_MARGIN_MS_MAX = 1_000;

/** A subscription. */
interface Lane {
  /** Settlements that wait for the next flush. */
  outcomes: (number | SettleOutcome)[];
  /** Deliveries that are unsettled, and those that the shard may still send. */
  granted: number;
}

export class GatewayFeed implements Settler {
  readonly #options: FeedOptions;
  readonly #connection: GatewayConnection;
  /** By subscription number, from 1; the destination's index is one less. */
  readonly #lanes = new Map<number, Lane>();
  readonly #ahead = new ReadAhead(performance.now());
  /** Messages beyond the window that were last asked for. */
  #aheadNow = 0;
  #credit: number;
  #readsAhead: boolean;
  /** Outcomes that wait for the flush. */
  #gathered = 0;
  #gatherTimer: NodeJS.Timeout | undefined;
  #flushAsked = false;
  /** Who waits until the settlements so far are on their way. */
  readonly #afterFlush: (() => void)[] = [];
  #unsettled = 0;
  #bytes = 0;
  #parked = false;
  #state: 'open' | 'retiring' | 'closed' = 'open';
  /** The shard said that nothing is on its way. */
  #allCame = false;
  #closed: (() => void) | undefined;
  readonly #whenClosed: Promise<void>;

  readonly #flushAndClose = (): void => {
    this.#flush();
    this.#closeIfDone();
  };

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#credit = options.credit;
    this.#readsAhead = options.readsAhead;
    this.#whenClosed = new Promise((resolve) => {
      this.#closed = resolve;
    });
    this.#connection = options.shards.connect((frame) => this.#take(frame));
    for (const [index, destination] of options.destinations.entries()) {
      const { gateway, credit } = options;
      const subscription = index + 1;
      const frame = { id: subscription, subscription, destination, credit, gateway };
      this.#lanes.set(subscription, { outcomes: [], granted: credit });
      this.#connection.send(options.shard, encodeSubscribe(frame));
    }
  }

  /** Deliveries that have no outcome yet. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /** So many jobs wait for a place of the gateway. */
  waits(count: number): void {
    this.#ahead.waits(count);
  }

  /** Raises the credit of every subscription; from now on more is asked for where that may be. */
  grow(credit: number, readsAhead: boolean): void {
    if (this.#state !== 'open') return;
    this.#credit = Math.max(this.#credit, credit);
    this.#readsAhead = readsAhead;
    for (const [subscription, lane] of this.#lanes) this.#grant(subscription, lane);
  }

  /**
   * Settles one delivery, at the end of this turn or, of a fast gateway, soon after; `then` is called
   * when the settlement is on its way.
   *
   * @throws Error when it is settled already
   */
  settle(ticket: Ticket, outcome: WireOutcome, then?: () => void): void {
    if (ticket.settled) throw new Error(`delivery ${ticket.delivery} is settled twice`);
    ticket.settled = true;
    if (this.#state === 'closed') {
      then?.();
      return;
    }
    this.#unsettled -= 1;
    this.#bytes -= ticket.bytes;
    if (wasAttempt(outcome)) this.#ahead.ended();
    if (then !== undefined) this.#afterFlush.push(then);
    this.#add(ticket.subscription, ticket.delivery, outcome);
    if (this.#parked && this.#state === 'open' && this.#bytes < LIMITS.gatewayUnparkBelowBytes) {
      this.#parked = false;
      this.#connection.unpark();
    }
  }

  /** Takes nothing more; resolves when all is settled and the connection is closed. */
  retire(): Promise<void> {
    if (this.#state === 'open') {
      this.#flush();
      this.#state = 'retiring';
      this.#connection.park();
      // Answered behind every delivery that was picked before the shard knew.
      const barrier = { id: BARRIER_ID, subscription: 1, outcomes: [] };
      this.#connection.send(this.#options.shard, encodeSettle(barrier));
    }
    return this.#whenClosed;
  }

  /** Ends it now. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#flush();
    this.#state = 'closed';
    this.#connection.close();
    this.#closed?.();
  }

  #take(bytes: Uint8Array): void {
    const frame = decodeDaemonFrame(bytes);
    if (frame.kind === 'deliver') {
      this.#deliver(frame.subscription, frame.deliveries);
    } else if (frame.kind === 'ok' && frame.id === BARRIER_ID) {
      this.#allCame = true;
      this.#closeIfDone();
    } else if (frame.kind === 'error') {
      const { gateway, logger } = this.#options;
      const { code, message } = frame;
      logger.warn({ gateway, code, reason: message }, 'a shard refused a request of a gateway');
      if (frame.id === BARRIER_ID) this.close();
      else if (frame.id > 0) this.#options.refused(frame);
    }
  }

  #deliver(subscription: number, deliveries: readonly Delivery[]): void {
    this.#unsettled += deliveries.length;
    const destination = this.#options.destinations[subscription - 1] ?? '';
    const leaseEndMs = this.#leaseEndMs(destination);
    const jobs = deliveries.map((each): Job => {
      this.#bytes += each.payload.byteLength;
      return {
        messageId: messageIdToText(each.messageId),
        destination,
        tenant: each.tenant,
        sender: each.sender,
        recipient: each.recipient,
        payload: each.payload.slice(),
        attempt: each.attempt,
        acceptedMs: each.acceptedMs,
        expiresMs: each.expiresMs,
        maybeDuplicate: (each.flags & DELIVERY_FLAG.maybeDelivered) !== 0,
        leaseEndMs,
        ticket: {
          settler: this,
          subscription,
          delivery: each.delivery,
          bytes: each.payload.byteLength,
          settled: false,
        },
      };
    });
    if (this.#state !== 'open') {
      for (const { ticket } of jobs) this.settle(ticket, UNTRIED);
      return;
    }
    if (!this.#parked && this.#bytes >= LIMITS.gatewayParkBytes) {
      this.#parked = true;
      this.#connection.park();
    }
    this.#options.take(jobs);
  }

  #leaseEndMs(destination: string): number {
    const leaseMs = this.#options.shards.destination(destination)?.leaseMs ?? LIMITS.leaseMsDefault;
    const marginMs = Math.min(LEASE_MARGIN * leaseMs, LEASE_MARGIN_MS_MAX);
    return performance.now() + leaseMs - marginMs;
  }

  #add(subscription: number, delivery: number, outcome: WireOutcome): void {
    const isPlain = outcome.outcome === OUTCOME.sent && outcome.code === undefined;
    this.#lanes.get(subscription)?.outcomes.push(isPlain ? delivery : { delivery, ...outcome });
    this.#gathered += 1;
    if (this.#flushAsked) return;
    if (this.#gathers()) {
      this.#gatherTimer ??= setTimeout(this.#flushAndClose, GATHER_MS);
      return;
    }
    this.#flushAsked = true;
    setImmediate(this.#flushAndClose);
  }

  /**
   * Each exchange with the shard costs the same, however much is in it: one that is fast needs few. Only
   * where messages are read ahead: elsewhere its window would stand empty meanwhile.
   */
  #gathers(): boolean {
    const isFast = this.#aheadNow >= GATHER_FROM;
    return isFast && this.#state === 'open' && this.#gathered < GATHERED_MAX;
  }

  #flush(): void {
    this.#flushAsked = false;
    this.#gathered = 0;
    clearTimeout(this.#gatherTimer);
    this.#gatherTimer = undefined;
    if (this.#state === 'closed') return;
    const { shard } = this.#options;
    for (const [subscription, lane] of this.#lanes) {
      const { outcomes } = lane;
      if (outcomes.length === 0) continue;
      lane.outcomes = [];
      lane.granted -= outcomes.length;
      this.#connection.send(shard, encodeSettle({ id: 0, subscription, outcomes }));
      if (this.#state === 'open') this.#grant(subscription, lane);
    }
    for (const then of this.#afterFlush.splice(0)) then();
  }

  /** Gives the credit that is missing; where more is out than should be, later settlements give less. */
  #grant(subscription: number, lane: Lane): void {
    this.#aheadNow = this.#mayReadAhead() ? this.#ahead.messages(performance.now()) : 0;
    const add = Math.min(this.#credit + this.#aheadNow, LIMITS.creditMax) - lane.granted;
    if (add <= 0) return;
    lane.granted += add;
    this.#connection.send(this.#options.shard, encodeCredit({ id: 0, subscription, add }));
  }

  /** Where a message in doubt does not go out again, a crash would end what waits here as if it had been sent. */
  #mayReadAhead(): boolean {
    const [only = ''] = this.#options.destinations;
    return this.#readsAhead && this.#options.shards.destination(only)?.onDoubt === 'redeliver';
  }

  #closeIfDone(): void {
    const isDone = this.#allCame && this.#unsettled === 0 && !this.#flushAsked;
    if (this.#state === 'retiring' && isDone) this.close();
  }
}

/** Whether it says how fast the gateway is. */
function wasAttempt({ outcome }: WireOutcome): boolean {
  return outcome !== OUTCOME.notAttempted && outcome !== OUTCOME.throttled;
}
