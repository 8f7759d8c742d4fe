// The boundary between the main thread and usage, TypeScript side, as far as it is not that of a
// shard. The tables are in docs/exchange.md.
import { pack, unpack } from './msgpack.ts';
import { array, binary, optional, text, uint } from './read-fields.ts';

/** Operations of an input that only usage knows. */
export const USAGE_OP = {
  deltas: 40,
  triggerPut: 41,
  triggerDelete: 42,
  triggerList: 43,
  triggerShow: 44,
  triggerRearm: 45,
  records: 46,
  firingTold: 47,
  stats: 48,
} as const;
export type UsageOp = (typeof USAGE_OP)[keyof typeof USAGE_OP];

/** Told again after a start: may have been folded before. */
export const DELTAS_AGAIN = 1;

export const MEASURE = { count: 0, usage: 1, price: 2 } as const;
export type Measure = keyof typeof MEASURE;
export const RECURRING = { none: 0, daily: 1, monthly: 2, yearly: 3, alltime: 4 } as const;
export type Recurring = keyof typeof RECURRING;
export const RECORD_PERIOD = { total: 0, daily: 1, monthly: 2, yearly: 3, alltime: 4 } as const;
export type RecordPeriod = keyof typeof RECORD_PERIOD;
export const CAP_PERIOD = { day: 1, month: 2, year: 3, alltime: 4 } as const;
export type CapPeriod = keyof typeof CAP_PERIOD;
export const CALLBACK_METHOD = { POST: 0, GET: 1 } as const;
export type CallbackMethod = keyof typeof CALLBACK_METHOD;
export const CALLBACK_FORM = { form: 0, standard: 1 } as const;
export type CallbackForm = keyof typeof CALLBACK_FORM;
export const ACTION = {
  pause: 0,
  capRate: 1,
  capConcurrency: 2,
  refuse: 3,
  ledger: 4,
  event: 5,
} as const;
export type ActionKind = keyof typeof ACTION;

const U32_MAX = 2n ** 32n - 1n;
const I64_MAX = 2n ** 63n - 1n;

/** A whole number of up to 128 bits as an integer of msgpack, beyond 64 bits as text. */
export function wideInt(value: bigint): number | bigint | string {
  const size = value < 0n ? -value : value;
  if (size <= U32_MAX) return Number(value);
  return size <= I64_MAX ? value : value.toString();
}

/** Bytes of `deltas`: those of one record of a shard, or of the main thread itself. */
export function encodeUsageDeltas(told: {
  readonly again: boolean;
  /** 0: of the main thread. */
  readonly sequence: number;
  readonly deltas: Uint8Array;
}): Uint8Array {
  const bytes = new Uint8Array(9 + told.deltas.length);
  bytes[0] = told.again ? DELTAS_AGAIN : 0;
  new DataView(bytes.buffer).setBigUint64(1, BigInt(told.sequence), true);
  bytes.set(told.deltas, 9);
  return bytes;
}

const KIND_NUMBER = { tenant: 3, price: 14, cap: 15 } as const;

export interface PriceFields {
  readonly by: 'count' | 'usage';
  /** In nano-units, from that moment (ms since the epoch) on; ascending. */
  readonly steps: readonly { readonly fromMs: number; readonly nano: bigint }[];
}

export interface CapFields {
  readonly category: string;
  readonly by: Measure;
  readonly period: CapPeriod;
  /** Nano-units where it is of the price. */
  readonly value: bigint;
  /** Place in the table of the process. */
  readonly slot: number;
}

interface FieldsOf {
  readonly tenant: { readonly parent: string | null };
  readonly price: PriceFields;
  readonly cap: CapFields;
}

/**
 * What usage is told; fields of null delete. A price is named `category` or `category/tenant`, a cap
 * `tenant/name`.
 */
export type UsageChange = {
  [K in keyof FieldsOf]: {
    readonly kind: K;
    readonly name: string;
    readonly fields: FieldsOf[K] | null;
  };
}[keyof FieldsOf];

/** Bytes of `configure`. */
export function encodeUsageConfigure(change: UsageChange): Uint8Array {
  return pack([KIND_NUMBER[change.kind], change.name, fieldsInOrder(change)]);
}

function fieldsInOrder(change: UsageChange): unknown[] | null {
  if (change.fields === null) return null;
  switch (change.kind) {
    case 'tenant':
      return [change.fields.parent];
    case 'price':
      return priceInOrder(change.fields);
    case 'cap':
      return capInOrder(change.fields);
  }
}

export function priceInOrder({ by, steps }: PriceFields): unknown[] {
  return [MEASURE[by], steps.map(({ fromMs, nano }) => [fromMs, wideInt(nano)])];
}

export function capInOrder({ category, by, period, value, slot }: CapFields): unknown[] {
  return [category, MEASURE[by], CAP_PERIOD[period], wideInt(value), slot];
}

export interface UsageCallback {
  readonly url: string;
  readonly method: CallbackMethod;
  readonly form: CallbackForm;
}

export interface UsageAction {
  readonly kind: ActionKind;
  /** Of a cap: the rate a second, or how many at once. */
  readonly number: number | null;
  readonly code: number | null;
}

/** A trigger as it is put; values of `by` price are nano-units. */
export interface TriggerFields {
  readonly category: string;
  readonly tag: string;
  readonly by: Measure;
  readonly value: bigint;
  readonly relative: boolean;
  readonly thresholds: readonly bigint[];
  readonly step: bigint | null;
  readonly recurring: Recurring;
  readonly windowMs: number | null;
  readonly rearmBelow: bigint | null;
  readonly everyN: number;
  readonly callbacks: readonly UsageCallback[];
  readonly action: UsageAction | null;
  readonly friendlyName: string | null;
  readonly subAccounts: boolean;
}

/** Bytes of `triggerPut`. */
export function encodeTriggerPut(sid: Uint8Array, account: string, fields: TriggerFields) {
  const { category, tag, by, value, relative, thresholds, step, recurring, windowMs } = fields;
  const { rearmBelow, everyN, callbacks, action, friendlyName, subAccounts } = fields;
  const wide = (number: bigint | null) => (number === null ? null : wideInt(number));
  const which = [category, tag, MEASURE[by], wideInt(value), relative, thresholds.map(wideInt)];
  const when = [wide(step), RECURRING[recurring], windowMs, wide(rearmBelow), everyN];
  const to = callbacks.map(({ url, method, form }) => {
    return [url, CALLBACK_METHOD[method], CALLBACK_FORM[form]];
  });
  const does = action && [ACTION[action.kind], action.number, action.code];
  return pack([sid, account, ...which, ...when, to, does, friendlyName, subAccounts]);
}

/** Bytes of `triggerDelete`, `triggerShow` and `triggerRearm`; an account finds only its own. */
export function encodeTriggerName(sid: Uint8Array, account: string | undefined): Uint8Array {
  return pack([sid, account]);
}

/** Bytes of `triggerList`. */
export function encodeTriggerList(list: {
  readonly account: string | undefined;
  readonly category: string | undefined;
  readonly recurring: Recurring | undefined;
  readonly by: Measure | undefined;
  /** Empty: the first page. */
  readonly cursor: string;
  readonly limit: number;
}): Uint8Array {
  const { account, category, recurring, by, cursor, limit } = list;
  const often = recurring === undefined ? null : RECURRING[recurring];
  const measure = by === undefined ? null : MEASURE[by];
  return pack([account, category, often, measure, cursor, limit]);
}

/** Bytes of `records`. */
export function encodeRecords(list: {
  readonly account: string | undefined;
  readonly category: string | undefined;
  /** Null: untagged only; empty: every tag as a row of its own. */
  readonly tag: string | null;
  readonly period: RecordPeriod;
  /** Days since 1970, the last one included; undefined: open on that side. */
  readonly fromDay: number | undefined;
  readonly toDay: number | undefined;
  readonly subAccounts: boolean;
  readonly cursor: string;
  readonly limit: number;
}): Uint8Array {
  const { account, category, tag, period, fromDay, toDay, subAccounts, cursor, limit } = list;
  const range = [RECORD_PERIOD[period], fromDay, toDay];
  return pack([account, category, tag, ...range, subAccounts, cursor, limit]);
}

/** Bytes of `firingTold`. */
export function encodeFiringTold(sequence: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(sequence), true);
  return bytes;
}

/** One firing of a trigger. */
export interface Firing {
  readonly sequence: number;
  /** 16 bytes. */
  readonly sid: Uint8Array;
  readonly account: string;
  readonly category: string;
  readonly tag: string;
  readonly by: Measure;
  readonly recurring: Recurring;
  /** Number of the threshold or step, from 0. */
  readonly threshold: number;
  /** Decimal text. */
  readonly value: string;
  readonly currentValue: string;
  /** `2026-11-22`, `2026-11`, `2026` or `alltime`. */
  readonly period: string;
  readonly arming: number;
  readonly firedMs: number;
  readonly callbacks: readonly UsageCallback[];
  readonly action: UsageAction | null;
  readonly friendlyName: string | null;
}

/** Reads the bytes of the effect `fired`; what it gives owns its bytes. */
export function readFiring(bytes: Uint8Array): Firing {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const fields = array(unpack(bytes.subarray(8)), 'firing');
  const [sid, account, category, tag, by, recurring, threshold, value, ...rest] = fields;
  const [currentValue, period, arming, firedMs, callbacks, action, friendlyName] = rest;
  return {
    sequence: Number(view.getBigUint64(0, true)),
    sid: binary(sid, 'sid').slice(),
    account: text(account, 'account'),
    category: text(category, 'category'),
    tag: text(tag, 'tag'),
    by: nameOf(MEASURE, by),
    recurring: nameOf(RECURRING, recurring),
    threshold: uint(threshold, 'threshold'),
    value: text(value, 'value'),
    currentValue: text(currentValue, 'currentValue'),
    period: text(period, 'period'),
    arming: uint(arming, 'arming'),
    firedMs: uint(firedMs, 'firedMs'),
    callbacks: array(callbacks, 'callbacks').map(callbackOf),
    action: optional(action, 'action', actionOf) ?? null,
    friendlyName: optional(friendlyName, 'friendlyName', text) ?? null,
  };
}

function callbackOf(value: unknown): UsageCallback {
  const [url, method, form] = array(value, 'callback');
  return {
    url: text(url, 'url'),
    method: nameOf(CALLBACK_METHOD, method),
    form: nameOf(CALLBACK_FORM, form),
  };
}

function actionOf(value: unknown): UsageAction {
  const [kind, number, code] = array(value, 'action');
  return {
    kind: nameOf(ACTION, kind),
    number: typeof number === 'number' ? number : null,
    code: optional(code, 'code', uint) ?? null,
  };
}

/** The name that a table gives a number. @throws RangeError for one that it does not have */
function nameOf<N extends string>(table: Readonly<Record<N, number>>, value: unknown): N {
  const found = (Object.keys(table) as N[]).find((name) => table[name] === value);
  if (found === undefined) throw new RangeError(`${String(value)} stands for nothing here`);
  return found;
}
