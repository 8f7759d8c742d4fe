/** Usage records and triggers as the account form shows them. */
import { API_VERSION, accountPath, rfc2822 } from './resources.ts';
import { describedCategory, theirCategory } from './usage-categories.ts';
import type { Recurrence, TriggerRecord, UsageRow } from './usage-ports.ts';

/** The lists of records, each at `Usage/Records/{name}.json`. */
export const RECORD_LISTS = [
  'AllTime',
  'Daily',
  'Monthly',
  'Yearly',
  'Today',
  'Yesterday',
  'ThisMonth',
  'LastMonth',
] as const;
export type RecordList = (typeof RECORD_LISTS)[number];

export function usageRecordResource(
  account: string,
  { category, from, to, count, usage, price }: UsageRow,
  { currency, nowMs }: { readonly currency: string; readonly nowMs: number },
): object {
  const { description, countUnit, usageUnit } = describedCategory(category);
  const name = theirCategory(category);
  const range = new URLSearchParams({ Category: name, StartDate: from, EndDate: to });
  const pathOf = (list?: RecordList): string => {
    const query = list === undefined ? range : new URLSearchParams({ Category: name });
    return `${recordsPath(account, list)}?${query}`;
  };
  return {
    account_sid: account,
    api_version: API_VERSION,
    as_of: `${new Date(nowMs).toISOString().slice(0, 19)}+00:00`,
    category: name,
    count: String(count),
    count_unit: countUnit,
    description,
    end_date: to,
    price: Number(price),
    price_unit: currency.toLowerCase(),
    start_date: from,
    subresource_uris: Object.fromEntries(
      RECORD_LISTS.map((list) => [snakeCase(list), pathOf(list)]),
    ),
    uri: pathOf(),
    usage: String(usage),
    usage_unit: usageUnit,
  };
}

export const recordsPath = (account: string, list?: RecordList): string =>
  `${accountPath(account)}/Usage/Records${list === undefined ? '' : `/${list}`}.json`;

/** Where what a trigger counts can be read. */
const LIST_OF: Readonly<Record<Recurrence, RecordList | undefined>> = {
  none: undefined,
  alltime: 'AllTime',
  daily: 'Today',
  monthly: 'ThisMonth',
  yearly: 'Yearly',
};

export function triggerResource(account: string, trigger: TriggerRecord): object {
  const { sid, category, by, value, recurring, callbacks, friendlyName } = trigger;
  const { currentValue, firedMs, createdMs, updatedMs } = trigger;
  const [callback] = callbacks;
  const name = theirCategory(category);
  const records = recordsPath(account, LIST_OF[recurring]);
  return {
    account_sid: account,
    api_version: API_VERSION,
    callback_method: callback?.method ?? 'POST',
    callback_url: callback?.url ?? '',
    current_value: currentValue,
    date_created: rfc2822(createdMs),
    date_fired: firedMs === null ? null : rfc2822(firedMs),
    date_updated: rfc2822(updatedMs),
    friendly_name: friendlyName ?? '',
    recurring: recurring === 'none' ? null : recurring,
    sid,
    trigger_by: by,
    trigger_value: value,
    uri: `${accountPath(account)}/Usage/Triggers/${sid}.json`,
    usage_category: name,
    usage_record_uri: `${records}?${new URLSearchParams({ Category: name })}`,
  };
}

function snakeCase(name: string): string {
  return name.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}
