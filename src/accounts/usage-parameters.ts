/** Parameters of usage triggers, as forms bring them. */
import { AccountError } from './account-error.ts';
import type { AccountRecord } from './ports.ts';
import { ourCategory } from './usage-categories.ts';
import type { Measure, NewTrigger, Recurrence, UsageCallback } from './usage-ports.ts';

const FRIENDLY_NAME_LENGTH_MAX = 64;
const URL_BYTES_MAX = 2048;
/** Nine digits behind the point are what a price has. */
const VALUE = /^(\+?)(\d{1,18}(?:\.\d{1,9})?)$/;
const MEASURES: readonly Measure[] = ['count', 'usage', 'price'];
const RECURRENCES: readonly Recurrence[] = ['daily', 'monthly', 'yearly', 'alltime'];

/** @throws AccountError 20001, with the name of the parameter that is wrong */
export function readNewTrigger(form: URLSearchParams, { tenant }: AccountRecord): NewTrigger {
  const category = categoryOf(required(form, 'UsageCategory'), 'UsageCategory');
  const recurring = oneOf(form, 'Recurring', RECURRENCES) ?? 'none';
  const [, sign, value] = VALUE.exec(required(form, 'TriggerValue')) ?? [];
  if (value === undefined) {
    throw invalid('TriggerValue', 'a number such as 1000 or 9.95, or one to come as +100');
  }
  const relative = sign === '+';
  if (relative && recurring !== 'none') {
    throw invalid('TriggerValue', 'without a plus where the trigger is recurring');
  }
  return {
    ...{ tenant, category, value, relative, recurring },
    by: oneOf(form, 'TriggerBy', MEASURES) ?? 'usage',
    callbacks: [callbackOf(required(form, 'CallbackUrl'), methodOf(form) ?? 'POST')],
    friendlyName: friendlyNameOf(form) ?? null,
  };
}

/** What a change says; what it leaves out stays as it is. @throws AccountError 20001 */
export function readTriggerChange(
  form: URLSearchParams,
  before: UsageCallback | undefined,
): Partial<Pick<NewTrigger, 'callbacks' | 'friendlyName'>> {
  const url = form.get('CallbackUrl') ?? before?.url;
  const method = methodOf(form) ?? before?.method ?? 'POST';
  const friendlyName = friendlyNameOf(form);
  const isCallback = form.has('CallbackUrl') || form.has('CallbackMethod');
  return {
    ...(isCallback && { callbacks: [callbackOf(url ?? '', method)] }),
    ...(friendlyName !== undefined && { friendlyName }),
  };
}

/** What a list of triggers is narrowed to. @throws AccountError 20001 */
export function readTriggerFilter(query: URLSearchParams) {
  const category = query.get('UsageCategory') ?? '';
  return {
    category: category === '' ? undefined : categoryOf(category, 'UsageCategory'),
    by: oneOf(query, 'TriggerBy', MEASURES),
    recurring: oneOf(query, 'Recurring', RECURRENCES),
  };
}

/** @throws AccountError 20001 */
export function categoryOf(text: string, name: string): string {
  const category = ourCategory(text);
  if (category !== undefined) return category;
  throw invalid(name, 'up to 64 of a-z 0-9 . _ -');
}

function callbackOf(url: string, method: UsageCallback['method']): UsageCallback {
  const isHttp = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
  if (!isHttp || Buffer.byteLength(url) > URL_BYTES_MAX) {
    throw invalid('CallbackUrl', `a URL of http or https, at most ${URL_BYTES_MAX} bytes`);
  }
  return { url, method, form: 'form' };
}

function methodOf(form: URLSearchParams): UsageCallback['method'] | undefined {
  const method = form.get('CallbackMethod');
  if (method === null || method === '') return undefined;
  const upper = method.toUpperCase();
  if (upper === 'POST' || upper === 'GET') return upper;
  throw invalid('CallbackMethod', 'POST or GET');
}

function friendlyNameOf(form: URLSearchParams): string | undefined {
  const name = form.get('FriendlyName') ?? undefined;
  if (name === undefined || name.length <= FRIENDLY_NAME_LENGTH_MAX) return name;
  throw invalid('FriendlyName', `at most ${FRIENDLY_NAME_LENGTH_MAX} characters`);
}

function oneOf<T extends string>(
  form: URLSearchParams,
  name: string,
  words: readonly T[],
): T | undefined {
  const text = form.get(name) ?? '';
  if (text === '') return undefined;
  const word = words.find((known) => known === text.toLowerCase());
  if (word !== undefined) return word;
  throw invalid(name, `one of ${words.join(', ')}`);
}

function required(form: URLSearchParams, name: string): string {
  const text = form.get(name) ?? '';
  if (text !== '') return text;
  throw new AccountError(20001, `${name} is required`);
}

const invalid = (name: string, form: string): AccountError =>
  new AccountError(20001, `${name} is ${form}`);
