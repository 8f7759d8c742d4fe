/**
 * One gateway that the daemon drives: takes its deliveries, asks the hook, gives them to the driver
 * and settles what became of each.
 *
 * States: running → draining (gives back what waits, what is under way ends) → ended. A changed
 * gateway gets a new runner; its feed begins when that of the old one has nothing more to come.
 *
 * `doubt` is for the destination to decide: `redeliver` tries again, told to be a possible
 * duplicate, `fail` ends the message with inDoubt.
 */
import type { Logger } from '../base/logger.ts';
import { ERRORS } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { OUTCOME, THROTTLE_SCOPE } from '../protocol/kinds.ts';
import type { Doubts } from './doubts.ts';
import type { Driver, DriverHost } from './driver.ts';
import { GatewayFeed } from './feed.ts';
import type { DrivenFields } from './gateway-fields.ts';
import type { GatewayNumbers } from './gateway-numbers.ts';
import type { HookStage } from './hook-stage.ts';
import type { Job, Result, Ticket, WireOutcome } from './job.ts';
import type { GatewayShards } from './ports.ts';

/** Keeps the ids that a gateway gave to a message, for its receipts. */
export interface ReceiptKeeper {
  /** Resolves when they are on disk. */
  put(sent: {
    readonly gateway: string;
    readonly ids: readonly string[];
    readonly messageId: string;
    readonly tenant: string;
  }): Promise<void>;
  /** The settlement of a message is on its way to the shard. */
  settled(messageId: string): void;
}

export interface RunnerOptions {
  readonly name: string;
  readonly fields: DrivenFields;
  readonly inFlightMax: number;
  readonly shards: GatewayShards;
  readonly receipts: ReceiptKeeper;
  readonly doubts: Doubts;
  readonly numbers: GatewayNumbers;
  readonly logger: Logger;
  readonly driver: (host: DriverHost) => Driver;
  readonly hook: ((decided: HookDecided) => HookStage) | undefined;
}

/** Where the hook's decisions go. */
export interface HookDecided {
  readonly allow: (jobs: readonly Job[]) => void;
  readonly end: (job: Job, result: Result) => void;
  readonly refused: () => void;
  readonly failed: (reason: string) => void;
}

/** How long a refused subscription waits before the next try. */
const SUBSCRIBE_AGAIN_MS = 1_000;

export class GatewayRunner {
  readonly #options: RunnerOptions;
  readonly #driver: Driver;
  readonly #hook: HookStage | undefined;
  readonly #shard: number | undefined;
  #feed: GatewayFeed | undefined;
  /** Feeds that take nothing more and are not closed. */
  readonly #retiring = new Set<GatewayFeed>();
  #up: boolean | undefined;
  #again: NodeJS.Timeout | undefined;
  #ended = false;
  /** Attempts that have no end, the oldest first, by their number. */
  readonly #underWay = new Map<Ticket, number>();
  #lastAttempt = 0;
  /** Who waits until all attempts up to a number have ended, in order of the numbers. */
  #landings: { readonly attempt: number; readonly wake: () => void }[] = [];

  constructor(options: RunnerOptions) {
    this.#options = options;
    const [first = ''] = options.fields.destinations;
    this.#shard = options.shards.destination(first)?.shard;
    const { numbers } = options;
    const end = (job: Job, result: Result) => this.#end(job, result);
    this.#driver = options.driver({
      end,
      up: (up) => this.#tellUp(up),
      credit: (mode) => this.#setCredit(mode),
      took: (ms) => numbers.took(ms),
      failed: (reason) => numbers.failed(reason),
      waits: (count) => this.#feed?.waits(count),
    });
    this.#hook = options.hook?.({
      allow: (jobs) => this.#driver.take(jobs),
      end,
      refused: () => {
        numbers.refusedByHook += 1;
      },
      failed: (reason) => numbers.failed(reason),
    });
  }

  get name(): string {
    return this.#options.name;
  }

  get fields(): DrivenFields {
    return this.#options.fields;
  }

  get up(): boolean {
    return this.#up ?? false;
  }

  /** Deliveries without an outcome. */
  get inFlight(): number {
    let sum = this.#feed?.unsettled ?? 0;
    for (const { unsettled } of this.#retiring) sum += unsettled;
    return sum;
  }

  /** Resolves when every attempt that is under way now has ended; undefined: none is. */
  landed(): Promise<void> | undefined {
    if (this.#underWay.size === 0) return undefined;
    return new Promise((wake) => this.#landings.push({ attempt: this.#lastAttempt, wake }));
  }

  driverState(): object {
    return this.#driver.state();
  }

  /** Begins to take messages; a gateway of the type smpp when it is bound. */
  start(): void {
    // The shard takes it to be up until it is told.
    this.#tellUp(this.fields.type === 'webhook');
    if (this.fields.type === 'webhook') this.#setCredit('full');
  }

  /** Gives back what waits; nothing more is begun. What is under way ends as it can. */
  giveBack(): void {
    this.#hook?.giveBack();
    this.#driver.giveBack();
  }

  /** Ends it without haste; resolves when everything is settled. */
  async drain(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#again);
    this.#retireFeed();
    this.giveBack();
    const feeds = [...this.#retiring].map((feed) => feed.retire());
    await Promise.all(feeds);
    await this.#driver.close();
  }

  /** Ends it now: what is unsettled returns in doubt. */
  async close(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#again);
    this.#feed?.close();
    for (const feed of this.#retiring) feed.close();
    await this.#driver.close();
  }

  #tellUp(up: boolean): void {
    const { name, shards } = this.#options;
    if (this.#ended || this.#up === up || this.#shard === undefined) return;
    this.#up = up;
    // It fails only when the shard ends, and with it what it was told.
    shards.gatewayUp(this.#shard, name, up).catch(() => {});
  }

  #setCredit(mode: 'none' | 'probe' | 'full'): void {
    if (this.#ended) return;
    if (mode === 'none') {
      this.#retireFeed();
    } else {
      const { inFlightMax, fields } = this.#options;
      const isProbe = mode === 'probe';
      const credit = isProbe ? 1 : Math.min(inFlightMax, LIMITS.creditMax);
      // What is in flight at several destinations is for the shard alone to count.
      const readsAhead = !isProbe && fields.destinations.length === 1;
      if (this.#feed === undefined) this.#feed = this.#openFeed(credit, readsAhead);
      else this.#feed.grow(credit, readsAhead);
    }
  }

  #openFeed(credit: number, readsAhead: boolean): GatewayFeed | undefined {
    const { name, fields, shards, logger } = this.#options;
    if (this.#shard === undefined) return undefined;
    const feed: GatewayFeed = new GatewayFeed({
      gateway: name,
      destinations: fields.destinations,
      shard: this.#shard,
      credit,
      readsAhead,
      shards,
      logger,
      take: (jobs) => this.#take(jobs),
      refused: () => this.#subscribeAgain(feed),
    });
    return feed;
  }

  /** A destination that is being deleted, or a shard with too much to do: later all of them anew. */
  #subscribeAgain(feed: GatewayFeed): void {
    if (feed !== this.#feed || this.#ended) return;
    this.#retireFeed();
    clearTimeout(this.#again);
    this.#again = setTimeout(() => {
      if (this.#up === true) this.#setCredit('full');
    }, SUBSCRIBE_AGAIN_MS);
  }

  #retireFeed(): void {
    const feed = this.#feed;
    this.#feed = undefined;
    if (feed === undefined) return;
    this.#retiring.add(feed);
    void feed.retire().then(() => this.#retiring.delete(feed));
  }

  #take(jobs: readonly Job[]): void {
    const marked = jobs.map((job) => this.#options.doubts.mark(job));
    for (const { ticket } of jobs) {
      this.#lastAttempt += 1;
      this.#underWay.set(ticket, this.#lastAttempt);
    }
    if (this.#hook === undefined) this.#driver.take(marked);
    else this.#hook.take(marked);
  }

  #end(job: Job, result: Result): void {
    const { numbers, receipts, doubts, name } = this.#options;
    const { messageId, tenant, ticket } = job;
    numbers.ended(result.kind);
    if (result.kind === 'sent' || result.kind === 'failed') doubts.forget(messageId);
    const outcome = this.#wireOutcome(job, result);
    if (result.kind !== 'sent' || result.ids === undefined) {
      ticket.settler.settle(ticket, outcome);
      this.#land(ticket);
      return;
    }
    const sent = { gateway: name, ids: result.ids, messageId, tenant };
    const settle = (): void =>
      ticket.settler.settle(ticket, outcome, () => receipts.settled(messageId));
    // A write that fails ends the process; the message is in doubt then.
    receipts.put(sent).then(settle, () => {});
    // Its ids are known from here on.
    this.#land(ticket);
  }

  #land(ticket: Ticket): void {
    this.#underWay.delete(ticket);
    if (this.#landings.length === 0) return;
    const [oldest = Number.POSITIVE_INFINITY] = this.#underWay.values();
    const still = this.#landings.findIndex(({ attempt }) => attempt >= oldest);
    const count = still < 0 ? this.#landings.length : still;
    for (const { wake } of this.#landings.splice(0, count)) wake();
  }

  #wireOutcome(job: Job, result: Result): WireOutcome {
    switch (result.kind) {
      case 'sent':
        return { outcome: OUTCOME.sent };
      case 'retry': {
        const { code, retryAfterMs } = result;
        return { outcome: OUTCOME.retry, code, retryAfterMs };
      }
      case 'failed':
        return { outcome: OUTCOME.failed, code: result.code };
      case 'throttled': {
        const { code, retryAfterMs } = result;
        return { outcome: OUTCOME.throttled, code, retryAfterMs, scope: THROTTLE_SCOPE.gateway };
      }
      case 'notAttempted':
        return { outcome: OUTCOME.notAttempted };
      case 'doubt':
        return this.#inDoubt(job);
    }
  }

  #inDoubt(job: Job): WireOutcome {
    const { doubts, shards } = this.#options;
    if (shards.destination(job.destination)?.onDoubt === 'fail') {
      return { outcome: OUTCOME.failed, code: ERRORS.inDoubt.code };
    }
    doubts.add(job.messageId);
    return { outcome: OUTCOME.retry };
  }
}
