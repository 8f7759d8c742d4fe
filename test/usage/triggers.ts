/**
 * The triggers of a run: how they are made, how far what was asked has brought them, and which firings its end
 * has to have: each value that the total of a period has reached, once, and no other.
 */
import {
  addTo,
  type Counted,
  type Fold,
  nanoOf,
  nanoText,
  type PeriodName,
  periodOf,
  type Sums,
} from './fold.ts';
import { ACCOUNTS, familyOf, HEAD, TENANTS } from './world.ts';

export interface TriggerPlan {
  readonly tenant: string;
  readonly category: string;
  readonly tag?: string;
  readonly by: keyof Sums;
  readonly value: number;
  readonly thresholds?: readonly number[];
  readonly step?: number;
  readonly recurring?: Exclude<PeriodName, 'alltime'>;
  readonly relative?: boolean;
  readonly everyN?: number;
  readonly subAccounts?: boolean;
  readonly rearmBelow?: number;
  readonly callbacks: readonly { readonly form?: 'form'; readonly method?: 'GET' }[];
}

export interface MadeTrigger extends TriggerPlan {
  readonly sid: string;
  /** Of a relative one: the total that its values count from. */
  readonly base: number;
  readonly accounts: ReadonlySet<string>;
  /** What was asked so far, by period. */
  readonly asked: Map<string, Sums>;
}

const POST = {};
const FORM = { form: 'form' } as const;
const GET_FORM = { form: 'form', method: 'GET' } as const;
const GET = { method: 'GET' } as const;

/** About what one tenant's counter comes to, of `events` in all. */
function sizesOf(events: number) {
  const uses = events / 2 / TENANTS.length / 4;
  const messages = (0.46 * events) / TENANTS.length;
  return { uses, usage: 12.5 * uses, messages };
}

/** The triggers for a run of so many events: 130, which fire some thousand times in a large one. */
export function planTriggers(events: number): TriggerPlan[] {
  const { uses, usage, messages } = sizesOf(events);
  // A small run has few firings of each.
  const parts = (most: number): number => Math.max(2, Math.round(most * Math.min(1, events / 2e5)));
  const part = (total: number, most: number): number => Math.ceil(total / parts(most));
  const each = TENANTS.flatMap((tenant): TriggerPlan[] => {
    const of = (category: string, by: keyof Sums) => ({ tenant, category, by, callbacks: [POST] });
    const pages = [usage / 9, usage / 7, usage / 5, usage / 4].map(Math.ceil);
    const [value = 1, ...thresholds] = pages;
    return [
      { ...of('pages', 'usage'), value, thresholds, step: part(usage, 80), callbacks: [POST, GET] },
      { ...of('pages', 'count'), ...every(part(uses, 70)), recurring: 'daily' },
      { ...of('calls', 'price'), ...every(part(uses * 2e7, 60)), recurring: 'monthly' },
      { ...of('calls', 'usage'), ...every(part(usage, 50)), recurring: 'yearly' },
      { ...of('seats', 'usage'), tag: 'scan', ...every(part(usage / 10, 40)) },
      { ...of('seats', 'usage'), everyN: 7, ...every(part(usage, 30)) },
      { ...of('seats', 'count'), relative: true, ...every(part(uses, 30)), thresholds: [] },
      { ...of('messages-accepted', 'count'), ...every(part(messages, 60)) },
      { ...of('messages', 'price'), ...every(part(messages * 1e7, 40)), recurring: 'monthly' },
      {
        ...of('messages-delivered', 'count'),
        ...every(part(messages / 5, 20)),
        recurring: 'daily',
      },
    ];
  });
  const head = { tenant: HEAD, subAccounts: true, callbacks: [POST] } as const;
  const forms = Object.keys(ACCOUNTS).map((tenant): TriggerPlan => {
    const callbacks = [FORM, GET_FORM];
    return { tenant, category: 'pages', by: 'usage', ...every(part(usage, 60)), callbacks };
  });
  return [
    ...each,
    ...forms,
    { ...head, category: 'pages', by: 'usage', ...every(part(4 * usage, 90)) },
    { ...head, category: 'messages', by: 'usage', ...every(part(4 * messages, 60)) },
    {
      ...head,
      category: 'totalprice',
      by: 'price',
      ...every(part(uses * 4e8, 60)),
      recurring: 'yearly',
    },
  ];
}

const every = (step: number) => ({ value: step, step });

/** The body that makes it; `url` of a callback by its place. */
export function bodyOf(plan: TriggerPlan, url: (place: number) => string): object {
  const { by, value, thresholds = [], step, callbacks, rearmBelow, ...rest } = plan;
  const text = (amount: number): string => (by === 'price' ? nanoText(amount) : String(amount));
  return {
    ...rest,
    by,
    value: text(value),
    thresholds: thresholds.map(text),
    ...(step !== undefined && { step: text(step) }),
    ...(rearmBelow !== undefined && { rearmBelow: text(rearmBelow) }),
    callbacks: callbacks.map((callback, place) => ({ ...callback, url: url(place) })),
  };
}

export function madeOf(plan: TriggerPlan, sid: string, base: string | null): MadeTrigger {
  const accounts = plan.subAccounts === true ? familyOf(plan.tenant) : [plan.tenant];
  const from = base === null ? 0 : amountOf(plan, base);
  return { ...plan, sid, base: from, accounts: new Set(accounts), asked: new Map() };
}

export const amountOf = ({ by }: TriggerPlan, text: string): number =>
  by === 'price' ? nanoOf(text) : Number(text);

/** How many of its values a total has reached. */
export function reachedBy(plan: TriggerPlan, total: number): number {
  const { value, thresholds = [], step } = plan;
  const values = [value, ...thresholds];
  const passed = values.filter((each) => each <= total).length;
  if (passed < values.length || step === undefined) return passed;
  return passed + Math.floor((total - (values.at(-1) as number)) / step);
}

/** The value with this index. */
export function valueAt({ value, thresholds = [], step = 0 }: TriggerPlan, index: number): number {
  const values = [value, ...thresholds];
  const last = values.at(-1) as number;
  return values[index] ?? last + step * (index - values.length + 1);
}

/** What a firing is known by, without its arming. */
export function tokenOf(trigger: MadeTrigger, period: string, index: number): string {
  const account = ACCOUNTS[trigger.tenant] ?? trigger.tenant;
  return `${account}-FIRES-${trigger.sid}-${period}-${index}`;
}

export class Triggers {
  readonly all: MadeTrigger[] = [];
  readonly #byCounter = new Map<string, MadeTrigger[]>();
  readonly bySid = new Map<string, MadeTrigger>();

  add(made: MadeTrigger, before: Fold): void {
    this.all.push(made);
    this.bySid.set(made.sid, made);
    const key = `${made.category} ${made.tag ?? ''}`;
    const list = this.#byCounter.get(key) ?? [];
    this.#byCounter.set(key, list);
    list.push(made);
    for (const [period, sums] of this.#totals(made, before)) addTo(made.asked, period, sums);
  }

  /** Takes an event that is asked for the first time; whether it crosses a value. */
  counted(event: Counted): boolean {
    const untagged = this.#count(event, `${event.category} `);
    const tagged = event.tag !== '' && this.#count(event, `${event.category} ${event.tag}`);
    const { price } = event;
    const total = { ...event, category: 'totalprice', count: 0, usage: 0 };
    return (price !== 0 && this.#count(total, 'totalprice ')) || untagged || tagged;
  }

  /** The firings that have to be, with the total of their period. */
  expected(fold: Fold): Map<string, { trigger: MadeTrigger; value: number; total: number }> {
    const expected = new Map();
    // What swings is armed again and again: its own part of the run knows what it has to have.
    for (const trigger of this.all.filter(({ rearmBelow }) => rearmBelow === undefined)) {
      for (const [period, sums] of this.#totals(trigger, fold)) {
        const total = sums[trigger.by] - trigger.base;
        for (let index = 0; index < reachedBy(trigger, total); index += 1) {
          const value = valueAt(trigger, index);
          expected.set(`${tokenOf(trigger, period, index)}-0`, { trigger, value, total });
        }
      }
    }
    return expected;
  }

  #totals(trigger: MadeTrigger, fold: Fold): Map<string, Sums> {
    const { accounts, category, tag = '', recurring = 'alltime' } = trigger;
    return fold.totals([...accounts], { category, tag }, recurring);
  }

  #count(event: Counted, key: string): boolean {
    let crosses = false;
    for (const trigger of this.#byCounter.get(key) ?? []) {
      if (!trigger.accounts.has(event.account)) continue;
      const period = periodOf(trigger.recurring ?? 'alltime', event.day);
      const before = trigger.asked.get(period)?.[trigger.by] ?? 0;
      addTo(trigger.asked, period, event);
      const after = before + event[trigger.by];
      const reached = (total: number): number => reachedBy(trigger, total - trigger.base);
      crosses = reached(after) > reached(before) || crosses;
    }
    return crosses;
  }
}
