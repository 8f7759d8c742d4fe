/**
 * Usage in the account form, `/2010-04-01/Accounts/{sid}/Usage/…`: records of what an account used, and
 * triggers on it (US20210329426A1).
 */
import type { FormRoute } from '../rest/form-route.ts';
import type { RestMethod } from '../rest/rest-route.ts';
import { AccountError, notFound } from './account-error.ts';
import { type Asked, accountRoute, type Handler } from './account-route.ts';
import { pageFields, readPage } from './message-pages.ts';
import type { AccountDirectory } from './ports.ts';
import { accountPath } from './resources.ts';
import { lastMonth, type Span, spanOfQuery, thisMonth, today, yesterday } from './usage-dates.ts';
import {
  categoryOf,
  readNewTrigger,
  readTriggerChange,
  readTriggerFilter,
} from './usage-parameters.ts';
import type { AccountUsage, TriggerRecord, UsageQuery } from './usage-ports.ts';
import {
  RECORD_LISTS,
  type RecordList,
  recordsPath,
  triggerResource,
  usageRecordResource,
} from './usage-resources.ts';

export interface UsageFormOptions {
  readonly directory: AccountDirectory;
  readonly usage: AccountUsage;
  /** Ms since the epoch. */
  readonly now?: () => number;
}

const TRIGGER = /^(UT[0-9a-f]{32})\.json$/;

export function usageFormRoutes({ directory, usage, now = Date.now }: UsageFormOptions) {
  const make = (method: RestMethod, path: string, handle: Handler): FormRoute =>
    accountRoute(directory, method, `:account/Usage/${path}`, handle);
  const records = (list?: RecordList): FormRoute =>
    make('GET', list === undefined ? 'Records.json' : `Records/${list}.json`, (request) =>
      listRecords(request, usage, list, now()),
    );
  return [
    records(),
    ...RECORD_LISTS.map(records),
    make('GET', 'Triggers.json', (request) => listTriggers(request, usage)),
    make('POST', 'Triggers.json', async ({ account, body }) => {
      const trigger = await usage.createTrigger(readNewTrigger(body, account));
      return { status: 201, body: triggerResource(account.sid, trigger) };
    }),
    make('GET', 'Triggers/:trigger', async (request) => {
      const { account } = request;
      const trigger = await usage.trigger(sidOf(request), account.tenant);
      return { status: 200, body: triggerResource(account.sid, trigger) };
    }),
    make('POST', 'Triggers/:trigger', async (request) => {
      const { account, body } = request;
      const { sid, callbacks } = await changeable(request, usage);
      const change = readTriggerChange(body, callbacks[0]);
      const trigger = await usage.changeTrigger(sid, account.tenant, change);
      return { status: 200, body: triggerResource(account.sid, trigger) };
    }),
    make('DELETE', 'Triggers/:trigger', async (request) => {
      const { sid } = await changeable(request, usage);
      await usage.deleteTrigger(sid, request.account.tenant);
      return { status: 204 };
    }),
  ];
}

async function listTriggers({ account, query }: Asked, usage: AccountUsage) {
  const request = readPage(query);
  const { items, cursor } = await usage.triggers({
    ...readTriggerFilter(query),
    tenant: account.tenant,
    cursor: cursorOf(request.cursor),
    limit: request.pageSize,
  });
  const path = `${accountPath(account.sid)}/Usage/Triggers.json`;
  const page = pageFields(path, query, request, { count: items.length, next: placeOf(cursor) });
  const resources = items.map((trigger) => triggerResource(account.sid, trigger));
  return { status: 200, body: { usage_triggers: resources, ...page } };
}

async function listRecords(
  { account, query }: Asked,
  usage: AccountUsage,
  list: RecordList | undefined,
  nowMs: number,
) {
  const request = readPage(query);
  const category = query.get('Category') ?? '';
  const { items, cursor } = await usage.records({
    ...rangeOf(list, query, nowMs),
    tenant: account.tenant,
    category: category === '' ? undefined : categoryOf(category, 'Category'),
    subAccounts: (query.get('IncludeSubaccounts') ?? 'true').toLowerCase() !== 'false',
    cursor: cursorOf(request.cursor),
    limit: request.pageSize,
  });
  const next = placeOf(cursor);
  const path = recordsPath(account.sid, list);
  const page = pageFields(path, query, request, { count: items.length, next });
  const { currency } = usage;
  const resources = items.map((row) => usageRecordResource(account.sid, row, { currency, nowMs }));
  return { status: 200, body: { usage_records: resources, ...page } };
}

type Range = Pick<UsageQuery, 'period'> & Span;

/** A named span is taken as it is; the other lists may be narrowed by days. */
function rangeOf(list: RecordList | undefined, query: URLSearchParams, nowMs: number): Range {
  switch (list) {
    case 'Today':
      return { period: 'total', ...today(nowMs) };
    case 'Yesterday':
      return { period: 'total', ...yesterday(nowMs) };
    case 'ThisMonth':
      return { period: 'total', ...thisMonth(nowMs) };
    case 'LastMonth':
      return { period: 'total', ...lastMonth(nowMs) };
    case 'AllTime':
      return { period: 'alltime', from: undefined, to: undefined };
    case 'Daily':
      return { period: 'daily', ...spanOfQuery(query, nowMs) };
    case 'Monthly':
      return { period: 'monthly', ...spanOfQuery(query, nowMs) };
    case 'Yearly':
      return { period: 'yearly', ...spanOfQuery(query, nowMs) };
    default:
      return { period: 'total', ...spanOfQuery(query, nowMs) };
  }
}

/** A cursor in the characters that a page token may have, and back. */
const placeOf = (cursor: string | null): string | null =>
  cursor === null ? null : Buffer.from(cursor).toString('base64url');

function cursorOf(place: string | undefined): string | undefined {
  if (place === undefined) return undefined;
  const cursor = Buffer.from(place, 'base64url').toString();
  if (placeOf(cursor) === place) return cursor;
  throw new AccountError(20001, 'PageToken is what a page before gave');
}

/** @throws AccountError 20003 for one that does something to the tenant, which it could escape otherwise */
async function changeable(request: Asked, usage: AccountUsage): Promise<TriggerRecord> {
  const trigger = await usage.trigger(sidOf(request), request.account.tenant);
  if (!trigger.isPlatforms) return trigger;
  throw new AccountError(20003, 'The trigger is one of the platform: it can be read only', 403);
}

/** @throws AccountError 20404 for what is no sid of a trigger */
function sidOf({ account, params }: Asked): string {
  const { trigger = '' } = params;
  const sid = TRIGGER.exec(trigger)?.[1];
  if (sid !== undefined) return sid;
  throw notFound(`${accountPath(account.sid)}/Usage/Triggers/${trigger}`);
}
