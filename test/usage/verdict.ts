/** Compares what the daemon says with what was asked: every cell of every period, every firing. */
import type { TriggerView, UsageRecord } from '../../src/usage/ports.ts';
import type { BuiltDaemon } from '../crash/daemon-process.ts';
import type { Callbacks } from './callbacks.ts';
import type { ClientCounts } from './clients.ts';
import {
  addTo,
  counterKey,
  type Fold,
  nanoOf,
  PERIODS,
  type PeriodName,
  type Sums,
} from './fold.ts';
import type { Triggers } from './triggers.ts';
import { familyOf, HEAD } from './world.ts';

const PAGE = 1_000;
const FAULTS_SHOWN = 5;
/** What the main thread counts of itself is not durable; `totalprice` has its own prices only. */
const OWN: ReadonlySet<string> = new Set(['webhooks', 'api-requests', 'api-requests-refused']);
const BETWEEN: ReadonlySet<string> = new Set(['loose', 'messages-refused']);

type Pages = Pick<BuiltDaemon, 'get'>;

/** All rows of a period: counter and period, and those of the head with all below it. */
async function recordsOf(
  daemon: Pages,
  period: PeriodName,
  query: string,
): Promise<Map<string, Sums>> {
  const rows = new Map<string, Sums>();
  let cursor: string | null = '';
  while (cursor !== null) {
    const from: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const path = `usage/records?period=${period}&tags=true&limit=${PAGE}${query}${from}`;
    const page = (await daemon.get(path)) as { items: UsageRecord[]; cursor: string | null };
    for (const { account, category, tag, from: day, count, usage, price } of page.items) {
      const name =
        period === 'alltime' ? period : day.slice(0, { daily: 10, monthly: 7, yearly: 4 }[period]);
      const key = `${counterKey(account, category, tag ?? '')} ${name}`;
      addTo(rows, key, { count: Number(count), usage: Number(usage), price: nanoOf(price) });
    }
    cursor = page.cursor;
  }
  return rows;
}

export interface CellFigures {
  compared: number;
  wrong: number;
  readonly faults: string[];
}

/** Of every account by itself, and of the head with all below it. */
export async function compareCells(daemon: Pages, fold: Fold): Promise<CellFigures> {
  const figures: CellFigures = { compared: 0, wrong: 0, faults: [] };
  for (const period of PERIODS) {
    compare(fold.rows(period), await recordsOf(daemon, period, ''), figures);
    const family = new Set(familyOf(HEAD));
    const together = new Map<string, Sums>();
    for (const [key, sums] of fold.rows(period)) {
      const [account = '', ...rest] = key.split(' ');
      if (family.has(account)) addTo(together, [HEAD, ...rest].join(' '), sums);
    }
    compare(together, await recordsOf(daemon, period, `&tenant=${HEAD}&subAccounts=true`), figures);
  }
  return figures;
}

function compare(
  expected: ReadonlyMap<string, Sums>,
  got: ReadonlyMap<string, Sums>,
  figures: CellFigures,
): void {
  const zero = { count: 0, usage: 0, price: 0 };
  for (const key of new Set([...expected.keys(), ...got.keys()])) {
    const category = key.split(' ')[1] as string;
    if (OWN.has(category) || BETWEEN.has(category)) continue;
    const [one, other] = [expected.get(key) ?? zero, got.get(key) ?? zero];
    figures.compared += 1;
    if (one.count === other.count && one.usage === other.usage && one.price === other.price)
      continue;
    figures.wrong += 1;
    if (figures.faults.length < FAULTS_SHOWN) {
      const text = ({ count, usage, price }: Sums): string => `${count}/${usage}/${price}`;
      figures.faults.push(`${key} is ${text(other)}, and ${text(one)} was asked`);
    }
  }
}

export type Bounds = Pick<ClientCounts, 'loose' | 'looseMaybe' | 'refused' | 'refusedMaybe'>;

/** What no one can know exactly lies between what is known and what may be. */
export async function compareBounds(daemon: Pages, bounds: Bounds): Promise<string[]> {
  const { loose, looseMaybe, refused, refusedMaybe } = bounds;
  const got = new Map<string, number>();
  for (const [key, { count }] of await recordsOf(daemon, 'alltime', '')) {
    const [, category = '', tag] = key.split(' ');
    if (tag === '') got.set(category, (got.get(category) ?? 0) + count);
  }
  const within = (category: string, low: number, high: number): string[] => {
    const count = got.get(category) ?? 0;
    const text = `${category} are ${count}, not from ${low} to ${high}`;
    return count >= low && count <= high ? [] : [text];
  };
  return [
    ...within('loose', loose, loose + looseMaybe),
    ...within('messages-refused', refused, refused + refusedMaybe),
  ];
}

export interface FiringFigures {
  expected: number;
  /** Callbacks that have to come: of each firing as many as its trigger has. */
  callbacksExpected: number;
  missing: number;
  unexpected: number;
  readonly faults: string[];
}

/** Which callbacks came, of those that had to. */
export function compareFirings(
  triggers: Triggers,
  { fold, callbacks, swung }: { fold: Fold; callbacks: Callbacks; swung: readonly string[] },
): FiringFigures {
  const expected = triggers.expected(fold);
  const figures = { expected: expected.size + swung.length, callbacksExpected: swung.length };
  const faults: string[] = [];
  let [missing, unexpected] = [0, 0];
  for (const [token, { trigger, value, total }] of expected) {
    figures.callbacksExpected += trigger.callbacks.length;
    for (const place of trigger.callbacks.keys()) {
      const told = callbacks.told.get(token)?.get(place);
      if (told === undefined) {
        missing += 1;
        faults.push(`${token} did not come to callback ${place}: ${value} of ${total}`);
      } else if (told.value !== value || told.currentValue > total) {
        unexpected += 1;
        faults.push(`${token} came with ${told.value} at ${told.currentValue} of ${total}`);
      }
    }
  }
  for (const token of swung) missing += Number(!callbacks.told.has(token));
  for (const token of callbacks.told.keys()) {
    if (expected.has(token) || swung.includes(token)) continue;
    unexpected += 1;
    faults.push(`${token} came, and nothing has reached it`);
  }
  return { ...figures, missing, unexpected, faults: faults.slice(0, FAULTS_SHOWN) };
}

/** How often triggers say that they fired, against how often they had to. */
export async function compareTriggers(
  daemon: Pages,
  triggers: Triggers,
  { fold, ups }: { readonly fold: Fold; readonly ups: number },
): Promise<string[]> {
  const firings = new Map<string, number>();
  for (const { trigger } of triggers.expected(fold).values()) {
    firings.set(trigger.sid, (firings.get(trigger.sid) ?? 0) + 1);
  }
  const faults: string[] = [];
  for (const { sid, rearmBelow } of triggers.all) {
    const view = (await daemon.get(`triggers/${sid}`)) as TriggerView;
    const expected = rearmBelow === undefined ? (firings.get(sid) ?? 0) : ups;
    if (view.firings === expected && view.skipped === 0) continue;
    faults.push(`${sid} says ${view.firings} firings, ${view.skipped} skipped, not ${expected}`);
  }
  return faults.slice(0, FAULTS_SHOWN);
}
