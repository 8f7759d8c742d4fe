/**
 * One place for a session: makes a new one when the last has ended.
 *
 * States: connecting → bound → backoff → connecting …, and ended for good. The wait before each new
 * session doubles from `smppBackoffMs` to `smppBackoffMsMax`, half of it by chance, so that links of a
 * peer that restarts do not come at once; a session that stayed bound for the longest wait starts over.
 */
import type { Logger } from '../../base/logger.ts';
import { LIMITS } from '../../limits.ts';
import { type SessionContext, type SessionEvents, SmppSession } from './session.ts';
import type { SmppRole, SmppSessionState } from './types.ts';

export interface LaneEvents {
  onBound(): void;
  /** A session that was bound has ended. */
  onLost(reason: string): void;
  onPlaces(count: number): void;
  readonly onDelivery: SessionEvents['onDelivery'];
}

export class SmppLane {
  readonly role: SmppRole;
  readonly #context: SessionContext;
  readonly #events: LaneEvents;
  readonly #log: Logger;
  #session: SmppSession | undefined;
  #sinceMs: number;
  /** Sessions in a row that did not last. */
  #attempt = 0;
  #bound = false;
  #lastError: string | null = null;
  #cancelWait: (() => void) | undefined;
  #whenEnded: (() => void) | undefined;
  #ended = false;

  constructor(role: SmppRole, context: SessionContext, events: LaneEvents, log: Logger) {
    this.role = role;
    this.#context = context;
    this.#events = events;
    this.#log = log.child({ role });
    this.#sinceMs = context.clock.nowMs();
    this.#begin();
  }

  /** The session that is bound now. */
  get session(): SmppSession | undefined {
    return this.#bound ? this.#session : undefined;
  }

  get free(): number {
    return this.#session?.free ?? 0;
  }

  state(): SmppSessionState {
    const waiting = this.#session === undefined;
    return {
      role: this.role,
      state: this.#bound ? 'bound' : waiting ? 'backoff' : 'connecting',
      sinceMs: this.#context.clock.nowMs() - this.#sinceMs,
      windowUsed: this.#session?.placesTaken ?? 0,
      silent: this.#session?.silent ?? false,
      lastError: this.#lastError,
    };
  }

  /** Unbinds and makes no new session. Resolves when the last one has closed. */
  end(): Promise<void> {
    this.#ended = true;
    this.#cancelWait?.();
    const session = this.#session;
    if (session === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEnded = resolve;
      session.unbind();
    });
  }

  #begin(): void {
    this.#cancelWait = undefined;
    this.#enter();
    try {
      this.#session = new SmppSession(this.role, this.#context, {
        onBound: () => this.#onBound(),
        onClosed: (reason) => this.#onClosed(reason),
        onPlaces: (count) => this.#events.onPlaces(count),
        onDelivery: (pdu, answer) => this.#events.onDelivery(pdu, answer),
      });
    } catch (error) {
      // Certificates that cannot be read.
      this.#onClosed((error as Error).message);
    }
  }

  #enter(): void {
    this.#sinceMs = this.#context.clock.nowMs();
  }

  #onBound(): void {
    this.#enter();
    this.#bound = true;
    this.#log.info({}, 'SMPP session bound');
    this.#events.onBound();
    if (this.free > 0) this.#events.onPlaces(this.free);
  }

  #onClosed(reason: string): void {
    const { clock } = this.#context;
    const wasBound = this.#bound;
    if (wasBound && clock.nowMs() - this.#sinceMs >= LIMITS.smppBackoffMsMax) this.#attempt = 0;
    this.#session = undefined;
    this.#bound = false;
    this.#enter();
    if (this.#ended) {
      this.#whenEnded?.();
    } else {
      this.#lastError = reason;
      const waitMs = this.#nextWaitMs();
      this.#log.warn({ reason, waitMs, wasBound }, 'SMPP session ended');
      this.#cancelWait = clock.after(waitMs, () => this.#begin());
    }
    if (wasBound) this.#events.onLost(reason);
  }

  #nextWaitMs(): number {
    const { smppBackoffMs, smppBackoffMsMax } = LIMITS;
    const ms = Math.min(smppBackoffMsMax, smppBackoffMs * 2 ** Math.min(this.#attempt, 20));
    this.#attempt += 1;
    return Math.ceil(ms * (0.5 + this.#context.clock.random() / 2));
  }
}
