/**
 * What the main thread itself counts (API requests, webhooks, permits, inbound messages): gathered, then
 * told in one list. The first count leaves at the end of its turn of the event loop, those that follow
 * `gatherMs` behind the list before: each list costs a step and a flush, and under load there are many turns. What was
 * gathered is lost with the process, as the requests are that it stands for.
 */
import {
  encodeDeltas,
  USAGE_CATEGORY,
  type UsageCategoryName,
  type UsageDelta,
} from '../protocol/usage-deltas.ts';

export interface OwnCountsOptions {
  /** ms since the epoch. */
  readonly nowMs: () => number;
  /** Takes a list of deltas. */
  readonly tell: (deltas: Uint8Array) => void;
  /** Accounts times categories; past it they are told at once. */
  readonly countsMax: number;
  /** Between one list and the next, ms. */
  readonly gatherMs: number;
}

interface Gathered {
  count: number;
  usage: number;
}

const DAY_MS = 86_400_000;

export class OwnCounts {
  readonly #options: OwnCountsOptions;
  readonly #accounts = new Map<string, Map<number, Gathered>>();
  #counts = 0;
  #day = 0;
  #isPlanned = false;

  constructor(options: OwnCountsOptions) {
    this.#options = options;
  }

  /** Of the platform itself, whose account is empty, nothing is counted. */
  add(account: string, category: UsageCategoryName, usage = 1): void {
    if (account === '') return;
    const day = Math.floor(this.#options.nowMs() / DAY_MS);
    if (day !== this.#day) this.flush();
    this.#day = day;
    const number = USAGE_CATEGORY[category];
    let categories = this.#accounts.get(account);
    if (categories === undefined) {
      categories = new Map();
      this.#accounts.set(account, categories);
    }
    const gathered = categories.get(number);
    if (gathered === undefined) {
      categories.set(number, { count: 1, usage });
      this.#counts += 1;
    } else {
      gathered.count += 1;
      gathered.usage += usage;
    }
    if (this.#counts >= this.#options.countsMax) this.flush();
    else this.#plan();
  }

  /** Tells what is gathered now. */
  flush(): void {
    if (this.#counts === 0) return;
    const groups = new Map<string, UsageDelta[]>();
    for (const [account, categories] of this.#accounts) {
      const deltas = [...categories].map(([category, gathered]) => {
        return { category, day: this.#day, ...gathered };
      });
      groups.set(account, deltas);
    }
    this.#accounts.clear();
    this.#counts = 0;
    this.#options.tell(encodeDeltas(groups));
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => this.#tellAndRest());
  }

  /** What comes while it rests is told at the end of the rest. */
  #tellAndRest(): void {
    this.flush();
    const rested = (): void => {
      if (this.#counts > 0) this.#tellAndRest();
      else this.#isPlanned = false;
    };
    setTimeout(rested, this.#options.gatherMs).unref();
  }
}
