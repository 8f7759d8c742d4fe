/**
 * Pages of messages of several shards with the newest first, merged by the time of acceptance.
 *
 * A cursor says for each shard before which of its messages to go on: 8 bytes a shard, in base64url.
 */

import { LIMITS } from '../limits.ts';
import { wrongCursor } from '../rest/page-query.ts';
import type { ShardPage, Walk } from './message-list.ts';
import type { FoundMessage } from './message-shards.ts';

const KEY_BYTES = 8;
/** Of a shard that has no message before. */
const AT_END = 0n;
/** Of a shard that was not asked yet. */
const AT_START = 2n ** 64n - 1n;
const PREFIX = 'n';
/** A shard that is asked gives at least so many, so that few questions fill a page. */
const PART_MIN = 16;

/** One shard's messages that are at hand, and where they go on. */
interface Source {
  readonly shard: number;
  /** The newest of those at hand is before it. */
  key: bigint;
  /** Where the shard goes on behind those at hand. */
  next: bigint;
  items: FoundMessage[];
}

/**
 * A page of at most `limit` messages. It is short, with a cursor, when a shard looked through much that
 * fits no filter.
 *
 * @throws FairleadError invalidValue for a cursor that is none of these shards'
 */
export async function newestOfShards({ shards, cursor, limit, ask }: Walk): Promise<ShardPage> {
  const sources = sourcesOf(shards, cursor);
  const part = Math.min(limit, Math.max(PART_MIN, Math.ceil((2 * limit) / shards.length)));
  const fill = async (source: Source): Promise<void> => {
    const page = await ask(source.shard, textOf(source.next), part);
    source.items.push(...page.items);
    source.next = page.cursor === null ? AT_END : BigInt(`0x${page.cursor}`);
    // Nothing between was for this list: the next page need not look there again.
    if (source.items.length === 0) source.key = source.next;
  };
  const items: FoundMessage[] = [];
  for (let rounds = 0; rounds < LIMITS.asksPerPage; rounds += 1) {
    await Promise.all(sources.filter(isDry).map(fill));
    takeNewest(sources, items, limit);
    if (items.length >= limit || !sources.some(isDry)) break;
  }
  const hasMore = sources.some(({ items, next }) => items.length > 0 || next !== AT_END);
  return { items, cursor: hasMore ? cursorOf(sources) : null };
}

/** Nothing at hand, and it is not known whether there is more. */
function isDry({ items, next }: Source): boolean {
  return items.length === 0 && next !== AT_END;
}

/** Moves the newest of all sources, as long as none is dry. */
function takeNewest(sources: readonly Source[], items: FoundMessage[], limit: number): void {
  while (items.length < limit && !sources.some(isDry)) {
    let newest: Source | undefined;
    for (const source of sources) {
      const [head] = source.items;
      const best = newest?.items[0];
      const isNewer = best === undefined || (head?.acceptedMs ?? 0) > best.acceptedMs;
      if (head !== undefined && isNewer) newest = source;
    }
    const taken = newest?.items.shift();
    if (newest === undefined || taken === undefined) return;
    items.push(taken);
    newest.key = newest.items.length > 0 ? keyOf(taken.id) : newest.next;
  }
}

/** The place of a message in its shard: batch and index of its id. */
function keyOf(id: string): bigint {
  return BigInt(`0x${id.slice(4, 16)}${id.slice(28)}`);
}

function textOf(key: bigint): string {
  return key === AT_START ? '' : key.toString(16);
}

function cursorOf(sources: readonly Source[]): string {
  const bytes = new DataView(new ArrayBuffer(KEY_BYTES * sources.length));
  sources.forEach(({ key }, index) => {
    bytes.setBigUint64(KEY_BYTES * index, key);
  });
  return PREFIX + Buffer.from(bytes.buffer).toString('base64url');
}

function sourcesOf(shards: readonly number[], cursor: string | undefined): Source[] {
  if (cursor === undefined) {
    return shards.map((shard) => ({ shard, key: AT_START, next: AT_START, items: [] }));
  }
  const keys = Buffer.from(cursor.slice(PREFIX.length), 'base64url');
  if (!cursor.startsWith(PREFIX) || keys.length !== KEY_BYTES * shards.length) {
    throw wrongCursor();
  }
  return shards.map((shard, index) => {
    const key = keys.readBigUInt64BE(KEY_BYTES * index);
    return { shard, key, next: key, items: [] };
  });
}
