/** Pages of messages that lie in several shards: one shard after another, in each by acceptance. */

import { LIMITS } from '../limits.ts';
import { wrongCursor } from '../rest/page-query.ts';
import type { FoundMessage } from './message-shards.ts';

/** A page of one shard; it may be short, or empty, although there is more. */
export interface ShardPage {
  readonly items: readonly FoundMessage[];
  readonly cursor: string | null;
}

export interface Walk {
  /** In the order that they are gone through. */
  readonly shards: readonly number[];
  /** What the page before gave. */
  readonly cursor: string | undefined;
  readonly limit: number;
  /** A page of one shard, from its own cursor on, empty at first. */
  readonly ask: (shard: number, cursor: string, limit: number) => Promise<ShardPage>;
}

/**
 * Goes on until the page is full, or a shard ended a page early that has something in it. What no
 * message fits is looked through up to `LIMITS.asksPerPage` questions: then the page is empty and has
 * a cursor.
 *
 * @throws FairleadError invalidValue for a cursor that is none of these shards'
 */
export async function walkShards({ shards, cursor, limit, ask }: Walk): Promise<ShardPage> {
  const items: FoundMessage[] = [];
  let { index, at } = placeOf(shards, cursor);
  for (let asks = 0; asks < LIMITS.asksPerPage; asks += 1) {
    const shard = shards[index];
    if (shard === undefined) return { items, cursor: null };
    const page = await ask(shard, at, limit - items.length);
    items.push(...page.items);
    if (page.cursor === null) index += 1;
    at = page.cursor ?? '';
    if (items.length >= limit || (items.length > 0 && page.cursor !== null)) break;
  }
  const shard = shards[index];
  return { items, cursor: shard === undefined ? null : `${shard}_${at}` };
}

function placeOf(shards: readonly number[], cursor: string | undefined) {
  if (cursor === undefined) return { index: 0, at: '' };
  const [, shard, at = ''] = /^(\d{1,3})_([0-9a-f]{0,16})$/.exec(cursor) ?? [];
  const index = shard === undefined ? -1 : shards.indexOf(Number(shard));
  if (index >= 0) return { index, at };
  throw wrongCursor();
}
