/**
 * The outside account of a run, read from the logs of the two client processes, and compared at the
 * end with what the daemon says of every message.
 */
import type { StatusEntry } from '../../src/protocol/frames.ts';
import { MESSAGE_STATUS, OUTCOME } from '../../src/protocol/kinds.ts';
import type { Statuses } from './final-statuses.ts';
import { type Ended, Figures, type LedgerResult } from './ledger-figures.ts';
import {
  expiryOf,
  isDead,
  type Message,
  mayEndAs,
  mustDie,
  passReplays,
  type Replay,
} from './ledger-message.ts';
import { Published } from './ledger-published.ts';

const RETURNS: ReadonlySet<number> = new Set([
  OUTCOME.retry,
  OUTCOME.throttled,
  OUTCOME.notAttempted,
]);
const FLAG_MAYBE_DELIVERED = 1;
/** From the release of a delivery to the line in the consumer's log, on a busy machine. */
const LATE_MS = 1_500;
/** The daemon's clock follows that of the machine, and both are cut to whole ms. */
const CLOCK_MS = 2;
const ENDED = new Map<number, Ended>([
  [MESSAGE_STATUS.sent, 'sent'],
  [MESSAGE_STATUS.delivered, 'settledDelivered'],
  [MESSAGE_STATUS.failed, 'failed'],
  [MESSAGE_STATUS.expired, 'expired'],
  [MESSAGE_STATUS.cancelled, 'cancelled'],
]);

interface Times {
  readonly atMs: number;
  readonly acceptedMs: number;
  readonly expiresMs: number;
}

interface Replays {
  readonly ids: readonly string[];
  readonly replay: Replay;
  /** How many the daemon says it were. */
  readonly replayed: number;
}

export class Ledger {
  readonly #figures = new Figures();
  readonly #published = new Published(this.#figures);
  /** By connection, subscription and delivery: each shard numbers the deliveries of a connection. */
  readonly #deliveries = new Map<string, Message>();
  /** Settlements sent and not acknowledged, by connection and request. */
  readonly #settles = new Map<string, [Message, isReturn: boolean][]>();
  readonly #endedConnections = new Set<number>();
  readonly #lastSequence = new Map<string, number>();

  get faults(): readonly string[] {
    return this.#figures.faults;
  }

  /** All of the publisher's log comes first. */
  readPublisher(text: string): void {
    this.#published.read(text);
  }

  /** Dead letters that an operator replayed, in the order in which it happened. */
  replayed({ ids, replay, replayed }: Replays): void {
    this.#figures.count('replayed', replayed);
    if (replayed !== ids.length) {
      this.#figures.wrong('statusWrong', `${replayed} of ${ids.length} were replayed`);
    }
    for (const id of ids) this.#published.replayed(id, replay);
  }

  readConsumer(text: string): void {
    for (const line of text.split('\n')) {
      const [what, connection = '', ...words] = line.split(' ');
      if (what === 'd') this.#deliver(Number(connection), words);
      else if (what === 's') this.#settleSent(connection, words);
      else if (what === 'k') this.#settleAcknowledged(connection, words);
      else if (what === 'c') this.#endedConnections.add(Number(connection));
      else if (line !== '') this.#figures.wrong('strange', `the consumer's log has ${line}`);
    }
    this.#published.completeFrames();
  }

  /** Of all messages that are known to be accepted. */
  ids(): string[] {
    return [...this.#published.messages()].flatMap(({ id }) => id ?? []);
  }

  /** What the logs alone say. */
  result(): LedgerResult {
    return this.#figures.result();
  }

  /** Takes what the daemon says of each of `ids`, before and after its last restart. */
  compare(before: Statuses, after: Statuses, boots: number): LedgerResult {
    for (const message of this.#published.messages()) {
      if (message.id === undefined) continue;
      passReplays(message, Number.POSITIVE_INFINITY);
      const found = before.get(message.id);
      this.#judge(message, found, boots);
      const later = after.get(message.id);
      if (found === undefined || saysTheSame(found, later)) continue;
      const words = `${message.id} was ${wordsOf(found)} before a restart, then ${wordsOf(later)}`;
      this.#figures.wrong('statusWrong', words);
    }
    return this.#figures.result();
  }

  #judge(message: Message, found: StatusEntry | undefined, boots: number): void {
    const { id, queue, sequence, state, attempt, connection, ttlMs, cancel } = message;
    const history = `${state}, attempt ${attempt}, connection ${connection}, ttl ${ttlMs}, cancel ${cancel}`;
    const words = `${id} of ${queue} ${sequence} is ${wordsOf(found)} in life ${boots}; ${history}`;
    if (found === undefined && !message.accepted) {
      this.#figures.wrong('partialFrames', words);
      return;
    }
    this.#figures.count('accepted');
    const how = found && (isDead(found) ? 'dead' : ENDED.get(found.status));
    if (how !== undefined) this.#figures.ended(how);
    else if (found !== undefined) this.#figures.wrong('notEnded', words);
    const hasEnded = (of: number): boolean => this.#endedConnections.has(of);
    const isRight = found !== undefined && mayEndAs(message, { found, boots, hasEnded });
    const mustBeDead = mustDie(message) && cancel !== 'done';
    if (isRight && (how === 'dead' || !mustBeDead)) return;
    const isGone = how === undefined || how === 'sent' || how === 'settledDelivered';
    const isSettled = state === 'done' || state === 'finalSent';
    this.#figures.wrong(isGone && !isSettled ? 'lost' : 'statusWrong', words);
  }

  #deliver(connection: number, words: string[]): void {
    const [delivery, attempt, flags, id = '', frame, index, ...times] = words;
    this.#figures.count('delivered');
    const message = this.#published.at(Number(frame), Number(index));
    if (message === undefined || message.refused) {
      const what = `delivery ${delivery} of connection ${connection}: no such message`;
      this.#figures.wrong('strange', what);
      return;
    }
    this.#published.identify(message, id);
    const [atMs = 0, acceptedMs = 0, expiresMs = 0] = times.map(Number);
    passReplays(message, atMs);
    this.#checkTimes(message, { atMs, acceptedMs, expiresMs });
    this.#checkCancel(message, connection, atMs);
    const isFlagged = (Number(flags) & FLAG_MAYBE_DELIVERED) !== 0;
    if (message.deliveries === 0) this.#first(message, Number(attempt), isFlagged);
    else this.#again(message, connection, isFlagged);
    message.deliveries += 1;
    message.state = 'open';
    message.connection = connection;
    message.attempt = Number(attempt);
    this.#deliveries.set(`${connection}:${delivery}`, message);
  }

  #checkTimes(message: Message, { atMs, acceptedMs, expiresMs }: Times): void {
    const name = `${message.queue} ${message.sequence}`;
    if (message.atMs > acceptedMs) this.#figures.count('scheduled');
    if (message.ttlMs > 0) this.#figures.count('shortLived');
    if (atMs < message.atMs - CLOCK_MS) {
      this.#figures.wrong('early', `${name} came ${message.atMs - atMs} ms before its time`);
    }
    if (acceptedMs < message.sentMs - CLOCK_MS) {
      this.#figures.wrong('strange', `${name} was accepted before it was sent`);
    }
    if (message.wasReplayed) return;
    const expiryMs = expiryOf(message, acceptedMs);
    if (expiresMs !== expiryMs) {
      this.#figures.wrong('strange', `${name} expires at ${expiresMs}, not at ${expiryMs}`);
    }
    if (atMs <= expiryMs + LATE_MS) return;
    this.#figures.wrong('late', `${name} came ${atMs - expiryMs} ms after its validity`);
  }

  /** Within a life of the daemon what is cancelled had been given back before by the consumer. */
  #checkCancel(message: Message, connection: number, atMs: number): void {
    if (message.cancel !== 'done') return;
    const { cancelBoot, cancelledMs, queue, sequence } = message;
    const isLater = connection === cancelBoot && atMs > cancelledMs + CLOCK_MS;
    if (connection <= cancelBoot && !isLater) return;
    const words = `${queue} ${sequence} came ${atMs - cancelledMs} ms after its cancel`;
    this.#figures.wrong('deliveredAfterCancel', words);
  }

  #first(message: Message, attempt: number, isFlagged: boolean): void {
    const { queue, sequence } = message;
    if (attempt !== 1 || isFlagged || message.unordered || message.atMs > 0) return;
    const last = this.#lastSequence.get(queue) ?? 0;
    if (sequence <= last) {
      this.#figures.wrong('orderErrors', `${queue}: ${sequence} came after ${last}`);
    }
    this.#lastSequence.set(queue, Math.max(last, sequence));
  }

  #again(message: Message, connection: number, isFlagged: boolean): void {
    const { state, queue, sequence, inDoubt } = message;
    const isReturn = state === 'returned' || state === 'returnSent';
    if (isReturn || (state === 'replayed' && (isFlagged || !inDoubt))) {
      this.#figures.count('returned');
      return;
    }
    this.#figures.count('duplicates');
    const inFlight = state !== 'done' && isFlagged && message.connection !== connection;
    if (inFlight && message.destination !== 'once') return;
    const words = `${queue} ${sequence} after ${state}, ${isFlagged ? 'flagged' : 'no flag'}`;
    this.#figures.wrong('duplicatesNotInFlight', words);
  }

  #settleSent(connection: string, [request, ...words]: string[]): void {
    const sent: [Message, boolean][] = [];
    for (const word of words) {
      const [delivery, outcome, code] = word.split(',');
      const message = this.#deliveries.get(`${connection}:${delivery}`);
      if (message === undefined) continue;
      message.outcome = Number(outcome);
      message.code = Number(code);
      const isReturn = RETURNS.has(message.outcome);
      message.state = isReturn ? 'returnSent' : 'finalSent';
      sent.push([message, isReturn]);
    }
    this.#settles.set(`${connection}:${request}`, sent);
  }

  #settleAcknowledged(connection: string, [request, , unknown]: string[]): void {
    const sent = this.#settles.get(`${connection}:${request}`);
    if (Number(unknown) > 0 || sent === undefined) {
      const words = `settle ${request} of connection ${connection}: ${unknown} unknown`;
      this.#figures.wrong('unknownSettles', words);
      return;
    }
    for (const [message, isReturn] of sent) {
      // What was returned may have been delivered again before this answer was read.
      if (isReturn && message.state === 'returnSent') message.state = 'returned';
      if (!isReturn) message.state = 'done';
    }
  }
}

function saysTheSame(one: StatusEntry, other: StatusEntry | undefined): boolean {
  const { status, code, attempts } = one;
  return other?.status === status && other.code === code && other.attempts === attempts;
}

const wordsOf = (found: StatusEntry | undefined): string =>
  found === undefined ? 'unknown' : JSON.stringify(found);
