import { FairleadError } from '../errors.ts';
import {
  type Configure,
  encodeConfigure,
  encodeExplain,
  encodeInUse,
  INPUT_OP,
  InputBuffer,
} from '../protocol/exchange.ts';
import type { ShardChange, ShardPorts } from './ports.ts';

/** A bucket that is given no burst holds one message. */
const BURST_DEFAULT = 1;

/** The end of a shard that takes one operation and answers JSON text. */
export interface ShardRequester {
  request(op: number, body: Uint8Array): Promise<string>;
}

/** What dispatch asks of shards, as operations of their exchanges; looked up only when asked. */
export function shardPortsOf(
  count: number,
  shardOf: (shard: number) => ShardRequester | undefined,
): ShardPorts {
  const ask = async (shard: number, op: number, body: Uint8Array): Promise<unknown> => {
    const requester = shardOf(shard);
    if (requester === undefined) throw new RangeError(`there is no shard ${shard}`);
    return JSON.parse(await requester.request(op, body));
  };
  return {
    count,
    configure: async (shard, change) => {
      const answer = await ask(shard, INPUT_OP.configure, encodeChange(change));
      if ((answer as { ok: boolean }).ok) return;
      throw new FairleadError('inUse', `The ${change.kind} ${change.name} is in use.`);
    },
    inUse: async (shard, kind, name) => {
      const answer = await ask(shard, INPUT_OP.inUse, encodeInUse(kind, name));
      return (answer as { inUse: boolean }).inUse;
    },
    explain: async (shard, page) => {
      const answer = await ask(shard, INPUT_OP.explain, encodeExplain(page));
      if ((answer as { error?: string }).error === undefined) return answer;
      throw new FairleadError('unknownDestination');
    },
  };
}

/** Bytes of one `configure` entry. */
export function encodeChange(change: ShardChange): Uint8Array {
  if (change.fields === null) return encodeConfigure(change as Configure);
  const burst = change.fields.burst ?? BURST_DEFAULT;
  return encodeConfigure({ ...change, fields: { ...change.fields, burst } } as Configure);
}

/** The initial configuration of a shard: an exchange input that is all `configure` entries. */
export function encodeConfiguration(changes: Iterable<ShardChange>): Uint8Array {
  const input = new InputBuffer();
  for (const change of changes) input.append(INPUT_OP.configure, 0, encodeChange(change));
  const { buffer, bytes } = input.finish(0);
  return new Uint8Array(buffer, 0, bytes);
}
