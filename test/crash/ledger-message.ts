/**
 * One message in the ledger, and what its status may be at the end.
 *
 * Its last state, in the consumer's own order of what it saw:
 *   none → open (delivered) → finalSent | returnSent (settlement sent) → done | returned (it was
 *   acknowledged) → open again … after returned, or after a connection that ended; → replayed
 *   (a dead letter of any state) → open again.
 */
import type { StatusEntry } from '../../src/protocol/frames.ts';
import { MESSAGE_STATUS, OUTCOME } from '../../src/protocol/kinds.ts';
import { ATTEMPTS_MAX, FRAIL_ATTEMPTS_MAX, VALIDITY_MS } from './traffic.ts';

export type State = 'none' | 'open' | 'finalSent' | 'returnSent' | 'done' | 'returned' | 'replayed';

export interface Message {
  readonly destination: string;
  readonly queue: string;
  readonly sequence: number;
  readonly isKeyed: boolean;
  /** Send not before, ms since the epoch; 0: at once. */
  readonly atMs: number;
  /** 0: its destination's validity. */
  readonly ttlMs: number;
  /** When and in which life of the daemon it was sent first. */
  readonly sentMs: number;
  boot: number;
  accepted: boolean;
  refused: boolean;
  /** Its place in its queue is not that of its sequence: it was sent again before an answer came. */
  unordered: boolean;
  id: string | undefined;
  deliveries: number;
  state: State;
  /** Of the newest delivery: the consumer's connection, the attempt, its settlement. */
  connection: number;
  attempt: number;
  outcome: number;
  code: number;
  cancel: 'none' | 'maybe' | 'done';
  cancelledMs: number;
  cancelBoot: number;
  /** When it was a dead letter and replayed, as far as no delivery came since. */
  readonly replays: Replay[];
  wasReplayed: boolean;
  /** It was in doubt when it was replayed: what comes says so. */
  inDoubt: boolean;
}

export interface Replay {
  /** Life of the daemon, from 1. */
  readonly boot: number;
  readonly atMs: number;
}

const FINAL_STATUS = new Map<number, number>([
  [OUTCOME.sent, MESSAGE_STATUS.sent],
  [OUTCOME.delivered, MESSAGE_STATUS.delivered],
  [OUTCOME.failed, MESSAGE_STATUS.failed],
]);
export const CODE_EXHAUSTED = 3024;
export const CODE_IN_DOUBT = 3025;

/** When its validity ends, given when it was accepted; ms since the epoch. */
export function expiryOf({ atMs, ttlMs }: Message, acceptedMs: number): number {
  return Math.max(acceptedMs, atMs) + (ttlMs > 0 ? ttlMs : VALIDITY_MS);
}

export const attemptsMaxOf = ({ destination }: Message): number =>
  destination === 'frail' ? FRAIL_ATTEMPTS_MAX : ATTEMPTS_MAX;

export const isDead = ({ status, code }: StatusEntry): boolean =>
  status === MESSAGE_STATUS.failed && (code === CODE_EXHAUSTED || code === CODE_IN_DOUBT);

export interface AtEnd {
  readonly found: StatusEntry;
  /** Lives of the daemon. */
  readonly boots: number;
  /** Whether a connection of the consumer ended before that of the last life. */
  readonly hasEnded: (connection: number) => boolean;
}

/** Replays up to a time: the message starts anew, and no delivery since is known. */
export function passReplays(message: Message, nowMs: number): void {
  for (;;) {
    const next = message.replays[0];
    if (next === undefined || next.atMs > nowMs) return;
    message.replays.shift();
    message.inDoubt = message.state === 'open' || message.state === 'finalSent';
    message.state = 'replayed';
    message.connection = next.boot;
    message.attempt = 0;
    message.wasReplayed = true;
  }
}

/** Whether a status is what the message's history allows. */
export function mayEndAs(message: Message, atEnd: AtEnd): boolean {
  const { found } = atEnd;
  const { state, cancel } = message;
  if (cancel === 'done') return found.status === MESSAGE_STATUS.cancelled;
  if (state === 'done') return isSettled(message, found);
  const isOver = atEnd.hasEnded(message.connection);
  if (state === 'finalSent' && isOver && isSettled(message, found)) return true;
  if (state === 'open' && !isOver) return false;
  if (found.status === MESSAGE_STATUS.cancelled) return cancel === 'maybe';
  if (found.status === MESSAGE_STATUS.expired) return mayExpire(message, found);
  return isDead(found) && mayDie(message, atEnd);
}

/** Its last settlement, with the attempt and the code of it. */
function isSettled({ outcome, code, attempt }: Message, found: StatusEntry): boolean {
  return (
    found.status === FINAL_STATUS.get(outcome) &&
    (found.code ?? 0) === code &&
    found.attempts === attempt
  );
}

function mayExpire(message: Message, { acceptedMs, endedMs = 0 }: StatusEntry): boolean {
  return message.ttlMs > 0 && endedMs >= expiryOf(message, acceptedMs);
}

/** A hand-out that the consumer never saw takes a life of the daemon each. */
function mayDie(message: Message, { found, boots }: AtEnd): boolean {
  const { state, outcome, attempt, destination } = message;
  const unseen = boots - Math.max(message.boot, message.connection);
  if (found.code === CODE_IN_DOUBT) {
    const inDoubt = state === 'open' || state === 'finalSent';
    return destination === 'once' && (inDoubt || unseen > 0);
  }
  const isReturn = state === 'returned' || state === 'returnSent';
  const counted = isReturn && outcome !== OUTCOME.retry ? attempt - 1 : attempt;
  const max = attemptsMaxOf(message);
  return found.attempts === max && max - counted <= unseen;
}

/** The daemon acknowledged that the last attempt is to be tried again. */
export function mustDie(message: Message): boolean {
  const { state, outcome, attempt } = message;
  const isRetry = state === 'returned' && outcome === OUTCOME.retry;
  return isRetry && attempt >= attemptsMaxOf(message);
}
