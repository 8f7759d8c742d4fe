// What was counted: records, events by hand, how usage is.
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { formatFields, printJson, printLine, printNote, tableOf } from './output.ts';

export interface RecordsOptions extends RemoteOptions {
  readonly limit?: string;
  readonly cursor?: string;
  readonly tenant?: string;
  readonly category?: string;
  readonly period?: string;
  readonly from?: string;
  readonly to?: string;
  readonly tag?: string;
  readonly tags?: boolean;
  readonly subAccounts?: boolean;
  readonly csv?: boolean;
}

export interface SendOptions extends RemoteOptions {
  readonly tenant?: string;
  readonly key?: string;
  readonly at?: string;
  readonly tag?: string;
  readonly count?: string;
}

const COLUMNS = ['account', 'category', 'tag', 'from', 'to', 'count', 'usage', 'price'];

export async function showRecords(options: RecordsOptions): Promise<void> {
  const { limit, cursor, tenant, category, period, from, to, tag } = options;
  const flags = {
    tags: options.tags ? 'true' : undefined,
    subAccounts: options.subAccounts ? 'true' : undefined,
  };
  const query = { limit, cursor, tenant, category, period, from, to, tag, ...flags };
  const answer = await new ApiClient(options).request({ path: ['v1', 'usage', 'records'], query });
  const items = answer.items as readonly JsonObject[];
  if (options.json) {
    printJson(answer);
    return;
  }
  if (options.csv) {
    printLine([COLUMNS, ...items.map((row) => COLUMNS.map((name) => row[name] ?? ''))].join('\n'));
  } else {
    printLine(items.length === 0 ? 'Nothing was counted.' : tableOf(items));
  }
  if (typeof answer.cursor === 'string') printNote(`more: --cursor ${answer.cursor}`);
}

export async function sendEvent(
  category: string,
  quantity: string,
  options: SendOptions,
): Promise<void> {
  const { tenant, key, tag, at, count } = options;
  const event = {
    ...{ tenant, category, key, tag, at },
    quantity: wholeOf('quantity', quantity),
    ...(count !== undefined && { count: wholeOf('count', count) }),
  };
  const path = ['v1', 'usage', 'events'];
  const body = { events: [event] };
  const answer = await new ApiClient(options).request({ method: 'POST', path, body });
  const [refused] = answer.refused as readonly JsonObject[];
  if (refused !== undefined) {
    const { code, message } = refused;
    throw new CliError(EXIT.data, `${String(message)} (code ${String(code)})`, { answer });
  }
  if (options.json) printJson(answer);
  else printLine(answer.counted === 1 ? 'Counted.' : 'The key was known: it was counted before.');
}

export async function showUsage(options: RemoteOptions): Promise<void> {
  const answer = await new ApiClient(options).request({ path: ['v1', 'status'] });
  const usage = answer.usage as JsonObject;
  if (options.json) printJson(usage);
  else printLine(formatFields(usage));
}

function wholeOf(what: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isSafeInteger(value)) return value;
  throw new CliError(EXIT.usage, `The ${what} is a whole number, received ${text}.`);
}
