// What was counted: records, events by hand, how usage is.
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { formatFields, formatTable, printJson, printLine, printNote, tableOf } from './output.ts';

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

export interface LedgerOptions extends RemoteOptions {
  readonly limit?: string;
  readonly cursor?: string;
  readonly tenant?: string;
  readonly from?: string;
  readonly to?: string;
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

const LEDGER_COLUMNS = [
  ...['tenant', 'time', 'trigger', 'category', 'by'],
  ...['value', 'currentValue', 'amount', 'period'],
];

export async function showLedger(options: LedgerOptions): Promise<void> {
  const { limit, cursor, tenant, from, to } = options;
  const query = { limit, cursor, tenant, from, to };
  const answer = await new ApiClient(options).request({ path: ['v1', 'usage', 'ledger'], query });
  if (options.json) {
    printJson(answer);
    return;
  }
  const items = answer.items as readonly JsonObject[];
  const rows = items.map((line) => {
    const row = { ...line, time: new Date(Number(line.atMs)).toISOString() } as JsonObject;
    return LEDGER_COLUMNS.map((column) => row[column]);
  });
  printLine(items.length === 0 ? 'There is no line.' : formatTable(LEDGER_COLUMNS, rows));
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
