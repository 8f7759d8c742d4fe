/**
 * The outside account of a gateway run: what publishers, peers and callback server saw of each
 * message, against what the daemon says of it at the end.
 */
import { ERRORS } from '../../src/errors.ts';
import type { StatusEntry } from '../../src/protocol/frames.ts';
import { EVENT_STATUS } from '../../src/protocol/status-events.ts';
import type { Statuses } from './final-statuses.ts';
import { type Ended, Figures } from './gateway-figures.ts';
import { judgeCallbacks } from './gateway-ledger-callbacks.ts';
import {
  type CallbacksReport,
  type PeersReport,
  planned,
  REJECT_CODES,
  type SeenAttempt,
  type SeenCallback,
} from './gateway-traffic.ts';

/**
 * From the signal until another daemon is ready, ms since the epoch: on a busy machine a peer reads
 * what the killed one had sent when that is long gone.
 */
export interface Kill {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Seen {
  readonly ids: ReadonlyMap<number, string>;
  readonly repeatedPublishes: number;
  readonly kills: readonly Kill[];
  readonly peers: PeersReport;
  readonly pulled: readonly SeenAttempt[];
  readonly callbacks: CallbacksReport;
  /** What publishers and consumer could not understand. */
  readonly strange: readonly string[];
  readonly before: Statuses;
  readonly after: Statuses;
}

/** An outcome is on disk by then, also on a busy machine. */
const SETTLED_MS = 10_000;
const END_NAMES = new Map<number, Ended>([
  [EVENT_STATUS.sent, 'sent'],
  [EVENT_STATUS.delivered, 'delivered'],
  [EVENT_STATUS.undelivered, 'undelivered'],
  [EVENT_STATUS.failed, 'failed'],
]);
const END_OF = {
  kept: 'sent',
  delivered: 'delivered',
  undelivered: 'undelivered',
  rejected: 'failed',
} as const;

export class GatewayLedger {
  readonly figures = new Figures();
  readonly #seen: Seen;
  readonly #attempts: ReadonlyMap<number, SeenAttempt[]>;
  readonly #callbacks: ReadonlyMap<number, SeenCallback[]>;

  constructor(seen: Seen) {
    this.#seen = seen;
    this.#attempts = grouped([...seen.peers.attempts, ...seen.pulled]);
    this.#callbacks = grouped(seen.callbacks.callbacks);
  }

  judge(): void {
    const { ids, peers, callbacks, before, after, strange } = this.#seen;
    const { figures } = this;
    this.#count();
    for (const words of peers.badSignatures) figures.wrong('signaturesWrong', words);
    for (const words of [...strange, ...peers.strange, ...callbacks.strange]) {
      figures.wrong('strange', words);
    }
    for (const [number, id] of ids) {
      const found = before.get(id);
      this.#judge(number, id, found);
      const later = after.get(id);
      if (found?.status !== later?.status || found?.code !== later?.code) {
        const words = `${this.#wordsOf(number)} was ${found?.status}, after a restart ${later?.status}`;
        figures.wrong('statusWrong', words);
      }
    }
    for (const number of [...this.#attempts.keys(), ...this.#callbacks.keys()]) {
      if (!ids.has(number)) figures.wrong('strange', `${number} was never accepted`);
    }
  }

  #count(): void {
    const { ids, repeatedPublishes, peers, pulled } = this.#seen;
    const { figures } = this;
    figures.count('accepted', ids.size);
    figures.count('repeatedPublishes', repeatedPublishes);
    figures.count('webhookRequests', peers.webhookRequests);
    figures.count('submits', peers.submits);
    figures.count('attempts', peers.attempts.length + pulled.length);
    figures.count('receipts', peers.receipts);
    figures.count('receiptsEarly', peers.receiptsEarly);
    figures.count('receiptsRepeated', peers.receiptsRepeated);
  }

  #judge(number: number, id: string, found: StatusEntry | undefined): void {
    const attempts = this.#attempts.get(number) ?? [];
    for (const attempt of attempts) {
      if (attempt.id === undefined || attempt.id === id) continue;
      this.figures.wrong('strange', `${number} is ${id}, and ${attempt.id} at ${attempt.gateway}`);
    }
    for (const [at, next] of attempts.slice(1).entries()) {
      this.#judgeAgain(attempts[at] as SeenAttempt, next);
    }
    this.#judgeEnd(number, attempts, found);
    judgeCallbacks(this.figures, {
      number,
      id,
      words: this.#wordsOf(number),
      attempts,
      callbacks: this.#callbacks.get(number) ?? [],
      found,
    });
  }

  /** An attempt after another one. */
  #judgeAgain(last: SeenAttempt, next: SeenAttempt): void {
    const { figures } = this;
    const times = `${last.answeredMs - last.atMs} ms later, again after ${next.atMs - last.atMs} ms`;
    const words = `${this.#wordsOf(last.number)}, said ${last.said} ${times}`;
    if (last.said === 'refused' && !last.maybeLost) {
      figures.count('againRefused');
      return;
    }
    const kill = this.#seen.kills.find(({ toMs }) => toMs >= last.atMs);
    const isKilled = kill !== undefined && kill.fromMs <= next.atMs;
    if (last.said === 'refused') {
      figures.count('againRefused');
    } else if (planned(last.number).isOnce) {
      figures.wrong('duplicatesAfterFail', words);
    } else if (last.said === 'open' || last.maybeLost) {
      figures.count('againInDoubt');
    } else if (!isKilled) {
      figures.wrong('duplicatesNotInDoubt', `${words}, without a kill`);
    } else if (this.#wasOnDisk(last, kill)) {
      figures.wrong('duplicatesNotInDoubt', `${words}, and it was on disk`);
    } else {
      figures.count('againInDoubt');
      if (next.flagged === false) {
        figures.wrong('duplicatesNotInDoubt', `${words}, and it came without a flag`);
      }
    }
  }

  /** Whether its outcome was: its callback was there before the kill, or a long time went by. */
  #wasOnDisk(last: SeenAttempt, kill: Kill): boolean {
    if (kill.fromMs - last.answeredMs > SETTLED_MS) return true;
    const told = this.#callbacks.get(last.number) ?? [];
    const ends = ['sent', 'delivered', 'undelivered', 'failed'];
    return told.some(({ atMs, status }) => atMs < kill.fromMs && ends.includes(status));
  }

  #judgeEnd(
    number: number,
    attempts: readonly SeenAttempt[],
    found: StatusEntry | undefined,
  ): void {
    const { figures } = this;
    const { fate, gateway, isOnce } = planned(number);
    const ends = `${found?.status} ${found?.code ?? ''}`;
    const saids = attempts.map(({ said, maybeLost }) => `${said}${maybeLost ? '?' : ''}`);
    const words = `${this.#wordsOf(number)} is ${ends}, seen ${saids.join(', ') || 'never'}`;
    const how = found && END_NAMES.get(found.status);
    if (found === undefined) figures.wrong('lost', words);
    else if (how === undefined) figures.wrong('notEnded', words);
    if (found === undefined || how === undefined) return;
    if (how === 'failed' && found.code === ERRORS.inDoubt.code) {
      figures.ended('inDoubt');
      if (!isOnce || !this.#mayBeInDoubt(attempts)) figures.wrong('statusWrong', words);
      return;
    }
    figures.ended(how);
    const said = fate === 'rejected' ? 'rejected' : 'taken';
    const isSeen = attempts.some((attempt) => attempt.said === said);
    const status = END_OF[fate];
    if (!isSeen) figures.wrong(how === 'failed' ? 'statusWrong' : 'lost', words);
    else if (how === 'sent' && fate !== 'rejected' && fate !== 'kept')
      figures.wrong('receiptsLost', words);
    else if (how !== status) figures.wrong('statusWrong', words);
    else if (how === 'failed' && found.code !== REJECT_CODES[gateway]) {
      figures.wrong('statusWrong', words);
    }
  }

  /** Whether its last attempt was in flight at a kill, or its answer may not have arrived. */
  #mayBeInDoubt(attempts: readonly SeenAttempt[]): boolean {
    const last = attempts.at(-1);
    // It was under way, and had not left.
    if (last === undefined || last.said === 'open' || last.maybeLost) return true;
    return this.#seen.kills.some((kill) => {
      const isAfter = kill.toMs >= last.atMs;
      return isAfter && (last.said === 'refused' || !this.#wasOnDisk(last, kill));
    });
  }

  #wordsOf(number: number): string {
    const { destination, tenant, origin, fate } = planned(number);
    const id = this.#seen.ids.get(number);
    return `${number} (${id}) of ${tenant} by ${origin} to ${destination}, ${fate}`;
  }
}

function grouped<T extends { readonly number: number; readonly atMs: number }>(
  all: readonly T[],
): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const each of all) {
    const of = groups.get(each.number) ?? [];
    of.push(each);
    groups.set(each.number, of);
  }
  return groups;
}
