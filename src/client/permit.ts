/// <reference lib="esnext.disposable" preserve="true" />
import type { Granted } from './asks.ts';
import { idText } from './message-id.ts';
import type { PermitKeeper } from './permit-keeper.ts';

/** As hosts and compilers that lack the symbol name it. */
const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose);

/**
 * The right to do one thing, counted until it is released or its lease ends. The client prolongs the
 * lease by itself; where it cannot, `signal` tells the holder to stop before the lease ends.
 */
export class Permit {
  readonly resource: string;
  /** Undefined: of the token. */
  readonly tenant: string | undefined;
  /** Seats in use of the tenant at the resource when it was granted; undefined after a wait. */
  readonly used: number | undefined;
  /** Undefined after a wait, and without a limit of the tenant's own. */
  readonly limit: number | undefined;
  readonly #lease: Granted['lease'];
  readonly #keeper: PermitKeeper;

  /** Made by `acquire`. */
  constructor(
    { lease, used, limit }: Granted,
    of: { readonly resource: string; readonly tenant: string | undefined; keeper: PermitKeeper },
  ) {
    this.resource = of.resource;
    this.tenant = of.tenant;
    this.used = used;
    this.limit = limit;
    this.#lease = lease;
    this.#keeper = of.keeper;
  }

  /** 32 hexadecimal digits: what the daemon knows it by. */
  get id(): string {
    return idText(this.#lease.id);
  }

  /**
   * Aborts when the holder has to stop: 1 s before the lease ends without being prolonged (with leases
   * below 4 s a quarter of them), when the daemon says that the permit is gone, when the client closes,
   * and when the signal given to `acquire` aborts. Its reason is a FairleadClientError (`leaseOver`,
   * `permitGone`, `clientClosed`), or that signal's. It does not abort by `release`.
   */
  get signal(): AbortSignal {
    return this.#lease.signal;
  }

  /** The holder may go on. */
  get isHeld(): boolean {
    return this.#lease.state === 'held';
  }

  /** The lease in ms, as the daemon gave it. */
  get leaseMs(): number {
    return this.#lease.leaseMs;
  }

  /**
   * Gives it back: call it when the work has ended, also after `signal` aborted. More than once does
   * nothing. Resolves when the daemon counts it no more, or at once when there is no connection to
   * tell it over: it is told on the next one. `failed`: the work did not end as it should, for what the
   * resource did; a limit that adapts takes it for a sign of overload.
   */
  release({ failed = false }: { readonly failed?: boolean } = {}): Promise<void> {
    return this.#keeper.release(this.#lease, failed);
  }

  /** `await using permit = await gate.acquire(…)` releases it where its block ends. */
  [asyncDispose](): Promise<void> {
    return this.release();
  }
}
