// Message ids as text, counted within a frame.

const INDEX_DIGITS = 4;

/** The id of message `index` of a frame whose first id this is. */
export function idAt(first: string, index: number): string {
  const base = Number.parseInt(first.slice(-INDEX_DIGITS), 16);
  const digits = (base + index).toString(16).padStart(INDEX_DIGITS, '0');
  return first.slice(0, -INDEX_DIGITS) + digits;
}

/** The opposite: the first id of the frame whose message `index` has this id. */
export function firstOf(id: string, index: number): string {
  return idAt(id, -index);
}

/** Shard, batch, index: the order of acceptance. The check between them says nothing. */
export function orderOf(id: string): string {
  return id.slice(0, 16) + id.slice(-INDEX_DIGITS);
}
