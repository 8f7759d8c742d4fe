// How gateways are: all of a page in a table, one in full.
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { formatFields, printJson, printLine, printNote, tableOf } from './output.ts';

export interface ListOptions extends RemoteOptions {
  readonly limit?: string;
  readonly cursor?: string;
}

/** Prints each gateway of a page with what it serves and how it is. */
export async function listGateways(options: ListOptions): Promise<void> {
  const { limit, cursor } = options;
  const api = new ApiClient(options);
  const answer = await api.request({ path: ['v1', 'gateways'], query: { limit, cursor } });
  const items = answer.items as readonly JsonObject[];
  const states: JsonObject[] = [];
  for (const { name } of items) states.push(await stateOf(api, String(name)));
  if (options.json) {
    const both = items.map((item, index) => ({ ...item, state: states[index] }));
    printJson({ ...answer, items: both });
    return;
  }
  const rows = items.map((item, index) => rowOf(item, states[index] ?? {}));
  printLine(rows.length === 0 ? 'There is no gateway yet.' : tableOf(rows));
  if (typeof answer.cursor === 'string') printNote(`more: --cursor ${answer.cursor}`);
}

/** Prints the state of one gateway. */
export async function showGatewayState(name: string, options: RemoteOptions): Promise<void> {
  const state = await stateOf(new ApiClient(options), name);
  if (options.json) printJson(state);
  else printLine(formatFields(state));
}

async function stateOf(api: ApiClient, name: string): Promise<JsonObject> {
  return await api.request({ path: ['v1', 'gateways', name, 'state'] });
}

function rowOf(item: JsonObject, state: JsonObject): JsonObject {
  const { name, type, destinations, weight, paused } = item;
  const { up, inFlight, sentPerSec, p50Ms, p99Ms, lastError, driver } = state;
  const { breaker } = (driver ?? {}) as JsonObject;
  const { message } = (lastError ?? {}) as JsonObject;
  const served = Array.isArray(destinations) ? destinations.join(' ') : '';
  const stands = { name, type, destinations: served, weight, paused };
  return { ...stands, up, breaker, inFlight, sentPerSec, p50Ms, p99Ms, lastError: message };
}
