/** What the account form needs of usage; joined in the daemon. All of it may throw FairleadError. */

export interface UsageRow {
  readonly category: string;
  /** Days of UTC as `2026-11-22`, the last one included. */
  readonly from: string;
  readonly to: string;
  /** As text from 2^53 on. */
  readonly count: number | string;
  readonly usage: number | string;
  /** Exact decimal text. */
  readonly price: string;
}

export interface UsageQuery {
  readonly tenant: string;
  readonly category: string | undefined;
  /** `total`: one row for the whole range. */
  readonly period: 'total' | 'daily' | 'monthly' | 'yearly' | 'alltime';
  /** Days as `2026-11-22`, both included; undefined: open on that side. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly subAccounts: boolean;
  readonly cursor: string | undefined;
  readonly limit: number;
}

export type Measure = 'count' | 'usage' | 'price';
export type Recurrence = 'none' | 'daily' | 'monthly' | 'yearly' | 'alltime';

export interface UsageCallback {
  readonly url: string;
  readonly method: 'POST' | 'GET';
  readonly form: 'form' | 'standard';
}

export interface NewTrigger {
  readonly tenant: string;
  readonly category: string;
  readonly by: Measure;
  /** Decimal text without a sign. */
  readonly value: string;
  /** The value counts from what the counter says now. */
  readonly relative: boolean;
  readonly recurring: Recurrence;
  readonly callbacks: readonly UsageCallback[];
  readonly friendlyName: string | null;
}

export interface TriggerRecord extends Omit<NewTrigger, 'tenant'> {
  /** `UT` and 32 hexadecimal digits. */
  readonly sid: string;
  readonly currentValue: string;
  /** Ms since the epoch. */
  readonly firedMs: number | null;
  readonly createdMs: number;
  readonly updatedMs: number;
  /** It does something to the tenant: the platform's, which the tenant may read only. */
  readonly isPlatforms: boolean;
}

export interface TriggerFilter {
  readonly tenant: string;
  readonly category: string | undefined;
  readonly by: Measure | undefined;
  readonly recurring: Recurrence | undefined;
  readonly cursor: string | undefined;
  readonly limit: number;
}

export interface UsagePageOf<T> {
  readonly items: readonly T[];
  /** Null: this was the last page. */
  readonly cursor: string | null;
}

/** Usage of one tenant; triggers of others are not found. */
export interface AccountUsage {
  /** ISO 4217 code, as in `USD`. */
  readonly currency: string;
  records(query: UsageQuery): Promise<UsagePageOf<UsageRow>>;
  createTrigger(trigger: NewTrigger): Promise<TriggerRecord>;
  trigger(sid: string, tenant: string): Promise<TriggerRecord>;
  changeTrigger(
    sid: string,
    tenant: string,
    change: Partial<Pick<NewTrigger, 'callbacks' | 'friendlyName'>>,
  ): Promise<TriggerRecord>;
  deleteTrigger(sid: string, tenant: string): Promise<void>;
  triggers(filter: TriggerFilter): Promise<UsagePageOf<TriggerRecord>>;
}
