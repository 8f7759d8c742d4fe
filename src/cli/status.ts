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
