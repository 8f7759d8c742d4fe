// Webhooks and callbacks that are being sent: test an endpoint, list, send again, enable.
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { formatFields, formatTable, printJson, printLine, printNote } from './output.ts';

export interface ListOptions extends RemoteOptions {
  readonly endpoint?: string;
  readonly state?: string;
  readonly limit?: string;
  readonly cursor?: string;
}

/** Fails when the endpoint did not take the test. */
export async function testWebhook(
  url: string,
  options: RemoteOptions & { readonly tenant: string },
): Promise<void> {
  const body = { url, tenant: options.tenant };
  const path = ['v1', 'outbox', 'test'];
  const answer = await new ApiClient(options).request({ method: 'POST', path, body });
  if (options.json) printJson(answer);
  else printLine(testText(answer));
  if (answer.isTaken === true) return;
  throw new CliError(EXIT.data, `${url} did not take the test.`, { hint: hintOf(answer) });
}

function testText({ status, ms, headers, error }: JsonObject): string {
  const { kind, message } = (error ?? {}) as JsonObject;
  const outcome = error === null ? { status, ms } : { error: kind, message };
  return formatFields({ ...outcome, ...(headers as JsonObject) });
}

function hintOf({ status, error }: JsonObject): string {
  const { kind } = (error ?? {}) as JsonObject;
  if (kind === 'blocked') return 'The option outbound.allow lets addresses through.';
  if (kind === 'tls') return 'The option outbound.caFile names certificates to trust.';
  if (typeof status === 'number') return `It answered ${status}; 2xx means that it was taken.`;
  return 'Can the daemon’s host reach it?';
}

export async function listEndpoints(options: ListOptions): Promise<void> {
  const { limit, cursor } = options;
  const answer = await list('endpoints', { limit, cursor }, options);
  if (answer === undefined) return;
  const columns = [
    'url',
    'state',
    'waiting',
    'failed',
    'at once',
    'p50 ms',
    'p99 ms',
    'last error',
  ];
  const rows = answer.map((row) => [
    row.url,
    row.state,
    row.waiting,
    row.failed,
    row.concurrency,
    row.p50Ms,
    row.p99Ms,
    row.lastError,
  ]);
  printLine(rows.length === 0 ? 'Nothing was sent yet.' : formatTable(columns, rows));
}

export async function listItems(options: ListOptions): Promise<void> {
  const { endpoint, state, limit, cursor } = options;
  const answer = await list('items', { endpoint, state, limit, cursor }, options);
  if (answer === undefined) return;
  const columns = ['id', 'state', 'attempts', 'made', 'next', 'url', 'last error'];
  const rows = answer.map((row) => [
    row.id,
    row.state,
    row.attempts,
    timeOf(row.createdMs),
    timeOf(row.nextAttemptMs),
    row.url,
    row.lastError,
  ]);
  printLine(rows.length === 0 ? 'There is none.' : formatTable(columns, rows));
}

const timeOf = (ms: unknown): string | null =>
  typeof ms === 'number' ? new Date(ms).toISOString() : null;

/** Rows of a page; undefined: it was printed as JSON. */
async function list(
  what: 'endpoints' | 'items',
  query: Readonly<Record<string, string | undefined>>,
  options: RemoteOptions,
): Promise<readonly JsonObject[] | undefined> {
  const path = ['v1', 'outbox', what];
  const answer = await new ApiClient(options).request({ path, query });
  if (options.json) {
    printJson(answer);
    return undefined;
  }
  if (typeof answer.cursor === 'string') printNote(`more: --cursor ${answer.cursor}`);
  return answer.items as readonly JsonObject[];
}

export async function replayWebhooks(
  ids: readonly string[],
  options: RemoteOptions & { readonly endpoint?: string },
): Promise<void> {
  const { endpoint } = options;
  if ((ids.length === 0) === (endpoint === undefined)) {
    throw new CliError(EXIT.usage, 'Name ids, or one endpoint with --endpoint.', {
      hint: '`fairlead webhook items --state failed` shows what failed.',
    });
  }
  const body = { endpoint, ids: ids.length === 0 ? undefined : ids };
  const path = ['v1', 'outbox', 'replay'];
  const answer = await new ApiClient(options).request({ method: 'POST', path, body });
  if (options.json) {
    printJson(answer);
    return;
  }
  const { replayed, unknown, left } = answer;
  const more = Number(left) > 0 ? `, ${left} left for another replay` : '';
  printLine(
    `${replayed} sent again${more}${Number(unknown) > 0 ? `, ${unknown} had not failed` : ''}`,
  );
}

export async function enableEndpoint(url: string, options: RemoteOptions): Promise<void> {
  const path = ['v1', 'outbox', 'endpoints', 'enable'];
  const answer = await new ApiClient(options).request({ method: 'POST', path, body: { url } });
  if (options.json) {
    printJson(answer);
    return;
  }
  const { wasDisabled, failed } = answer;
  const what = wasDisabled === true ? 'enabled' : 'was not disabled';
  printLine(
    `${answer.url}: ${what}, ${failed} failed${Number(failed) > 0 ? ' (webhook replay)' : ''}`,
  );
}
