import {
  type Configure,
  encodeConfigure,
  encodeExplain,
  encodeInUse,
  INPUT_OP,
} from '../protocol/exchange.ts';
import type { ShardChange, ShardPorts } from './ports.ts';

/** A bucket that is given no burst holds one message. */
const BURST_DEFAULT = 1;

/** The end of a shard that takes one operation and answers JSON text. */
export interface ShardRequester {
  request(op: number, body: Uint8Array): Promise<string>;
}

/** What dispatch asks of shards, as operations of their exchanges. */
export function shardPortsOf(shards: readonly ShardRequester[]): ShardPorts {
  const ask = async (shard: number, op: number, body: Uint8Array): Promise<unknown> => {
    const requester = shards[shard];
    if (requester === undefined) throw new RangeError(`there is no shard ${shard}`);
    return JSON.parse(await requester.request(op, body));
  };
  return {
    count: shards.length,
    configure: async (shard, change) => {
      await ask(shard, INPUT_OP.configure, encodeChange(change));
    },
    inUse: async (shard, kind, name) => {
      const answer = await ask(shard, INPUT_OP.inUse, encodeInUse(kind, name));
      return (answer as { inUse: boolean }).inUse;
    },
    explain: (shard, page) => ask(shard, INPUT_OP.explain, encodeExplain(page)),
  };
}

/** Bytes of one `configure` entry. */
export function encodeChange(change: ShardChange): Uint8Array {
  if (change.fields === null) return encodeConfigure(change as Configure);
  const burst = change.fields.burst ?? BURST_DEFAULT;
  return encodeConfigure({ ...change, fields: { ...change.fields, burst } } as Configure);
}
