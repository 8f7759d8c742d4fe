/**
 * Who and what a run has: tenants, categories, prices, destinations. Its clock is ahead of the host's, so that the
 * edges of a month and of a year lie in the days that late events may have, and no run passes midnight.
 */
import { DAY_MS } from './fold.ts';

/** Child → parent. */
const PARENTS: Readonly<Record<string, string>> = {
  north: 'holding',
  south: 'holding',
  coast: 'south',
};
export const TENANTS = [
  ...['t0', 't1', 't2', 't3', 't4', 't5', 't6', 't7'],
  ...['holding', 'north', 'south', 'coast'],
] as const;
/** Tenants with an account. */
export const ACCOUNTS: Readonly<Record<string, string>> = {
  t0: `AC${'0'.repeat(31)}a`,
  north: `AC${'0'.repeat(31)}b`,
};

/** A tenant and all below it. */
export function familyOf(tenant: string): readonly string[] {
  const below = Object.keys(PARENTS).filter((child) => PARENTS[child] === tenant);
  return [tenant, ...below.flatMap(familyOf)];
}
export const HEAD = 'holding';

/** `fixed` has corrections; `loose` events have no key, so what a kill left open is not known. */
export const CATEGORIES = ['pages', 'calls', 'seats', 'fixed', 'loose'] as const;
export type CategoryName = (typeof CATEGORIES)[number];
export const TAGS = ['scan', 'fax', 'mail'] as const;

/** `drawn` … are consumed; what is `short` expires, `held` is cancelled, `full` refuses. */
export const CONSUMED = ['drawn', 'east', 'west', 'lake', 'frail', 'told'] as const;
export const DESTINATIONS = [...CONSUMED, 'short', 'held', 'full'] as const;
export type DestinationName = (typeof DESTINATIONS)[number];
/** Messages of it get receipts. */
export const TOLD = 'told';

/** The hour of the day at which a run begins. */
const HOUR = 10;
const MINUTE_MS = 60_000;

/** How far the run's clock is ahead: it is 10 o'clock UTC on that day. */
export function aheadMs(day: string | undefined): number {
  const now = new Date();
  const text = day ?? `${now.getUTCFullYear() + 1}-01-20`;
  return Date.parse(`${text}T00:00:00Z`) + HOUR * 60 * MINUTE_MS - now.getTime();
}

/** For NODE_OPTIONS: every thread of the process reads a wall clock that is so far ahead. */
export function clockOption(ahead: number): string {
  const code = `const Real=Date;globalThis.Date=class Date extends Real{
    constructor(...given){if(given.length===0)super(Real.now()+${ahead});else super(...given)}
    static now(){return Real.now()+${ahead}}};`;
  return `--import=data:text/javascript,${encodeURIComponent(code)}`;
}

interface PriceList {
  readonly by: 'count' | 'usage';
  /** Ascending; nano-units. */
  readonly steps: readonly { readonly fromMs: number; readonly price: number }[];
}

/** Prices by category, or `category/tenant`; each has a step within the days of late events. */
export function pricesAt(nowMs: number): Readonly<Record<string, PriceList>> {
  const list = (by: PriceList['by'], first: number, second: number, daysAgo: number) => {
    const fromMs = nowMs - daysAgo * DAY_MS + 1_234_567;
    const steps = [
      { fromMs: 0, price: first },
      { fromMs, price: second },
    ];
    return { by, steps };
  };
  return {
    pages: list('usage', 7_500_000, 8_000_001, 12),
    calls: list('count', 20_000_000, 15_000_000, 19),
    'calls/t3': list('usage', 1, 3, 5),
    fixed: list('usage', 1_000_000, 2_000_000, 9),
    messages: list('usage', 1_000_000, 7_500_000, 1),
    'messages/t2': list('count', 2_000_000, 9_000_000, 2),
  };
}

/** What one event costs, nano-units. */
export function priceOf(
  prices: Readonly<Record<string, PriceList>>,
  tenant: string,
  event: { category: string; atMs: number; count: number; usage: number },
): number {
  const list = prices[`${event.category}/${tenant}`] ?? prices[event.category];
  const step = list?.steps.findLast(({ fromMs }) => fromMs <= event.atMs);
  return step === undefined ? 0 : step.price * (list?.by === 'count' ? event.count : event.usage);
}

export interface Api {
  put(path: string, fields: object): Promise<unknown>;
}

/** Makes all of it. */
export async function makeWorld(api: Api, nowMs: number): Promise<void> {
  for (const tenant of TENANTS) {
    const parent = PARENTS[tenant];
    await api.put(`tenants/${tenant}`, parent === undefined ? {} : { parent });
  }
  for (const [tenant, account] of Object.entries(ACCOUNTS)) {
    await api.put(`accounts/${account}`, { tenant });
  }
  for (const [name, { by, steps }] of Object.entries(pricesAt(nowMs))) {
    const texts = steps.map(({ fromMs, price }) => ({ fromMs, price: decimal(price) }));
    await api.put(`prices/${name}`, { by, steps: texts });
  }
  for (const name of DESTINATIONS) await api.put(`destinations/${name}`, fieldsOf(name));
}

const decimal = (nano: number): string => (nano / 1e9).toFixed(9);

function fieldsOf(name: DestinationName): object {
  if (name === 'full') return { refuseNew: true };
  if (name === 'short' || name === 'held') return { paused: true };
  const retries = { retryBaseMs: 10, retryJitter: 0 };
  return { attemptsMax: name === 'frail' ? 3 : 1_000, ...retries };
}
