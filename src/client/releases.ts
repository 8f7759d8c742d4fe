/**
 * Permits to give back and waits to give up, gathered for a turn and sent in one frame.
 *
 * A release is queued → unanswered → done. One that was unanswered when its connection ended is queued
 * again until the lease is over: the daemon takes it once, however often it comes. Tickets mean
 * something on their own connection only, and end with it.
 */
import { encodeRelease } from '../protocol/frames.ts';
import type { FairleadClientError } from './error.ts';
import { type GateLink, nowMs } from './gate-link.ts';
import { OncePerTurn } from './next-turn.ts';

interface Release {
  /** A permit, or a ticket of the connection there is. */
  readonly what: Uint8Array | number;
  /** Then the daemon has ended it by itself. */
  readonly untilMs: number;
  /** The work under it failed. */
  readonly failed: boolean;
  readonly done: (() => void) | undefined;
}

const PER_FRAME = 1000;
/** Frames that may be unanswered. Past it what is released waits for an answer. */
const UNANSWERED_MAX = 8;
/** When an answer names no time. */
const RETRY_MS = 1000;

export class Releases {
  readonly #error: (error: FairleadClientError) => void;
  readonly #flush = new OncePerTurn(() => this.#send());
  #queue: Release[] = [];
  #unanswered = 0;
  #watchers: (() => void)[] = [];
  #link: GateLink | undefined;

  constructor(error: (error: FairleadClientError) => void) {
    this.#error = error;
  }

  /** Nothing is on its way. */
  get isIdle(): boolean {
    return this.#queue.length + this.#unanswered === 0;
  }

  /** Resolves when all that was released is answered, or there is nobody to answer. */
  async idle(): Promise<void> {
    while (this.#link !== undefined && !this.isIdle) {
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  /** Sends what was gathered, so that what is asked for next finds the seats free. */
  flush(): void {
    if (this.#queue.length > 0) this.#send();
  }

  /** Gives a permit back; resolves when it counts no more, or no answer can come. */
  permit(id: Uint8Array, untilMs: number, failed = false): Promise<void> {
    return new Promise((resolve) => {
      this.#add({ what: id, untilMs, failed, done: resolve });
      if (this.#link === undefined) resolve();
    });
  }

  /** Gives up a wait. */
  ticket(ticket: number): void {
    if (this.#link === undefined) return;
    const untilMs = Number.POSITIVE_INFINITY;
    this.#add({ what: ticket, untilMs, failed: false, done: undefined });
  }

  attach(link: GateLink): void {
    this.#link = link;
    this.#unanswered = 0;
    this.#send();
  }

  detach(): void {
    this.#link = undefined;
    this.#queue = this.#queue.filter(({ what }) => typeof what !== 'number');
    for (const { done } of this.#queue) done?.();
    this.#notify();
  }

  #add(release: Release): void {
    this.#queue.push(release);
    this.#flush.ask();
  }

  #send(): void {
    const link = this.#link;
    const atMs = nowMs();
    if (link === undefined) {
      this.#queue = this.#queue.filter(({ untilMs }) => untilMs > atMs);
      return;
    }
    while (this.#queue.length > 0 && this.#unanswered < UNANSWERED_MAX) {
      this.#frame(link, this.#queue.splice(0, PER_FRAME));
    }
  }

  #frame(link: GateLink, releases: readonly Release[]): void {
    this.#unanswered += 1;
    const permits = releases.map(({ what }) => what);
    const failed = [...releases.keys()].filter((at) => releases[at]?.failed);
    link.request((id) => encodeRelease({ id, permits, failed }), {
      ok: () => {
        for (const { done } of releases) done?.();
        this.#answered(link);
      },
      failed: (error) => {
        this.#answered(link);
        this.#failed(link, releases, error);
      },
    });
  }

  #answered(link: GateLink): void {
    if (link !== this.#link) return;
    this.#unanswered -= 1;
    if (this.#queue.length > 0) this.#flush.ask();
    this.#notify();
  }

  #notify(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  #failed(link: GateLink, releases: readonly Release[], error: FairleadClientError): void {
    const isLost = error.error === 'connectionLost';
    // The daemon ends them with their leases: the holders have nothing to wait for.
    for (const { done } of releases) done?.();
    if (!isLost && !error.retryable) {
      this.#error(error);
      return;
    }
    const again = (): void => {
      const isHere = link === this.#link;
      const rest = releases.filter(({ what }) => typeof what !== 'number' || isHere);
      this.#queue = [...rest, ...this.#queue];
      this.#flush.ask();
    };
    if (isLost) again();
    else setTimeout(again, error.retryAfterMs ?? RETRY_MS);
  }
}
