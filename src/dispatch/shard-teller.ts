/** Which shards are told of an entity, how they see it, and the telling. */
import { CapSlots } from './cap-slots.ts';
import { isShardKind, SHARD_KINDS } from './entity-kinds.ts';
import { asShardsSee, type FindDestination } from './gateway-ahead.ts';
import type { EntityChange, EntityRow, EntityRowOf, ShardChange, ShardPorts } from './ports.ts';
import { shardOfKey } from './shard-of-key.ts';

export class ShardTeller {
  readonly capSlots = new CapSlots();
  readonly #shards: ShardPorts;
  readonly #destination: FindDestination;

  constructor(shards: ShardPorts, destination: FindDestination) {
    this.#shards = shards;
    this.#destination = destination;
  }

  /** There are no shards to tell for kinds that they do not know. */
  async tell(shards: readonly number[], change: EntityChange): Promise<void> {
    const seen = this.seen(change);
    await Promise.all(shards.map((shard) => this.#shards.configure(shard, seen)));
  }

  /** A cap has its place in their table. */
  seen(change: EntityChange): ShardChange {
    if (change.kind !== 'cap' || change.fields === null) {
      return asShardsSee(change, this.#destination) as ShardChange;
    }
    const { kind, name, fields } = change;
    return { kind, name, fields: { ...fields, slot: this.capSlots.of(name, fields) } };
  }

  /** The shards that are told of an entity. */
  shardsOf(row: EntityRow): readonly number[] {
    if (!isShardKind(row.kind)) return [];
    if (SHARD_KINDS[row.kind] === 'all') {
      return Array.from({ length: this.#shards.count }, (_, shard) => shard);
    }
    // A gateway's destinations are all in the shard of the first.
    const name = row.kind === 'gateway' ? row.fields.destinations[0] : row.name;
    const destination = row.kind === 'destination' ? row : this.#destination(name ?? '');
    return destination === undefined ? [] : [this.shardOfRow(destination)];
  }

  shardOfRow(row: EntityRowOf<'destination'>): number {
    return shardOfKey(row.fields.shardKey, this.#shards.count);
  }
}
