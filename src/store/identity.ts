// Whose environment this is: written into each shard's environment once, compared at every start.
import { pack, unpack } from '../protocol/msgpack.ts';
import { META_IDENTITY } from '../protocol/records.ts';
import type { Environment } from './environment.ts';

export interface ShardIdentity {
  dataId: string;
  shard: number;
  shards: number;
}

/** Layout of a shard's environment this daemon writes; it opens no newer one. */
const FORMAT = 1;

/** The environment is another's, or a newer daemon's. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
}

/**
 * Compares the stored identity with `expected`, and writes it when the environment is empty.
 *
 * @throws IdentityError
 */
export function claimEnvironment(environment: Environment, expected: ShardIdentity): void {
  const stored = environment.get(META_IDENTITY);
  if (stored === undefined) {
    if (!isEmpty(environment)) {
      throw new IdentityError(
        `the environment of shard ${expected.shard} holds records but no identity: it is no shard of this daemon`,
      );
    }
    const identity = pack({ format: FORMAT, ...expected });
    environment.commitNow((writes) => writes.put(META_IDENTITY, identity));
    return;
  }
  const { format, dataId, shard, shards } = unpack(stored) as ShardIdentity & { format: number };
  if (format > FORMAT) {
    throw new IdentityError(
      `shard ${expected.shard} has format ${format}, this daemon knows up to ${FORMAT}: a newer daemon wrote it; start that one`,
    );
  }
  if (dataId !== expected.dataId || shard !== expected.shard || shards !== expected.shards) {
    throw new IdentityError(
      `the environment of shard ${expected.shard} of ${expected.shards} in data directory ${expected.dataId} is that ` +
        `of shard ${shard} of ${shards} in ${dataId}: its folder was moved or mixed up with another`,
    );
  }
}

function isEmpty(environment: Environment): boolean {
  const [first] = environment.range(Uint8Array.of(0), Uint8Array.of(255));
  return first === undefined;
}
