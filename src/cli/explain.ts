import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { formatFields, formatTable, printJson, printLine } from './output.ts';

export interface ExplainOptions extends RemoteOptions {
  readonly limit?: string;
  readonly cursor?: string;
}

/** Prints the queues of a destination, and why the last ones were picked. */
export async function explainDestination(name: string, options: ExplainOptions): Promise<void> {
  const { limit, cursor } = options;
  const answer = await new ApiClient(options).request({
    path: ['v1', 'destinations', name, 'explain'],
    query: { limit, cursor },
  });
  if (options.json) {
    printJson(answer);
    return;
  }
  const { queues, lastPicks, ...rest } = answer;
  printLine(formatFields(rest));
  printLine(`\n${queueTable(rowsOf(queues))}`);
  printLine('\nlead: how far set / tenant / queue are ahead of their turn; the smallest is next');
  printLine(`\nlast picks, newest first\n${pickLines(rowsOf(lastPicks))}`);
}

function queueTable(queues: readonly JsonObject[]): string {
  if (queues.length === 0) return 'no queues';
  const columns = ['waiting', 'inFlight', 'portionPerSec', 'owed', 'got', 'lag'];
  return formatTable(
    ['queue', ...columns, 'lead'],
    queues.map((queue) => [nameOf(queue), ...columns.map((name) => queue[name]), leadOf(queue)]),
  );
}

/** Equal picks in a row are one line. */
function pickLines(picks: readonly JsonObject[]): string {
  const lines: { text: string; count: number }[] = [];
  for (const { picked, runnerUp } of picks) {
    const over = runnerUp === null ? 'alone' : `before ${nameOf(runnerUp as JsonObject)}`;
    const text = `${nameOf(picked as JsonObject)}  ${over}`;
    const last = lines.at(-1);
    if (last?.text === text) last.count += 1;
    else lines.push({ text, count: 1 });
  }
  if (lines.length === 0) return 'none yet';
  return lines.map(({ text, count }) => (count > 1 ? `${text}  × ${count}` : text)).join('\n');
}

/** set/tenant/sender or set/tenant/#order key, as far as they are named; below the highest level with it. */
function nameOf({ set, tenant, sender, orderKey, level }: JsonObject): string {
  const key = typeof orderKey === 'string' ? `#${orderKey}` : sender;
  const names = [set, tenant, key].filter((name) => name !== null && name !== '');
  if (names.length === 0) return '(gone)';
  return names.join('/') + (typeof level === 'number' && level > 0 ? ` level ${level}` : '');
}

function leadOf({ score }: JsonObject): string {
  const leads = rowsOf(score).map(({ debt }) => Number(Number(debt ?? 0).toFixed(1)));
  return leads.join(' / ');
}

function rowsOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? (value as JsonObject[]) : [];
}
