// Who uses which resource, who waits, and why.
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { formatFields, formatTable, printJson, printLine, printNote, tableOf } from './output.ts';

export interface ListKeysOptions extends RemoteOptions {
  readonly limit?: string;
  readonly cursor?: string;
  readonly resource?: string;
  readonly tenant?: string;
}

export interface TopOptions extends RemoteOptions {
  readonly by: string;
  readonly limit: number;
  /** ms between two looks. */
  readonly every: number;
  readonly once?: boolean;
}

/** Where `top` is shown: standard output, or what a test reads. */
export interface Screen {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/** Shown for the platform, whose name is empty. */
const PLATFORM = '(platform)';
/** Moves to the upper left corner and clears what is below. */
const CLEAR = '\u001b[H\u001b[J';

export async function showGate(options: RemoteOptions): Promise<void> {
  const answer = await new ApiClient(options).request({ path: ['v1', 'gate'] });
  if (options.json) {
    printJson(answer);
    return;
  }
  const { impeded, ...rest } = answer;
  printLine(formatFields(rest));
  printLine(`\nimpeded, since the start\n${formatFields(impeded as JsonObject)}`);
}

export async function listKeys(options: ListKeysOptions): Promise<void> {
  const { limit, cursor, resource, tenant } = options;
  const query = { limit, cursor, resource, tenant };
  const answer = await new ApiClient(options).request({ path: ['v1', 'gate', 'keys'], query });
  if (options.json) {
    printJson(answer);
    return;
  }
  printLine(keyTable(answer, 'Nothing is counted now.'));
  if (typeof answer.cursor === 'string') printNote(`more: --cursor ${answer.cursor}`);
}

/** Prints the caps of a key, its policy, who waits before it, and its last decisions. */
export async function explainKey(key: string, options: RemoteOptions): Promise<void> {
  const names = key.split('/');
  const [resource = '', tenant] = names;
  if (resource === '' || tenant === '' || names.length > 2) {
    throw new CliError(EXIT.usage, `A key is named resource/tenant, received ${key}.`, {
      hint: 'For example calls.create/acme.',
    });
  }
  const path = ['v1', 'gate', 'keys', ...names];
  const answer = await new ApiClient(options).request({ path });
  if (options.json) {
    printJson(answer);
    return;
  }
  const { chain, policy, queue, decisions, adaptive, ...rest } = answer;
  printLine(formatFields({ ...rest, tenant: shownTenant(rest.tenant) }));
  printLine(`\ncaps, in the order in which they are taken\n${tableOf(rowsOf(chain))}`);
  printLine(`\npolicy\n${formatFields(policy as JsonObject)}`);
  if (adaptive !== null) printLine(`\nadaptive\n${formatFields(adaptive as JsonObject)}`);
  if (rowsOf(queue).length > 0) printLine(`\nwaiting, the next first\n${tableOf(rowsOf(queue))}`);
  if (rowsOf(decisions).length > 0) {
    const rows = rowsOf(decisions).map(({ atMs, ...decision }) => {
      return { at: new Date(Number(atMs)).toISOString(), ...decision };
    });
    printLine(`\nlast decisions\n${tableOf(rows)}`);
  }
}

/** Prints the fullest keys; on a terminal until it is interrupted, with a `pause` between two looks. */
export async function showTop(
  options: TopOptions,
  screen: Screen = process.stdout,
  pause: (ms: number) => Promise<unknown> = sleep,
): Promise<void> {
  const { by, limit, every, once = false, json = false } = options;
  const api = new ApiClient(options);
  const path = ['v1', 'gate', 'top'];
  const look = () => api.request({ path, query: { by, limit: String(limit) } });
  const isLive = screen.isTTY === true && !once && !json;
  if (!isLive) {
    const answer = await look();
    if (json) printJson(answer);
    else printLine(keyTable(answer, 'Nothing is counted now.'));
    return;
  }
  for (;;) {
    const [keys, totals] = await Promise.all([look(), api.request({ path: ['v1', 'gate'] })]);
    const { permits, seats, waiting } = totals;
    const head = `${new Date().toISOString()}  ${permits} permits, ${seats} seats, ${waiting} waiting; by ${by}`;
    screen.write(`${CLEAR}${head}\n\n${keyTable(keys, 'Nothing is counted now.')}\n`);
    await pause(every);
  }
}

const COLUMNS = ['used', 'limit', 'waiting', 'oldestWaitMs', 'mode', 'granted', 'impeded'];

function keyTable({ items }: JsonObject, none: string): string {
  const rows = rowsOf(items);
  if (rows.length === 0) return none;
  return formatTable(
    ['resource', 'tenant', ...COLUMNS],
    rows.map((row) => [
      row.resource,
      shownTenant(row.tenant),
      ...COLUMNS.map((column) => row[column]),
    ]),
  );
}

function shownTenant(tenant: unknown): unknown {
  return tenant === '' ? PLATFORM : tenant;
}

function rowsOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? (value as JsonObject[]) : [];
}
