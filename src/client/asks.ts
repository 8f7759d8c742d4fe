/**
 * Asks for permits: gathered for a turn, sent in one frame, asked again when a connection ends.
 *
 * queued → asked (no answer yet) → waiting (has a ticket) → ended (a permit, a refusal, or nobody
 * wants it any more); asked, waiting → queued when the connection ends or the daemon goes away: it
 * forgets who waits, and a permit whose answer was lost ends by itself soon. What is granted to an
 * ask that has ended is given back.
 */
import {
  type AcquireAnswer,
  type AcquireEntry,
  type EventFrame,
  encodeAcquire,
  readAcquireOk,
  readPermitEvent,
} from '../protocol/frames.ts';
import { onAbort } from './abort-listeners.ts';
import { checkAcquire } from './check-acquire.ts';
import { FairleadClientError, ImpededError } from './error.ts';
import { Fifo } from './fifo.ts';
import { type GateLink, nowMs } from './gate-link.ts';
import type { AcquireOptions } from './gate-types.ts';
import { Lease } from './lease.ts';
import { OncePerTurn } from './next-turn.ts';
import type { PermitKeeper } from './permit-keeper.ts';

/** A permit, with the seats of its tenant at the resource where they were told. */
export interface Granted {
  readonly lease: Lease;
  readonly used: number | undefined;
  readonly limit: number | undefined;
}

interface Ask {
  readonly entry: AcquireEntry;
  readonly options: AcquireOptions;
  readonly resolve: (granted: Granted) => void;
  readonly reject: (reason: unknown) => void;
  readonly cleanUp: () => void;
  readonly startMs: number;
  state: 'queued' | 'asked' | 'waiting' | 'ended';
  /** Refused then, unless the daemon has said something. */
  silentUntilMs: number;
  ticket: number;
  /** Times it was sent. */
  sent: number;
}

const PER_FRAME = 1000;
/** Frames that may be unanswered, some 300 KB each. Past it asks are queued. */
const UNANSWERED_MAX = 8;
/** Asks that may be queued, asked or waiting. Past it: clientQueueFull. */
const ASKS_MAX = 100_000;
const ANSWER_MS = 10_000;
/** How often silence is looked for. */
const LOOK_MS = 100;
const GATE_RECOVERING = 4009;

export class Asks {
  readonly #keeper: PermitKeeper;
  readonly #queue = new Fifo<Ask>();
  /** Queued or asked. */
  readonly #silent = new Set<Ask>();
  readonly #waiting = new Map<number, Ask>();
  /** On their way back to the head of the queue, in order. */
  #returned: Ask[] = [];
  readonly #flush = new OncePerTurn(() => this.#send());
  #unanswered = 0;
  #link: GateLink | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #final: FairleadClientError | undefined;

  constructor(keeper: PermitKeeper) {
    this.#keeper = keeper;
  }

  /** @throws FairleadClientError when it is not granted; the reason of its signal when that aborted */
  ask(resource: string, options: AcquireOptions): Promise<Granted> {
    return new Promise((resolve, reject) => {
      if (this.#final !== undefined) throw this.#final;
      const entry = checkAcquire(resource, options);
      const { signal, answerMs = ANSWER_MS } = options;
      if (signal?.aborted) throw signal.reason;
      if (this.#silent.size + this.#waiting.size >= ASKS_MAX) {
        throw new FairleadClientError('clientQueueFull', ASKS_FULL);
      }
      const startMs = nowMs();
      const cleanUp =
        signal === undefined ? noListener : onAbort(signal, () => this.#giveUp(ask, signal.reason));
      const ask: Ask = {
        ...{ entry, options, resolve, reject, cleanUp, startMs },
        ...{ state: 'queued', silentUntilMs: startMs + answerMs, ticket: 0, sent: 0 },
      };
      this.#silent.add(ask);
      this.#queue.push(ask);
      this.#flush.ask();
      this.#timer ??= setTimeout(() => this.#lookForSilence(), LOOK_MS);
    });
  }

  attach(link: GateLink): void {
    this.#link = link;
    this.#unanswered = 0;
    this.#send();
  }

  /** The connection has ended: whoever waited asks again. */
  detach(): void {
    this.#link = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const returned = this.#returned;
    this.#returned = [];
    for (const ask of [...waiting, ...returned]) this.#putBack(ask);
  }

  /** Refuses all that there are and all that come. */
  fail(error: FairleadClientError): void {
    this.#final = error;
    for (const ask of [...this.#silent, ...this.#waiting.values()]) this.#giveUp(ask, error);
    clearTimeout(this.#timer);
  }

  /** Ends of waits. */
  told(frame: EventFrame): void {
    const link = this.#link;
    if (link === undefined) return;
    for (const news of readPermitEvent(frame)) {
      const ask = this.#waiting.get(news.ticket);
      this.#waiting.delete(news.ticket);
      if (news.permit !== undefined) {
        this.#granted(ask, new Lease(news.permit, news.leaseMs, link.provenMs));
      } else if (ask !== undefined && this.#isEnding(news.code)) {
        this.#putBack(ask);
      } else if (ask !== undefined) {
        const { code, retryAfterMs } = news;
        this.#refuse(ask, new ImpededError(code, { retryAfterMs }));
      }
    }
  }

  #send(): void {
    if (this.#returned.length > 0) this.#queue.unshift(this.#returned.splice(0));
    const link = this.#link;
    if (link === undefined || link.isLeaving) return;
    this.#keeper.releases.flush();
    while (this.#queue.length > 0 && this.#unanswered < UNANSWERED_MAX) {
      const asks: Ask[] = [];
      while (asks.length < PER_FRAME) {
        const ask = this.#queue.shift();
        if (ask === undefined) break;
        if (ask.state === 'queued') asks.push(ask);
      }
      if (asks.length > 0) this.#frame(link, asks);
    }
  }

  #frame(link: GateLink, asks: readonly Ask[]): void {
    this.#unanswered += 1;
    const entries = asks.map(wireOf);
    link.request((id) => encodeAcquire({ id, entries }), {
      ok: (frame, sentMs) => {
        const answers = readAcquireOk(frame);
        this.#land(link);
        asks.forEach((ask, at) => {
          this.#answered(ask, answers[at], sentMs);
        });
      },
      failed: (error) => {
        this.#land(link);
        this.#failed(link, asks, error);
      },
    });
  }

  #land(link: GateLink): void {
    if (link !== this.#link) return;
    this.#unanswered -= 1;
    if (this.#queue.length > 0) this.#flush.ask();
  }

  #answered(ask: Ask, answer: AcquireAnswer | undefined, sentMs: number): void {
    switch (answer?.kind) {
      case 'granted':
        this.#granted(ask, new Lease(answer.permit, answer.leaseMs, sentMs), answer);
        break;
      case 'waiting':
        this.#wait(ask, answer);
        break;
      case 'impeded':
        if (this.#isEnding(answer.code)) this.#putBack(ask);
        else this.#refuse(ask, new ImpededError(answer.code, answer));
        break;
      default:
        this.#refuse(ask, new FairleadClientError('badFrame'));
    }
  }

  #wait(ask: Ask, answer: AcquireAnswer & { readonly kind: 'waiting' }): void {
    const { ticket, position, estimateMs, used, limit } = answer;
    if (ask.state === 'ended') {
      this.#keeper.releases.ticket(ticket);
      return;
    }
    ask.state = 'waiting';
    ask.ticket = ticket;
    this.#silent.delete(ask);
    this.#waiting.set(ticket, ask);
    ask.options.onWait?.({ position, estimateMs: estimateMs || undefined, used, limit });
  }

  #granted(
    ask: Ask | undefined,
    lease: Lease,
    { used, limit }: Partial<Pick<Granted, 'used' | 'limit'>> = {},
  ): void {
    if (ask === undefined || ask.state === 'ended') {
      void this.#keeper.release(lease);
      return;
    }
    const hand = (): void => {
      if (this.#end(ask)) ask.resolve({ lease, used, limit });
      else void this.#keeper.release(lease);
    };
    if (!lease.isOld(nowMs())) {
      this.#keeper.add(lease);
      hand();
      return;
    }
    // Told late: the daemon may have ended it meanwhile.
    this.#beSilent(ask, 'asked');
    this.#keeper.confirm(lease).then(hand, () => this.#putBack(ask));
  }

  #failed(link: GateLink, asks: readonly Ask[], error: FairleadClientError): void {
    const isAgain = error.error === 'connectionLost' || error.error === 'goingAway';
    if (error.error === 'goingAway') link.isLeaving = true;
    const index = isAgain ? undefined : error.details?.index;
    asks.forEach((ask, at) => {
      // A fault of one refuses the frame: the others are asked for again.
      const isFault = typeof index !== 'number' || index === at || asks.length <= index;
      if (isAgain || !isFault) this.#putBack(ask);
      else this.#refuse(ask, error);
    });
  }

  /** A daemon that goes away tells those who wait; the next one lets them in. */
  #isEnding(code: number): boolean {
    return code === GATE_RECOVERING && this.#link?.isLeaving === true;
  }

  #putBack(ask: Ask): void {
    if (ask.state === 'ended') return;
    this.#beSilent(ask, 'queued');
    this.#returned.push(ask);
    this.#flush.ask();
  }

  #beSilent(ask: Ask, state: 'queued' | 'asked'): void {
    if (ask.state === 'waiting') {
      ask.silentUntilMs = nowMs() + (ask.options.answerMs ?? ANSWER_MS);
    }
    ask.state = state;
    this.#silent.add(ask);
    this.#timer ??= setTimeout(() => this.#lookForSilence(), LOOK_MS);
  }

  #giveUp(ask: Ask, reason: unknown): void {
    const { state, ticket } = ask;
    if (!this.#end(ask)) return;
    if (state === 'waiting') this.#keeper.releases.ticket(ticket);
    ask.reject(reason);
  }

  #refuse(ask: Ask, reason: unknown): void {
    if (this.#end(ask)) ask.reject(reason);
  }

  /** False: it had ended. */
  #end(ask: Ask): boolean {
    if (ask.state === 'ended') return false;
    if (ask.state === 'waiting') this.#waiting.delete(ask.ticket);
    ask.state = 'ended';
    this.#silent.delete(ask);
    ask.cleanUp();
    return true;
  }

  #lookForSilence(): void {
    this.#timer = undefined;
    const atMs = nowMs();
    for (const ask of this.#silent) {
      if (ask.silentUntilMs <= atMs) this.#giveUp(ask, new FairleadClientError('connectTimeout'));
    }
    // Without a connection nothing else takes them out.
    while (this.#queue.peek()?.state === 'ended') this.#queue.shift();
    if (this.#silent.size > 0) {
      this.#timer = setTimeout(() => this.#lookForSilence(), LOOK_MS);
    }
  }
}

const noListener = (): void => {};
const ASKS_FULL = `At most ${ASKS_MAX} asks for permits may be under way in a client.`;

/** Asked again, it may wait for what is left of its time. */
function wireOf(ask: Ask): AcquireEntry {
  ask.state = 'asked';
  ask.sent += 1;
  const { entry, options, startMs } = ask;
  if (ask.sent === 1 || options.waitMs === undefined) return entry;
  const waitMs = Math.max(0, Math.ceil(startMs + options.waitMs - nowMs()));
  return { ...entry, options: { ...entry.options, waitMs } };
}
