// What became of the messages of a run, as their status says, and what that has to count.
import type { StatusEntry } from '../../src/protocol/frames.ts';
import { MESSAGE_STATUS } from '../../src/protocol/kinds.ts';
import { finalStatuses, type Statuses } from '../crash/final-statuses.ts';
import { dayOf, type Fold } from './fold.ts';
import type { AskedMessage } from './mix.ts';
import { priceOf, pricesAt } from './world.ts';

const { sent, delivered, undelivered, failed, expired, cancelled } = MESSAGE_STATUS;
/** Status → the category of those that came to it. */
const ENDS: ReadonlyMap<number, string | undefined> = new Map([
  [sent, undefined],
  [delivered, 'messages-delivered'],
  [undelivered, 'messages-undelivered'],
  [failed, 'messages-failed'],
  [expired, 'messages-expired'],
  [cancelled, 'messages-cancelled'],
]);
const SENT: ReadonlySet<number> = new Set([sent, delivered, undelivered]);
const ASK_EVERY_MS = 200;

/**
 * Asks until every message has ended.
 *
 * @throws Error when one has not within `timeoutMs`
 */
export async function outcomes(
  daemon: { readonly url: string; readonly token: string },
  messages: readonly AskedMessage[],
  timeoutMs: number,
): Promise<ReadonlyMap<string, StatusEntry>> {
  const ended = new Map<string, StatusEntry>();
  const endMs = performance.now() + timeoutMs;
  let open = messages.map(({ id }) => id as string);
  while (open.length > 0) {
    const statuses: Statuses = await finalStatuses(daemon, open);
    open = open.filter((id) => {
      const entry = statuses.get(id);
      if (entry === undefined) throw new Error(`nobody knows the message ${id}`);
      const isOver = ENDS.has(entry.status);
      if (isOver) ended.set(id, entry);
      return !isOver;
    });
    if (open.length > 0 && performance.now() > endMs) {
      throw new Error(
        `${open.length} messages have not ended, ${open[0]} is ${statuses.get(open[0] as string)?.status}`,
      );
    }
    if (open.length > 0) await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
  return ended;
}

/** Folds messages with what became of them, all of it today. */
export function foldMessages(
  fold: Fold,
  messages: readonly AskedMessage[],
  {
    ended,
    startMs,
  }: { readonly ended: ReadonlyMap<string, StatusEntry>; readonly startMs: number },
): Map<string, number> {
  const prices = pricesAt(startMs);
  const numbers = new Map<string, number>();
  const day = dayOf(startMs);
  for (const { tenant: account, id, cost, message } of messages) {
    const count = (category: string, usage = 1, price = 0, tag = ''): void => {
      fold.count({ account, category, tag, day, count: 1, usage, price });
      numbers.set(category, (numbers.get(category) ?? 0) + 1);
    };
    const tag = message.options?.g ?? '';
    count('messages-accepted', 1, 0, tag);
    count('message-bytes', message.payload.length, 0, tag);
    count('segments', cost, 0, tag);
    const { status, attempts } = ended.get(id as string) as StatusEntry;
    if (attempts > 0) {
      const attempted = { account, category: 'message-attempts', tag: '', day, price: 0 };
      fold.count({ ...attempted, count: attempts, usage: attempts });
    }
    if (SENT.has(status)) {
      const of = { category: 'messages', atMs: startMs, count: 1, usage: cost };
      count('messages-sent');
      count('messages', cost, priceOf(prices, account, of));
    }
    const category = ENDS.get(status);
    if (category !== undefined) count(category);
  }
  return numbers;
}
