// Which shard the message ids of a receipt, cancel or status frame lie in: their first two bytes.
import type { HeaderReader } from './header-reader.ts';

/** The ids lie in more than one shard. */
export const SEVERAL_SHARDS = -1;
/** Ids beyond these are not looked at: the core refuses the frame. */
const IDS_MAX = 4096;

/**
 * Reads the list at the reader's place: message ids, or entries that begin with one. Returns the
 * shard of all of them, 0 if there are none, or `SEVERAL_SHARDS`. It ends at the first that is no
 * id: what is wrong with it is for the core to say.
 */
export function shardOfIds(reader: HeaderReader, inEntries: boolean): number {
  const count = Math.min(reader.arrayLength(), IDS_MAX);
  let shard = 0;
  for (let index = 0; index < count; index += 1) {
    const fields = inEntries ? reader.arrayLength() : 1;
    const idShard = fields < 1 ? -1 : reader.messageIdShard();
    if (idShard < 0) return shard;
    if (index > 0 && idShard !== shard) return SEVERAL_SHARDS;
    shard = idShard;
    for (let field = 1; field < fields; field += 1) {
      if (!reader.skip()) return shard;
    }
  }
  return shard;
}
