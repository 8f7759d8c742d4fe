/**
 * Pages of an account's messages, the newest first.
 *
 * A page token is the place where the page begins, and after it those of the pages before, the
 * nearest first, as many as fit: so each page knows its next one, and the way back is as long as the
 * token may be.
 */
import { isDay } from '../base/day.ts';
import { AccountError } from './account-error.ts';
import type { ListQuery } from './ports.ts';

const PAGE_SIZE_DEFAULT = 50;
const PAGE_SIZE_MAX = 1000;
const PAGE_MAX = 1_000_000;
/** The server takes 4 KiB of a request's head in all. */
const TOKEN_LENGTH_MAX = 1200;
const TOKEN_PREFIX = 'PA';
/** Stands for the first page in a token. */
const FIRST = '';
const DAY_MS = 24 * 3_600_000;

export interface PageRequest {
  readonly page: number;
  readonly pageSize: number;
  /** Where this page begins; undefined: the first. */
  readonly cursor: string | undefined;
  /** Where the pages before begin, the nearest first. */
  readonly before: readonly string[];
}

/** @throws AccountError 20001 for a page that cannot be */
export function readPage(query: URLSearchParams): PageRequest {
  const pageSize = Math.min(wholeOf(query, 'PageSize', PAGE_SIZE_DEFAULT, 1), PAGE_SIZE_MAX);
  const token = query.get('PageToken') ?? '';
  if (token === '') return { page: 0, pageSize, cursor: undefined, before: [] };
  const page = wholeOf(query, 'Page', 1, 0);
  const [cursor = FIRST, ...before] = token.slice(TOKEN_PREFIX.length).split('.');
  const isToken = token.startsWith(TOKEN_PREFIX) && /^[A-Za-z0-9_.-]*$/.test(token);
  if (!isToken || token.length > TOKEN_LENGTH_MAX) {
    throw new AccountError(20001, 'PageToken is what a page before gave');
  }
  return { page, pageSize, cursor: cursor === FIRST ? undefined : cursor, before };
}

/** The fields of a list beside its items; `next`: where the next page begins, null: nowhere. */
export function pageFields(
  path: string,
  query: URLSearchParams,
  request: PageRequest,
  { count, next }: { readonly count: number; readonly next: string | null },
): object {
  const { page, pageSize, cursor, before } = request;
  const uriOf = (number: number, places: readonly string[]): string => {
    const kept = new URLSearchParams(query);
    for (const name of ['Page', 'PageSize', 'PageToken']) kept.delete(name);
    kept.set('PageSize', String(pageSize));
    kept.set('Page', String(number));
    if (places.length > 0 && number > 0) kept.set('PageToken', tokenOf(places));
    return `${path}?${kept}`;
  };
  const [previous, ...rest] = before;
  const start = page * pageSize;
  return {
    page,
    page_size: pageSize,
    start,
    end: start + Math.max(0, count - 1),
    uri: uriOf(page, cursor === undefined ? [] : [cursor, ...before]),
    first_page_uri: uriOf(0, []),
    next_page_uri: next === null ? null : uriOf(page + 1, [next, cursor ?? FIRST, ...before]),
    previous_page_uri:
      previous === undefined || page === 0 ? null : uriOf(page - 1, [previous, ...rest]),
  };
}

function tokenOf(places: readonly string[]): string {
  let token = TOKEN_PREFIX + (places[0] ?? FIRST);
  for (const place of places.slice(1)) {
    if (token.length + 1 + place.length > TOKEN_LENGTH_MAX) break;
    token += `.${place}`;
  }
  return token;
}

function wholeOf(query: URLSearchParams, name: string, usual: number, least: number): number {
  const text = query.get(name) ?? '';
  if (text === '') return usual;
  const value = /^\d{1,7}$/.test(text) ? Number(text) : -1;
  if (value >= least && value <= PAGE_MAX) return value;
  throw new AccountError(20001, `${name} is a whole number from ${least}`);
}

/**
 * What a list is narrowed to. Dates are days of UTC, or times to the second; they are compared with
 * the time of acceptance, which is the order of the list.
 *
 * @throws AccountError 20001 for a date that is none
 */
export function readFilter(
  query: URLSearchParams,
): Pick<ListQuery, 'sender' | 'recipient' | 'fromMs' | 'toMs'> {
  let fromMs = 0;
  let toMs = Number.MAX_SAFE_INTEGER;
  const narrow = (name: string, from: boolean, to: boolean): void => {
    const text = query.get(name) ?? '';
    if (text === '') return;
    const [startMs, endMs] = spanOf(name, text);
    if (from) fromMs = Math.max(fromMs, startMs);
    if (to) toMs = Math.min(toMs, endMs);
  };
  narrow('DateSent', true, true);
  narrow('DateSent>', true, false);
  narrow('DateSent<', false, true);
  const sender = query.get('From') || undefined;
  const recipient = query.get('To') || undefined;
  return { sender, recipient, fromMs, toMs };
}

/** Beginning and end of a day or of a second. */
function spanOf(name: string, text: string): readonly [number, number] {
  const isWhole = /^\d{4}-\d{2}-\d{2}$/.test(text);
  const isTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})$/.test(
    text,
  );
  const isDate = (isWhole || isTime) && isDay(text.slice(0, 10));
  const ms = isDate ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms) || ms < 0) {
    throw new AccountError(20001, `${name} is a date such as 2026-12-24 or 2026-12-24T18:00:00Z`);
  }
  const startMs = isWhole ? ms : Math.floor(ms / 1000) * 1000;
  return [startMs, startMs + (isWhole ? DAY_MS : 1000)];
}
