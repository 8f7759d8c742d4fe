// Triggers: list, show, put, delete, arm anew.
import { readFileSync } from 'node:fs';
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { formatFields, formatTable, printJson, printLine, printNote } from './output.ts';

export interface ListTriggersOptions extends RemoteOptions {
  readonly limit?: string;
  readonly cursor?: string;
  readonly tenant?: string;
  readonly category?: string;
  readonly recurring?: string;
  readonly by?: string;
}

export interface PutTriggerOptions extends RemoteOptions {
  readonly tenant?: string;
  readonly category?: string;
  readonly tag?: string;
  readonly by?: string;
  readonly value?: string;
  readonly recurring?: string;
  readonly callback?: readonly string[];
  readonly form?: string;
  readonly action?: string;
  readonly name?: string;
  readonly jsonBody?: string;
}

const COLUMNS = [
  ...['sid', 'account', 'category', 'by', 'value', 'recurring'],
  ...['currentValue', 'firings', 'friendlyName'],
];

export async function listTriggers(options: ListTriggersOptions): Promise<void> {
  const { limit, cursor, tenant, category, recurring, by } = options;
  const query = { limit, cursor, tenant, category, recurring, by };
  const answer = await new ApiClient(options).request({ path: ['v1', 'triggers'], query });
  if (options.json) {
    printJson(answer);
    return;
  }
  const items = answer.items as readonly JsonObject[];
  const rows = items.map((row) => COLUMNS.map((column) => row[column]));
  printLine(items.length === 0 ? 'There is no trigger yet.' : formatTable(COLUMNS, rows));
  if (typeof answer.cursor === 'string') printNote(`more: --cursor ${answer.cursor}`);
}

export async function showTrigger(sid: string, options: RemoteOptions): Promise<void> {
  show(await new ApiClient(options).request({ path: ['v1', 'triggers', sid] }), options);
}

/** Makes a trigger, or replaces the one with the sid; flags win over the JSON body. */
export async function putTrigger(
  sid: string | undefined,
  options: PutTriggerOptions,
): Promise<void> {
  const given = options.jsonBody === undefined ? {} : parseBody(options.jsonBody);
  const { tenant, category, tag, by, value, recurring, callback, form, action } = options;
  const isRelative = value?.startsWith('+') === true;
  const named = Object.entries({ tenant, category, tag, by, recurring });
  const body = {
    ...given,
    ...Object.fromEntries(named.filter(([, flag]) => flag !== undefined)),
    ...(value !== undefined && { value: value.replace(/^\+/, ''), relative: isRelative }),
    ...(callback !== undefined && { callbacks: callback.map((url) => ({ url, form })) }),
    ...(action !== undefined && { action: actionOf(action) }),
    ...(options.name !== undefined && { friendlyName: options.name }),
  };
  const api = new ApiClient(options);
  const path = ['v1', 'triggers', ...(sid === undefined ? [] : [sid])];
  show(await api.request({ method: sid === undefined ? 'POST' : 'PUT', path, body }), options);
}

export async function removeTrigger(sid: string, options: RemoteOptions): Promise<void> {
  const path = ['v1', 'triggers', sid];
  await new ApiClient(options).request({ method: 'DELETE', path });
  if (options.json) printJson({ deleted: sid });
  else printLine(`The trigger ${sid} is deleted.`);
}

export async function rearmTrigger(sid: string, options: RemoteOptions): Promise<void> {
  const path = ['v1', 'triggers', sid, 'rearm'];
  show(await new ApiClient(options).request({ method: 'POST', path }), options);
}

function show(answer: JsonObject, options: RemoteOptions): void {
  if (options.json) printJson(answer);
  else printLine(formatFields(answer));
}

/** `pause`, `refuse`, `event`, `ledger`, `ledger=9.95`, `capRate=5`, `capConcurrency=10`. */
function actionOf(text: string): object {
  const [kind, number] = text.split('=');
  return number === undefined ? { kind } : { kind, number: Number(number) };
}

function parseBody(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text === '-' ? readFileSync(0, 'utf8') : text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as JsonObject;
    }
  } catch (error) {
    throw new CliError(EXIT.usage, `The JSON body cannot be read: ${(error as Error).message}.`);
  }
  throw new CliError(EXIT.usage, 'The JSON body is not an object.');
}
