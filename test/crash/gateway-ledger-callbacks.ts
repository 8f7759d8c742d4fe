/** Judges the callbacks of one message: its history as the callback server saw it. */
import type { StatusEntry } from '../../src/protocol/frames.ts';
import { eventStatusName } from '../../src/protocol/status-events.ts';
import { restErrorOf, restStatus } from '../../src/rest/account-codes.ts';
import type { Figures } from './gateway-figures.ts';
import { planned, type SeenAttempt, type SeenCallback } from './gateway-traffic.ts';

/** What may follow a status, as every change is told. No message here is scheduled, cancelled or late. */
const NEXT: Readonly<Record<string, readonly string[]>> = {
  '': ['accepted'],
  accepted: ['queued'],
  queued: ['sending'],
  sending: ['queued', 'sent', 'delivered', 'undelivered', 'failed'],
  sent: ['delivered', 'undelivered'],
};

export interface Told {
  readonly number: number;
  readonly id: string;
  readonly words: string;
  readonly attempts: readonly SeenAttempt[];
  readonly callbacks: readonly SeenCallback[];
  readonly found: StatusEntry | undefined;
}

export function judgeCallbacks(figures: Figures, told: Told): void {
  const { callbacks, words } = told;
  figures.count('callbacks', callbacks.length);
  const events = new Map<number, SeenCallback[]>();
  let highest = 0;
  for (const callback of callbacks) {
    judgeOne(figures, told, callback);
    const at = numberOfEvent(callback.event, told.id);
    if (at === undefined) {
      figures.wrong('callbackIdsWrong', `${words}: a callback has the id ${callback.event}`);
      continue;
    }
    const known = events.get(at);
    if (known !== undefined) {
      figures.count('callbackRepeats');
      known.push(callback);
      if (known[0]?.bodyHash !== callback.bodyHash) {
        figures.wrong('callbackIdsWrong', `${words}: ${callback.event} has two bodies`);
      }
      if (at < highest) figures.wrong('callbacksOutOfOrder', `${words}: ${at} after ${highest}`);
      continue;
    }
    figures.count('events');
    const isReady = highest === 0 || events.get(highest)?.some(({ taken }) => taken) === true;
    if (at < highest || !isReady) {
      figures.wrong('callbacksOutOfOrder', `${words}: ${at} after ${highest}`);
    }
    highest = Math.max(highest, at);
    events.set(at, [callback]);
  }
  judgeHistory(figures, told, { events, highest });
}

function judgeOne(figures: Figures, told: Told, callback: SeenCallback): void {
  const { tenant, hasAccount } = planned(told.number);
  const { words } = told;
  const { urlTenant, bodyTenant, isForm, messageId, isSigned, event } = callback;
  const isHere = urlTenant === tenant && bodyTenant === tenant && messageId === told.id;
  if (!isHere) figures.wrong('misdirected', `${words}: ${event} at ${urlTenant} of ${bodyTenant}`);
  if (isForm !== hasAccount) figures.wrong('strange', `${words}: ${event} has the wrong form`);
  if (!isSigned) figures.wrong('signaturesWrong', `${words}: ${event}`);
}

/** From the first to the last, each taken, each a change that there is, the last one the end. */
function judgeHistory(
  figures: Figures,
  { words, attempts, found }: Told,
  { events, highest }: { events: ReadonlyMap<number, readonly SeenCallback[]>; highest: number },
): void {
  let before = '';
  let sendings = 0;
  for (let at = 1; at <= highest; at += 1) {
    const callbacks = events.get(at) ?? [];
    const [first] = callbacks;
    if (first === undefined || !callbacks.some(({ taken }) => taken)) {
      figures.wrong('callbacksMissing', `${words}: ${at} of ${highest} after ${before}`);
    }
    if (first === undefined) return;
    if (NEXT[before]?.includes(first.status) !== true) {
      figures.wrong('callbacksMissing', `${words}: ${first.status} follows ${before}`);
    }
    before = first.status;
    if (before !== 'sending') continue;
    sendings += 1;
  }
  const seen = Math.max(0, ...attempts.map(({ attempt }) => attempt), attempts.length);
  if (sendings < seen) {
    figures.wrong('callbacksMissing', `${words}: ${sendings} times sending, ${seen} attempts`);
  }
  const last = events.get(highest)?.[0];
  if (found !== undefined) judgeLast(figures, words, { found, last });
}

function judgeLast(
  figures: Figures,
  words: string,
  { found, last }: { found: StatusEntry; last: SeenCallback | undefined },
): void {
  const end = eventStatusName(found.status) ?? String(found.status);
  const status = last?.isForm === true ? restStatus(end) : end;
  if (last === undefined || last.status !== status) {
    figures.wrong('callbacksMissing', `${words}: ends ${end}, last told ${last?.status}`);
    return;
  }
  const code = found.code ?? null;
  const shown = last.isForm ? restErrorOf(end, code) : code;
  if (last.code !== shown) {
    figures.wrong('statusWrong', `${words}: code ${shown}, last told ${last.code}`);
  }
}

/** Undefined: it is no id of an event of this message. */
function numberOfEvent(event: string, id: string): number | undefined {
  const match = /^msg_([0-9a-f]{32})_([1-9]\d*)$/.exec(event);
  return match?.[1] === id ? Number(match[2]) : undefined;
}
