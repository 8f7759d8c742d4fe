/**
 * A permit as its keeper sees it: until when it certainly counts, and whether its holder may go on.
 *
 * held → ending (the holder was told to stop, and has not yet) → released; held, ending → gone (the
 * daemon says so); ending → over (its time is up, whatever the daemon counts) → released. Times are
 * those of `nowMs`. A lease begins here when the frame that asked for it was sent: the daemon began it
 * later, so it never ends earlier than is believed here.
 */
import { onAbort } from './abort-listeners.ts';

/** What a holder keeps free at the end of its lease. */
const MARGIN_MS = 1000;
/** Clocks of two hosts may differ by so much of a lease besides. */
const MARGIN_PER_LEASE = 1 / 1000;
/** A short lease keeps a quarter of it. */
const MARGIN_SHARE_MAX = 1 / 4;
const RENEW_SHARE = 1 / 3;
/** Renewals that are due within this share of a lease leave together. */
const GATHER_SHARE = 1 / 12;

export class Lease {
  /** Copied: bytes of a frame are a view of it. */
  readonly id: Uint8Array;
  /** What renewals ask for. */
  readonly wishMs: number;
  state: 'held' | 'ending' | 'over' | 'gone' | 'released' = 'held';
  /** A renewal is unanswered. */
  isAsked = false;
  /** Called when a renewal was answered, or none will be. */
  changed: (() => void) | undefined;
  #controller: AbortController | undefined;
  #cleanUp: (() => void) | undefined;
  #reason: unknown;
  #leaseMs: number;
  #fromMs: number;
  #renewAtMs: number;

  constructor(id: Uint8Array, leaseMs: number, fromMs: number) {
    this.id = id.slice();
    this.wishMs = leaseMs;
    this.#leaseMs = leaseMs;
    this.#fromMs = fromMs;
    this.#renewAtMs = fromMs + leaseMs * RENEW_SHARE;
  }

  get leaseMs(): number {
    return this.#leaseMs;
  }

  get endMs(): number {
    return this.#fromMs + this.#leaseMs;
  }

  /** When the holder has to stop. */
  get abortAtMs(): number {
    const marginMs = MARGIN_MS + this.#leaseMs * MARGIN_PER_LEASE;
    return this.endMs - Math.min(marginMs, this.#leaseMs * MARGIN_SHARE_MAX);
  }

  get renewAtMs(): number {
    return this.#renewAtMs;
  }

  get gatherMs(): number {
    return this.#leaseMs * GATHER_SHARE;
  }

  /** Too little of it is certain: a holder would have to stop soon. */
  isOld(atMs: number): boolean {
    return atMs > this.#fromMs + this.#leaseMs / 2;
  }

  /** A renewal that was sent at `sentMs` gave it so much. */
  renewed(leaseMs: number, sentMs: number): void {
    this.#leaseMs = leaseMs;
    this.#fromMs = sentMs;
    this.#renewAtMs = sentMs + leaseMs * RENEW_SHARE;
  }

  /** Nothing came of a renewal. */
  renewLater(atMs: number): void {
    this.#renewAtMs = atMs;
  }

  /** Made when it is first looked at: most holders of short permits never do. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }

  /** Tells the holder to stop. */
  abort(reason: unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }

  /** Ends the permit when this aborts, by `end`. */
  follow(signal: AbortSignal, end: () => void): void {
    this.#cleanUp = onAbort(signal, end);
    if (signal.aborted) end();
  }

  /** Nobody counts it any more. */
  ended(state: 'over' | 'gone' | 'released'): void {
    this.state = state;
    this.#cleanUp?.();
    this.#cleanUp = undefined;
  }
}
