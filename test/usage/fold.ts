/** What counters have to say: a fold of what was asked, kept outside the daemon. */

/** Count, usage, and price in billionths. */
export interface Sums {
  count: number;
  usage: number;
  price: number;
}

export const PERIODS = ['daily', 'monthly', 'yearly', 'alltime'] as const;
export type PeriodName = (typeof PERIODS)[number];

export const DAY_MS = 86_400_000;
export const dayOf = (ms: number): number => Math.floor(ms / DAY_MS);
const NANO = 1_000_000_000;

/** The name of the period that a day lies in, as tokens of firings have it. */
export function periodOf(period: PeriodName, day: number): string {
  if (period === 'alltime') return 'alltime';
  const text = new Date(day * DAY_MS).toISOString();
  return text.slice(0, period === 'daily' ? 10 : period === 'monthly' ? 7 : 4);
}

export interface Counted extends Readonly<Sums> {
  readonly account: string;
  readonly category: string;
  /** Empty: none. */
  readonly tag: string;
  readonly day: number;
}

/** A counter as a key of maps. */
export const counterKey = (account: string, category: string, tag: string): string =>
  `${account} ${category} ${tag}`;

export class Fold {
  readonly #counters = new Map<string, Map<number, Sums>>();

  /** Adds to one cell, and its price to the total of its account. */
  add({ account, category, tag, day, ...sums }: Counted): void {
    this.#cell(counterKey(account, category, tag), day, sums);
    if (tag !== '' || sums.price === 0) return;
    const { price } = sums;
    this.#cell(counterKey(account, 'totalprice', ''), day, { count: 0, usage: 0, price });
  }

  /** Adds to the cell without a tag, and to that of the tag. */
  count(counted: Counted): void {
    this.add({ ...counted, tag: '' });
    if (counted.tag !== '') this.add(counted);
  }

  /** The sums of each period of a counter of some accounts together. */
  totals(accounts: readonly string[], names: Names, period: PeriodName): Map<string, Sums> {
    const totals = new Map<string, Sums>();
    for (const account of accounts) {
      const cells = this.#counters.get(counterKey(account, names.category, names.tag));
      for (const [day, sums] of cells ?? []) addTo(totals, periodOf(period, day), sums);
    }
    return totals;
  }

  /** Every row of a list of records: counter and period. */
  rows(period: PeriodName): Map<string, Sums> {
    const rows = new Map<string, Sums>();
    for (const [key, cells] of this.#counters) {
      for (const [day, sums] of cells) addTo(rows, `${key} ${periodOf(period, day)}`, sums);
    }
    return rows;
  }

  #cell(key: string, day: number, sums: Sums): void {
    let cells = this.#counters.get(key);
    if (cells === undefined) {
      cells = new Map();
      this.#counters.set(key, cells);
    }
    addTo(cells, day, sums);
  }
}

export interface Names {
  readonly category: string;
  readonly tag: string;
}

export function addTo<K>(map: Map<K, Sums>, key: K, { count, usage, price }: Sums): void {
  const sums = map.get(key);
  if (sums === undefined) {
    map.set(key, { count, usage, price });
    return;
  }
  sums.count += count;
  sums.usage += usage;
  sums.price += price;
}

/** Billionths of a decimal text with nine places. */
export function nanoOf(text: string): number {
  const [whole = '0', part = ''] = text.replace('-', '').split('.');
  const nano = Number(whole) * NANO + Number(part.padEnd(9, '0'));
  return text.startsWith('-') ? -nano : nano;
}

export function nanoText(nano: number): string {
  const digits = String(Math.abs(nano)).padStart(10, '0');
  return `${nano < 0 ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
