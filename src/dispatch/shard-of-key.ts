/**
 * The shard that owns a shardKey: 32-bit FNV-1a of its UTF-8 bytes, modulo the number of shards.
 *
 * Stored work lies where this sent it, so it may never change for an existing data directory.
 */
export function shardOfKey(shardKey: string, shards: number): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(shardKey)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash % shards;
}
