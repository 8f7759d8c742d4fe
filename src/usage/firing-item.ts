/**
 * A firing as the requests that tell it: in the form of accounts, or as Standard Webhooks messages. Pure.
 *
 * A request's id follows from the firing, so one that is in the outbox is not taken again.
 */
import type { NewItem } from '../outbound/outbox-records.ts';
import type { Firing, UsageCallback } from '../protocol/usage-exchange.ts';
import { sidText } from './texts.ts';

const API_VERSION = '2010-04-01';
const utf8 = new TextEncoder();

export interface FiringForms {
  /** The sid of the tenant's account, if it has one. */
  readonly account: string | undefined;
  /** The name of a category in the form of accounts. */
  readonly categoryOf: (category: string) => string;
}

/** What a receiver knows a firing by, however often it is told. */
export function firingToken(firing: Firing, account: string | undefined): string {
  const { sid, period, threshold, arming } = firing;
  return `${account ?? firing.account}-FIRES-${sidText(sid)}-${period}-${threshold}-${arming}`;
}

/** One item for each callback. */
export function firingItems(firing: Firing, forms: FiringForms): NewItem[] {
  const token = firingToken(firing, forms.account);
  return firing.callbacks.map((callback, index) => {
    const stream = null;
    const common = { id: `${token}:${index}`, stream, createdMs: firing.firedMs };
    const { account } = forms;
    // Without an account there is no token to sign a form with.
    return callback.form === 'form' && account !== undefined
      ? { ...common, ...formContent(firing, callback, { ...forms, account, token }) }
      : { ...common, ...standardContent(firing, callback, token) };
  });
}

type Content = Omit<NewItem, 'id' | 'stream' | 'createdMs'>;

function formContent(
  firing: Firing,
  { url, method }: UsageCallback,
  { account, categoryOf, token }: FiringForms & { account: string; token: string },
): Content {
  const sid = sidText(firing.sid);
  const category = categoryOf(firing.category);
  const fields = new URLSearchParams({
    AccountSid: account,
    UsageTriggerSid: sid,
    DateFired: new Date(firing.firedMs).toUTCString().replace('GMT', '+0000'),
    Recurring: firing.recurring === 'none' ? '' : firing.recurring,
    UsageCategory: category,
    TriggerBy: firing.by,
    TriggerValue: firing.value,
    CurrentValue: firing.currentValue,
    UsageRecordUri: `/${API_VERSION}/Accounts/${account}/Usage/Records.json?${recordsOf(category, firing.period)}`,
    IdempotencyToken: token,
  });
  return {
    ...requestOf(url, method, fields),
    contentType: 'application/x-www-form-urlencoded',
    signing: { kind: 'form', account },
  };
}

/** Asks for the records of the period in which it fired: also later they say what fired it. */
function recordsOf(category: string, period: string): URLSearchParams {
  const query = new URLSearchParams({ Category: category });
  const [year = '', month, day] = period.split('-');
  if (!/^\d{4}$/.test(year)) return query;
  const first = `${year}-${month ?? '01'}-${day ?? '01'}`;
  // Day 0 of a month is the last of the one before.
  const end = new Date(Date.UTC(Number(year), Number(month ?? 12), 0)).toISOString();
  query.set('StartDate', first);
  query.set('EndDate', day === undefined ? end.slice(0, 10) : first);
  return query;
}

function standardContent(firing: Firing, { url, method }: UsageCallback, token: string): Content {
  const { account, category, tag, by, recurring, threshold, value, currentValue } = firing;
  const { period, arming, firedMs, friendlyName } = firing;
  const trigger = sidText(firing.sid);
  const which = { trigger, tenant: account, category, tag: tag === '' ? null : tag, by, recurring };
  const data = { ...which, threshold, value, currentValue, period, arming, friendlyName, token };
  const signing = { kind: 'standard', tenant: account } as const;
  const contentType = 'application/json';
  if (method === 'GET') {
    const fields = new URLSearchParams();
    for (const [name, each] of Object.entries(data)) fields.set(name, String(each ?? ''));
    return { ...requestOf(url, method, fields), contentType, signing };
  }
  const timestamp = new Date(firedMs).toISOString();
  const body = utf8.encode(JSON.stringify({ type: 'usage.trigger', timestamp, data }));
  return { url, method, body, contentType, signing };
}

/** A GET has the fields in its query. */
function requestOf(
  url: string,
  method: UsageCallback['method'],
  fields: URLSearchParams,
): Pick<Content, 'url' | 'method' | 'body'> {
  if (method === 'POST') return { url, method, body: utf8.encode(fields.toString()) };
  const asked = new URL(url);
  for (const [name, value] of fields) asked.searchParams.append(name, value);
  return { url: asked.href, method, body: new Uint8Array() };
}
