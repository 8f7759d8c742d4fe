/** Days of usage in queries: as dates, as offsets from today, and as the named spans of the account form. */
import { isDay } from '../base/day.ts';
import { AccountError } from './account-error.ts';

const DAY_MS = 24 * 3_600_000;
const OFFSET_DAYS_MAX = 36_500;

/** Days as `2026-11-22`, both included; undefined: open. */
export interface Span {
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** What `StartDate` and `EndDate` say. @throws AccountError 20001 for what is no day */
export function spanOfQuery(query: URLSearchParams, nowMs: number): Span {
  const from = dayOf(query, 'StartDate', nowMs);
  const to = dayOf(query, 'EndDate', nowMs);
  if (from !== undefined && to !== undefined && from > to) {
    throw new AccountError(20001, 'EndDate is not before StartDate');
  }
  return { from, to };
}

export function today(nowMs: number): Span {
  return { from: dayText(nowMs), to: dayText(nowMs) };
}

export function yesterday(nowMs: number): Span {
  return today(nowMs - DAY_MS);
}

export function thisMonth(nowMs: number): Span {
  return monthOf(nowMs, 0);
}

export function lastMonth(nowMs: number): Span {
  return monthOf(nowMs, -1);
}

function monthOf(nowMs: number, offset: number): Span {
  const now = new Date(nowMs);
  const [year, month] = [now.getUTCFullYear(), now.getUTCMonth() + offset];
  return { from: dayText(Date.UTC(year, month, 1)), to: dayText(Date.UTC(year, month + 1, 0)) };
}

/** `2026-11-22`, or days from today as `-30days`. */
function dayOf(query: URLSearchParams, name: string, nowMs: number): string | undefined {
  const text = query.get(name) ?? '';
  if (text === '') return undefined;
  if (isDay(text)) return text;
  // A plus in a query that was not escaped is a space.
  const [, sign, days] = /^([+ -])(\d{1,5})days?$/.exec(text) ?? [];
  if (days === undefined || Number(days) > OFFSET_DAYS_MAX) {
    throw new AccountError(20001, `${name} is a day such as 2026-12-24, or -30days`);
  }
  return dayText(nowMs + (sign === '-' ? -1 : 1) * Number(days) * DAY_MS);
}

const dayText = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
