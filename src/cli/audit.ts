// Who changed which entity, newest first.
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { formatTable, printJson, printLine, printNote } from './output.ts';

export interface AuditOptions extends RemoteOptions {
  readonly kind?: string;
  readonly name?: string;
  readonly limit?: string;
  readonly cursor?: string;
}

export async function showAudit(options: AuditOptions): Promise<void> {
  const { kind, name, limit, cursor } = options;
  const query = { kind, name, limit, cursor };
  const answer = await new ApiClient(options).request({ path: ['v1', 'audit'], query });
  if (options.json) {
    printJson(answer);
    return;
  }
  const items = answer.items as readonly JsonObject[];
  const columns = ['number', 'time', 'actor', 'from', 'entity', 'change'];
  const rows = items.map((item) => [
    item.sequence,
    new Date(Number(item.atMs)).toISOString(),
    item.actor,
    item.address,
    `${item.kind} ${item.name}`,
    changeOf(item),
  ]);
  printLine(items.length === 0 ? 'There is no such change.' : formatTable(columns, rows));
  if (typeof answer.cursor === 'string') printNote(`more: --cursor ${answer.cursor}`);
}

/** `made`, `deleted`, or what changed: `ratePerSec 50 → 80`. */
function changeOf({ before, after }: JsonObject): string {
  if (after === null) return 'deleted';
  if (before === null) return 'made';
  const old = before as JsonObject;
  const changes = Object.entries(after as JsonObject)
    .filter(([field, value]) => JSON.stringify(old[field]) !== JSON.stringify(value))
    .map(([field, value]) => `${field} ${JSON.stringify(old[field])} → ${JSON.stringify(value)}`);
  return changes.length === 0 ? 'the same again' : changes.join(', ');
}
