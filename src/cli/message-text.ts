// Messages as commands print them: a table of many, the fields of one, the timeline of a trace.
import type { JsonObject } from './api-client.ts';
import { formatFields, formatTable } from './output.ts';

const COLUMNS = ['id', 'status', 'destination', 'from', 'to', 'attempts', 'accepted', 'then'];

export function messageTable(items: readonly JsonObject[]): string {
  const rows = items.map((item) => [
    item.id,
    item.status,
    item.destination,
    fromOf(item),
    item.recipient,
    item.attempts,
    timeOf(item.acceptedMs),
    thenOf(item),
  ]);
  return formatTable(COLUMNS, rows);
}

/** All that is known of one, with times as dates. */
export function messageFields({ trace, traceTruncated, ...message }: JsonObject): string {
  const fields = Object.entries(message).map(([name, value]) => {
    const isTime = name.endsWith('Ms') && typeof value === 'number';
    return isTime ? [name.slice(0, -2), timeOf(value)] : [name, value];
  });
  return formatFields(Object.fromEntries(fields));
}

/** One line a state: when, how long after acceptance, what, and what applies. */
export function timeline({ trace, traceTruncated, acceptedMs }: JsonObject): string {
  const events = (Array.isArray(trace) ? trace : []) as readonly JsonObject[];
  const startMs = Number(acceptedMs);
  const rows = events.map((event) => [
    timeOf(event.atMs),
    `+${lengthOf(Number(event.atMs) - startMs)}`,
    event.state,
    detailsOf(event),
  ]);
  const table = formatTable(['time', 'after', 'state', ''], rows);
  return traceTruncated === true ? `${table}\n(some of it is no longer known)` : table;
}

function detailsOf(event: JsonObject): string {
  const { reason, attempt, gateway, score, dueMs, atMs, code } = event;
  const to = gateway as JsonObject | undefined;
  return [
    typeof attempt === 'number' && `attempt ${attempt}`,
    to !== undefined && `to connection ${to.connection}, subscription ${to.subscription}`,
    typeof score === 'number' && `score ${score}`,
    typeof reason === 'string' && reason,
    typeof code === 'number' && `code ${code}`,
    typeof dueMs === 'number' && `due in ${lengthOf(Math.max(0, dueMs - Number(atMs)))}`,
  ]
    .filter((part) => part !== false)
    .join(', ');
}

/** tenant/sender, as far as they are named. */
function fromOf({ tenant, sender }: JsonObject): string {
  return sender === null ? String(tenant) : `${tenant}/${sender}`;
}

/** What comes next, or how it ended. */
function thenOf({ dueMs, endedMs, code, reason }: JsonObject): string | null {
  if (typeof dueMs === 'number') return `due ${timeOf(dueMs)}`;
  if (typeof endedMs !== 'number') return null;
  const why = reason ?? (code === null ? null : `code ${code}`);
  return why === null ? `ended ${timeOf(endedMs)}` : `ended ${timeOf(endedMs)}, ${why}`;
}

function timeOf(ms: unknown): string {
  return new Date(Number(ms)).toISOString();
}

/** `12 ms`, `1.25 s`, `3 min 20 s`, `2 h 5 min`. */
export function lengthOf(ms: number): string {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(2))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
