/** Usage as routes and other features see it. */
import type {
  CallbackForm,
  CallbackMethod,
  Measure,
  RecordPeriod,
  Recurring,
  UsageAction,
  UsageCallback,
} from '../protocol/usage-exchange.ts';
import type { UseEntry, UseResult } from '../protocol/usage-frames.ts';

export type { CallbackForm, CallbackMethod, Measure, RecordPeriod, Recurring };

/** Who sends events. */
export interface UseCaller {
  /** Undefined: the platform, which names the tenant of each event. */
  readonly tenant: string | undefined;
  /** Bits of SCOPE_BIT. */
  readonly scopes: number;
}

export interface UsageRecord {
  readonly account: string;
  readonly category: string;
  readonly tag: string | null;
  /** Days of UTC as `2026-11-22`, the last one included. */
  readonly from: string;
  readonly to: string;
  /** As text from 2^53 on. */
  readonly count: number | string;
  readonly usage: number | string;
  /** Decimal text with 9 places. */
  readonly price: string;
}

export interface RecordsQuery {
  /** Undefined: all. */
  readonly account: string | undefined;
  readonly category: string | undefined;
  /** Null: untagged only; empty: every tag as a row of its own. */
  readonly tag: string | null;
  readonly period: RecordPeriod;
  /** Days as `2026-11-22`, both included; undefined: open on that side. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly subAccounts: boolean;
  readonly cursor: string | undefined;
  readonly limit: number;
}

export interface UsagePage<T> {
  readonly items: readonly T[];
  /** For the next page; null: this was the last. */
  readonly cursor: string | null;
}

/** What a trigger is put with; values are decimal text, whole ones but for the price. */
export interface TriggerBody {
  readonly category: string;
  readonly tag: string | null;
  readonly by: Measure;
  readonly value: string;
  readonly relative: boolean;
  readonly thresholds: readonly string[];
  readonly step: string | null;
  readonly recurring: Recurring;
  readonly windowMs: number | null;
  readonly rearmBelow: string | null;
  readonly everyN: number;
  readonly callbacks: readonly UsageCallback[];
  readonly action: UsageAction | null;
  readonly friendlyName: string | null;
  readonly subAccounts: boolean;
}

export interface TriggerView extends TriggerBody {
  /** `UT` and 32 hexadecimal digits. */
  readonly sid: string;
  readonly account: string;
  /** Relative: the total when it was made; value and currentValue are counted from it. */
  readonly base: string | null;
  readonly currentValue: string;
  /** Ms since the epoch, as all times. */
  readonly firedMs: number | null;
  readonly firedValue: string | null;
  readonly firings: number;
  /** Steps passed over because one event crossed too many. */
  readonly skipped: number;
  readonly arming: number;
  readonly createdMs: number;
  readonly updatedMs: number;
}

export interface TriggerQuery {
  readonly account: string | undefined;
  readonly category: string | undefined;
  readonly recurring: Recurring | undefined;
  readonly by: Measure | undefined;
  readonly cursor: string | undefined;
  readonly limit: number;
}

/** All of it may throw FairleadError; an account left out is any. */
export interface Usage {
  use(caller: UseCaller, events: readonly UseEntry[]): Promise<UseResult>;
  records(query: RecordsQuery): Promise<UsagePage<UsageRecord>>;
  /** Makes a trigger, or replaces the one with this sid, which has to be of the same account. */
  putTrigger(account: string, body: TriggerBody, sid?: string): Promise<TriggerView>;
  trigger(sid: string, account?: string): Promise<TriggerView>;
  triggers(query: TriggerQuery): Promise<UsagePage<TriggerView>>;
  deleteTrigger(sid: string, account?: string): Promise<void>;
  /** May fire again in the period that is. */
  rearmTrigger(sid: string, account?: string): Promise<TriggerView>;
  stats(): Promise<Readonly<Record<string, number>>>;
}
