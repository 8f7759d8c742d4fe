import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { formatFields, printJson, printLine, tableOf } from './output.ts';

/** Prints how the daemon is. */
export async function showStatus(options: RemoteOptions): Promise<void> {
  const answer = await new ApiClient(options).request({ path: ['v1', 'status'] });
  if (options.json) {
    printJson(answer);
    return;
  }
  const { shards, ...rest } = answer;
  printLine(formatFields(rest));
  if (Array.isArray(shards)) printLine(`\n${tableOf(shards as JsonObject[])}`);
}

export interface ExplainOptions extends RemoteOptions {
  readonly limit?: string;
  readonly cursor?: string;
}

/** Prints the queues of a destination in order of service, and why the last ones were picked. */
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
  const lists = Object.entries(answer).filter(([, value]) => Array.isArray(value));
  const rest = Object.entries(answer).filter(([, value]) => !Array.isArray(value));
  printLine(formatFields(Object.fromEntries(rest)));
  for (const [title, rows] of lists) {
    const table = (rows as JsonObject[]).length === 0 ? 'none' : tableOf(rows as JsonObject[]);
    printLine(`\n${title}\n${table}`);
  }
}
