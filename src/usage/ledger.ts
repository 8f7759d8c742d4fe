/**
 * The ledger: a line for each firing of a trigger whose action is one. Main thread.
 *
 * A line is written in the transaction of the firing's requests, under a key that follows from the
 * firing: told again after a crash, it is the same line. Lines are kept until there are too many: then the
 * oldest of the tenant goes with each new one, or of all. Counts are in memory; those of a tenant are
 * counted at its first line.
 */
import { LIMITS } from '../limits.ts';
import type { Firing } from '../protocol/usage-exchange.ts';
import type { Entry, Writes } from '../store/environment.ts';
import {
  decodeLine,
  encodeLine,
  type LedgerLine,
  lineKey,
  lineOf,
  linesFrom,
  partRange,
  placeOf,
  timeKey,
  whichOf,
} from './ledger-line.ts';
import type { UsagePage } from './ports.ts';

export interface LedgerOptions {
  readonly environment: {
    get(key: Uint8Array): Uint8Array | undefined;
    refresh(): void;
    range(start: Uint8Array, end: Uint8Array): Iterable<Entry>;
    count(start: Uint8Array, end: Uint8Array): number;
  };
  readonly linesMax?: number;
  readonly linesPerTenantMax?: number;
}

export interface LedgerQuery {
  /** Undefined: of all tenants, in the order of their names. */
  readonly tenant: string | undefined;
  /** Ms since the epoch: from then on, and before. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly limit: number;
  /** A key of a line; behind it. */
  readonly after: Uint8Array | undefined;
}

/** Ms that are in no calendar of JavaScript any more. */
const NEVER_MS = 8_640_000_000_000_001;

export class Ledger {
  readonly #environment: LedgerOptions['environment'];
  readonly #linesMax: number;
  readonly #linesPerTenantMax: number;
  readonly #ofTenants = new Map<string, number>();
  #lines: number;

  constructor({ environment, linesMax, linesPerTenantMax }: LedgerOptions) {
    this.#environment = environment;
    this.#linesMax = linesMax ?? LIMITS.ledgerLines;
    this.#linesPerTenantMax = linesPerTenantMax ?? LIMITS.ledgerLinesPerTenant;
    const { start, end } = partRange('lines');
    this.#lines = environment.count(start, end);
  }

  get size(): number {
    return this.#lines;
  }

  /**
   * Makes the lines of firings; what it gives writes them, and has to before the next call, unless the
   * process ends. Those that are there already are left out.
   */
  add(firings: readonly Firing[], tokenOf: (firing: Firing) => string): (writes: Writes) => void {
    const own = firings.filter(({ action }) => action?.kind === 'ledger');
    if (own.length === 0) return () => {};
    this.#environment.refresh();
    const puts: [key: Uint8Array, value: Uint8Array][] = [];
    const fresh = new Map<string, number>();
    for (const firing of own) {
      const { account: tenant, firedMs } = firing;
      const which = whichOf(firing);
      const key = lineKey(tenant, firedMs, which);
      if (this.#environment.get(key) !== undefined) continue;
      puts.push([key, encodeLine(lineOf(firing, tokenOf(firing)))]);
      puts.push([timeKey(firedMs, which), Buffer.from(tenant)]);
      fresh.set(tenant, (fresh.get(tenant) ?? 0) + 1);
    }
    const removes = this.#makeRoom(fresh);
    return (writes) => {
      for (const key of removes) writes.remove(key);
      for (const [key, value] of puts) writes.put(key, value);
    };
  }

  /** Lines in the order of tenant and time. A page may be short although there are more. @throws RecordError */
  page({ tenant, fromMs, toMs, limit, after }: LedgerQuery): UsagePage<LedgerLine> {
    const { start, end } =
      tenant === undefined
        ? partRange('lines')
        : linesFrom(tenant, fromMs, Math.min(toMs, NEVER_MS));
    // The next key behind one is that with a zero byte more.
    const next = after && Buffer.concat([after, Uint8Array.of(0)]);
    const from = next !== undefined && Buffer.compare(next, start) > 0 ? next : start;
    if (Buffer.compare(from, end) >= 0) return { items: [], cursor: null };
    const items: LedgerLine[] = [];
    let seen = 0;
    let last: Uint8Array | undefined;
    this.#environment.refresh();
    for (const { key, value } of this.#environment.range(from, end)) {
      const isFull = items.length === limit || seen === LIMITS.ledgerLinesLookedAt;
      if (isFull && last !== undefined) return { items, cursor: textOf(last) };
      seen += 1;
      last = Buffer.from(key);
      const { atMs } = placeOf(key);
      if (atMs >= fromMs && atMs < toMs) items.push(decodeLine(key, value));
    }
    return { items, cursor: null };
  }

  /** Counts what comes, and gives the keys of what goes for it. */
  #makeRoom(fresh: ReadonlyMap<string, number>): Uint8Array[] {
    const gone = new Set<string>();
    const keys: Uint8Array[] = [];
    const remove = (tenant: string, atMs: number, which: Uint8Array): void => {
      const key = lineKey(tenant, atMs, which);
      if (gone.has(textOf(key))) return;
      gone.add(textOf(key));
      keys.push(key, timeKey(atMs, which));
      this.#count(tenant, -1);
    };
    for (const [tenant, count] of fresh) {
      this.#count(tenant, count);
      const { start, end } = linesFrom(tenant);
      const over = (this.#ofTenants.get(tenant) ?? 0) - this.#linesPerTenantMax;
      for (const { key } of over > 0 ? firstOf(this.#environment.range(start, end), over) : []) {
        const { atMs, which } = placeOf(key);
        remove(tenant, atMs, which);
      }
    }
    const { start, end } = partRange('times');
    if (this.#lines <= this.#linesMax) return keys;
    for (const { key, value } of this.#environment.range(start, end)) {
      if (this.#lines <= this.#linesMax) break;
      const { atMs, which } = placeOf(key);
      remove(Buffer.from(value).toString(), atMs, which);
    }
    return keys;
  }

  #count(tenant: string, more: number): void {
    const { start, end } = linesFrom(tenant);
    const before = this.#ofTenants.get(tenant) ?? this.#environment.count(start, end);
    this.#ofTenants.set(tenant, before + more);
    this.#lines += more;
  }
}

/** A key as the cursor of a page. */
export const textOf = (key: Uint8Array): string => Buffer.from(key).toString('base64url');

function* firstOf<T>(all: Iterable<T>, count: number): Generator<T, void> {
  let left = count;
  for (const each of all) {
    if (left <= 0) return;
    left -= 1;
    yield each;
  }
}
