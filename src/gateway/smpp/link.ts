/**
 * A gateway's link to its SMSC: sessions, a window, messages out and in.
 *
 * Owns the choice of a session for each message and the meaning of its answers. Nothing is sent twice
 * here: what was written and not answered is in doubt, and its sender decides. Owns no queue: `submit`
 * takes `free` messages at once, and `onFree` tells when there is a place again.
 */
import type { Logger } from '../../base/logger.ts';
import { LIMITS } from '../../limits.ts';
import { SmppInbound } from './inbound.ts';
import { SmppLane } from './lane.ts';
import { type SmppPdu, textField } from './library.ts';
import type { Answer } from './outstanding.ts';
import type { SmppSession } from './session.ts';
import type { SubmitFields } from './submit-codec.ts';
import { submitParts } from './submit-fields.ts';
import { meaningOf } from './submit-status.ts';
import type {
  SmppClock,
  SmppCounts,
  SmppHandlers,
  SmppLinkState,
  SmppMessage,
  SmppRole,
  SmppSettings,
  SubmitResult,
} from './types.ts';

export interface SmppLinkParts {
  readonly settings: SmppSettings;
  readonly handlers: SmppHandlers;
  readonly log: Logger;
  readonly clock?: SmppClock | undefined;
}

const NONE: readonly string[] = [];

export class SmppLink {
  readonly #settings: SmppSettings;
  readonly #handlers: SmppHandlers;
  readonly #clock: SmppClock;
  readonly #inbound: SmppInbound;
  readonly #lanes: SmppLane[] = [];
  readonly #counts: SmppCounts = {
    sent: 0,
    throttled: 0,
    retry: 0,
    failed: 0,
    notAttempted: 0,
    doubt: 0,
    submitted: 0,
    receipts: 0,
    inbound: 0,
    refused: 0,
    ignored: 0,
    strayAnswers: 0,
    malformed: 0,
  };
  #reference = 0;
  #up = false;
  #closed: Promise<void> | undefined;

  /** Begins to connect. */
  constructor({ settings, handlers, log, clock = processClock }: SmppLinkParts) {
    this.#settings = settings;
    this.#handlers = handlers;
    this.#clock = clock;
    const counts = this.#counts;
    this.#inbound = new SmppInbound({ clock, counts, handlers, log });
    const events = {
      onBound: () => this.#onBound(),
      onLost: (reason: string) => this.#onLost(reason),
      onPlaces: (count: number) => this.#onPlaces(count),
      onDelivery: (pdu: SmppPdu, answer: (status: number) => void) =>
        this.#inbound.take(pdu, answer),
    };
    const roles: readonly SmppRole[] =
      settings.bind === 'transceiver' ? ['transceiver'] : ['transmitter', 'receiver'];
    for (let session = 0; session < settings.sessions; session += 1) {
      for (const role of roles) {
        this.#lanes.push(new SmppLane(role, { settings, clock, counts }, events, log));
      }
    }
  }

  /** Whether a session that can send is bound. */
  get up(): boolean {
    return this.#up;
  }

  /** Messages that `submit` takes now. */
  get free(): number {
    if (this.#closed !== undefined) return 0;
    return this.#lanes.reduce((sum, lane) => sum + lane.free, 0);
  }

  state(): SmppLinkState {
    return {
      up: this.#up,
      free: this.free,
      sessions: this.#lanes.map((lane) => lane.state()),
      counts: { ...this.#counts },
    };
  }

  /**
   * Sends one message, each part after the answer to the one before. Always resolves: within
   * `pduTimeoutMs` a part, and at most `smppPartsDelayMs` of waits where later parts are refused for now.
   */
  async submit(message: SmppMessage): Promise<SubmitResult> {
    const result = await this.#submit(message);
    this.#counts[result.outcome] += 1;
    return result;
  }

  /** Ends every session in good order; what waits for more parts is handed over. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      await Promise.all(this.#lanes.map((lane) => lane.end()));
      await this.#inbound.flush();
    })();
    return this.#closed;
  }

  async #submit(message: SmppMessage): Promise<SubmitResult> {
    const reference = message.reference ?? this.#nextReference();
    const split = submitParts(message, reference, this.#settings.defaultDataCoding);
    if ('code' in split) return { outcome: 'failed', code: split.code, ids: NONE };
    const session = this.#take();
    if (session === undefined) return { outcome: 'notAttempted', ids: NONE };
    const [only] = split.parts;
    if (split.parts.length > 1 || only === undefined)
      return this.#submitParts(split.parts, session);
    try {
      return resultOf(await session.submit(only));
    } finally {
      session.release();
    }
  }

  /**
   * Once a part is out the message is of no use without the others: those that were refused for now, or
   * found no session, are tried again here for a while. None of them was accepted before.
   */
  async #submitParts(parts: readonly SubmitFields[], first: SmppSession): Promise<SubmitResult> {
    const ids: string[] = [];
    let session: SmppSession | undefined = first;
    let untilMs = Number.POSITIVE_INFINITY;
    try {
      for (const part of parts) {
        for (;;) {
          const result: SubmitResult =
            session === undefined ? UNPLACED : resultOf(await session.submit(part));
          if (result.outcome === 'sent') {
            ids.push(...result.ids);
            untilMs = Math.min(untilMs, this.#clock.nowMs() + LIMITS.smppPartsDelayMs);
            break;
          }
          const waitMs = result.outcome === 'throttled' ? result.retryAfterMs : PART_RETRY_MS;
          const late = this.#clock.nowMs() + waitMs > untilMs || this.#closed !== undefined;
          if (ids.length === 0 || late || isFinal(result)) return stopped(result, ids);
          await new Promise<void>((resolve) => this.#clock.after(waitMs, resolve));
          session = this.#sameOrOther(session);
        }
      }
      return { outcome: 'sent', ids };
    } finally {
      session?.release();
    }
  }

  #sameOrOther(session: SmppSession | undefined): SmppSession | undefined {
    if (session?.state === 'bound' && !session.silent) return session;
    session?.release();
    return this.#take();
  }

  /** The session with most places, one of them taken. */
  #take(): SmppSession | undefined {
    if (this.#closed !== undefined) return undefined;
    let best: SmppLane | undefined;
    for (const lane of this.#lanes) if (lane.free > (best?.free ?? 0)) best = lane;
    const session = best?.session;
    session?.take();
    return session;
  }

  #nextReference(): number {
    this.#reference = (this.#reference + 1) & 0xff;
    return this.#reference;
  }

  /** Tells when these places are all that there are. */
  #onPlaces(count: number): void {
    if (this.free === count) this.#handlers.onFree();
  }

  #onBound(): void {
    if (this.#up || !this.#sends()) return;
    this.#up = true;
    this.#handlers.onUp();
  }

  #onLost(reason: string): void {
    if (!this.#up || this.#sends()) return;
    this.#up = false;
    this.#handlers.onDown(reason);
  }

  #sends(): boolean {
    return this.#lanes.some(({ role, session }) => role !== 'receiver' && session !== undefined);
  }
}

/** Wait before a later part that was refused for now, or found no session, is tried again. */
const PART_RETRY_MS = 500;

const UNPLACED: SubmitResult = { outcome: 'notAttempted', ids: NONE };

const isFinal = ({ outcome }: SubmitResult): boolean => outcome === 'failed' || outcome === 'doubt';

function resultOf(answer: Answer): SubmitResult {
  if (answer.kind === 'unwritten') return UNPLACED;
  if (answer.kind === 'doubt') return { outcome: 'doubt', ids: NONE };
  const { status, pdu } = answer;
  const meaning = meaningOf(status);
  if (meaning.outcome === 'sent') {
    return { outcome: 'sent', ids: [textField(pdu, 'message_id')] };
  }
  if (meaning.outcome === 'throttled') return { ...meaning, code: status, ids: NONE };
  return { outcome: meaning.outcome, code: status, ids: NONE };
}

/** The result of a message that a part stopped. Some of it is out: it was attempted. */
function stopped(result: SubmitResult, ids: readonly string[]): SubmitResult {
  if (ids.length === 0) return result;
  if (result.outcome === 'notAttempted') return { outcome: 'retry', code: null, ids };
  return { ...result, ids };
}

export const processClock: SmppClock = {
  nowMs: () => performance.now(),
  after(ms, fire) {
    const timer = setTimeout(fire, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};
