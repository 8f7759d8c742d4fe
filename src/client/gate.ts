/**
 * Permits of the concurrency gate: never more of them out than a limit allows, over all clients.
 *
 * All views of a client (`client.gate(defaults)`) share one book: asks (asks.ts) and what is held
 * (permit-keeper.ts).
 */
import type { EventFrame } from '../protocol/frames.ts';
import { PERMIT_TOPIC } from '../protocol/gate-frames.ts';
import { Asks } from './asks.ts';
import type { Connection } from './connection.ts';
import type { FairleadClientError } from './error.ts';
import { GateLink } from './gate-link.ts';
import type { AcquireOptions } from './gate-types.ts';
import { Permit } from './permit.ts';
import { PermitKeeper } from './permit-keeper.ts';

/** Work under a permit: pass `permit.signal` on to whatever it calls. */
export type Guarded<T> = (permit: Permit) => T | PromiseLike<T>;

/** What a client keeps of the gate over all its connections. */
export class GateBook {
  readonly keeper: PermitKeeper;
  readonly asks: Asks;
  #link: GateLink | undefined;

  constructor(error: (error: FairleadClientError) => void) {
    this.keeper = new PermitKeeper(error);
    this.asks = new Asks(this.keeper);
  }

  /** Claims what is held, then gives back what was released, then asks. */
  attach(connection: Connection): void {
    const link = new GateLink(connection);
    this.#link = link;
    this.keeper.attach(link);
    this.asks.attach(link);
  }

  /** The daemon goes away: permits stay, asks wait for the next one. */
  leave(): void {
    if (this.#link !== undefined) this.#link.isLeaving = true;
  }

  detach(): void {
    this.#link = undefined;
    this.keeper.detach();
    this.asks.detach();
  }

  event(frame: EventFrame): void {
    if (frame.topic === PERMIT_TOPIC) this.asks.told(frame);
  }

  /** Asks for nothing more, tells the holders to stop, and waits for them. */
  async close(error: FairleadClientError): Promise<void> {
    this.asks.fail(error);
    this.keeper.endAll(error);
    await this.keeper.idle();
    await this.keeper.releases.idle();
  }

  fail(error: FairleadClientError): void {
    this.asks.fail(error);
    this.keeper.fail(error);
  }
}

export class Gate {
  readonly #book: GateBook;
  readonly #defaults: AcquireOptions;

  /** Made by `client.gate`. */
  constructor(book: GateBook, defaults: AcquireOptions) {
    this.#book = book;
    this.#defaults = defaults;
  }

  /**
   * Asks for a permit and waits for it where the policy has asks wait; asks of one turn share a frame.
   *
   * @throws ImpededError when the gate does not let it pass, FairleadClientError when it could not be
   *   asked (`connectTimeout`: nothing was heard for `answerMs`), the reason of `signal` when that
   *   aborted
   */
  async acquire(resource: string, options: AcquireOptions = {}): Promise<Permit> {
    const asked = { ...this.#defaults, ...options };
    const { tenant, signal } = asked;
    const { keeper } = this.#book;
    const granted = await this.#book.asks.ask(resource, asked);
    const { lease } = granted;
    if (signal !== undefined) lease.follow(signal, () => keeper.end(lease, signal.reason));
    return new Permit(granted, { resource, tenant, keeper });
  }

  /**
   * Does work under a permit, which is released when it has ended; its result or error is passed on.
   * Work that throws while its permit is held has failed, as `permit.release({ failed: true })` says;
   * what ends because it was told to stop has not.
   *
   * @throws as `acquire`, and what the work throws
   */
  run<T>(resource: string, work: Guarded<T>): Promise<T>;
  run<T>(resource: string, options: AcquireOptions, work: Guarded<T>): Promise<T>;
  async run<T>(
    resource: string,
    optionsOrWork: AcquireOptions | Guarded<T>,
    work?: Guarded<T>,
  ): Promise<T> {
    const isShort = typeof optionsOrWork === 'function';
    const run = isShort ? optionsOrWork : (work as Guarded<T>);
    const permit = await this.acquire(resource, isShort ? {} : optionsOrWork);
    try {
      const result = await run(permit);
      await permit.release();
      return result;
    } catch (error) {
      await permit.release({ failed: permit.isHeld });
      throw error;
    }
  }

  /** Permits of this client that are not released. */
  get held(): number {
    return this.#book.keeper.held;
  }
}
