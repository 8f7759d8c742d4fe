/**
 * Owns destinations, sets, tenants, senders and pools: checks them, stores them, tells the shards.
 * Main thread.
 *
 * A change is answered when it is flushed, together with its record, and every concerned shard has
 * taken it: a destination's own shard, all of them for the other kinds. So every shard has every
 * pool, each with the pool's whole rate: destinations that share a pool should share a shardKey.
 *
 * Changes of one entity run one after another. A change that the disk or a shard fails ends the
 * process (the ports see to that), so memory, disk and shards never part for longer than a restart.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type Actor, DAEMON } from '../rest/actor.ts';
import { changeRecord } from './change-record.ts';
import { EntityBook, keyOf, type Reference, referenceOf } from './entity-book.ts';
import {
  DEFAULT_SET,
  ENTITY_KINDS,
  type EntityKind,
  type Fields,
  KIND_NUMBERS,
  SCHEMAS,
  setSchema,
} from './entity-schemas.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { checkEntityName, completeEntity, type ParsedFields, parseEntity } from './parse-entity.ts';
import type { EntityRow, EntityTable, ShardChange, ShardPorts } from './ports.ts';
import { shardOfKey } from './shard-of-key.ts';

export interface EntityServiceOptions {
  readonly table: EntityTable;
  readonly shards: ShardPorts;
  readonly autoCreateDestinations: boolean;
}

export interface PutResult {
  readonly row: EntityRow;
  readonly created: boolean;
}

export interface Page {
  readonly rows: readonly EntityRow[];
  /** Name to go on after; undefined: that was all. */
  readonly next: string | undefined;
}

const defaultSetRow: EntityRow = {
  kind: 'set',
  name: DEFAULT_SET,
  version: 0,
  fields: setSchema.parse({}),
};

export class EntityService {
  readonly autoCreate: boolean;
  readonly #table: EntityTable;
  readonly #shards: ShardPorts;
  readonly #book: EntityBook;
  readonly #queue = new KeyedQueue();
  /** `kind/name` of what is being deleted: nothing new may refer to it or be sent to it. */
  readonly #leaving = new Set<string>();

  private constructor(options: EntityServiceOptions, book: EntityBook) {
    this.autoCreate = options.autoCreateDestinations;
    this.#table = options.table;
    this.#shards = options.shards;
    this.#book = book;
  }

  /** Reads all entities; the shards are not told, see `changesFor`. */
  static open(options: EntityServiceOptions): EntityService {
    const book = new EntityBook();
    book.put(defaultSetRow);
    for (const kind of ENTITY_KINDS) {
      for (const row of options.table.list(KIND_NUMBERS[kind])) book.put(readRow(kind, row));
    }
    return new EntityService(options, book);
  }

  /** Everything one shard has to know at its start: all of each kind, but its own destinations only. */
  *changesFor(shard: number): Generator<ShardChange> {
    for (const kind of ENTITY_KINDS) {
      for (const row of this.#book.all(kind)) {
        if (row.kind !== 'destination' || this.#shardOfRow(row) === shard) yield row;
      }
    }
  }

  /** The shard that owns a destination; undefined: there is none of that name (any more). */
  shardOf(destination: string): number | undefined {
    const row = this.#book.get('destination', destination);
    if (row === undefined || this.#leaving.has(keyOf('destination', destination))) return undefined;
    return this.#shardOfRow(row);
  }

  /** Makes a destination with defaults, once for all callers at the same time. */
  async create(destination: string): Promise<void> {
    checkEntityName('destination', destination);
    await this.#queue.run(keyOf('destination', destination), async () => {
      if (this.#book.get('destination', destination) !== undefined) return;
      const parsed = parseEntity('destination', destination, {});
      await this.#put('destination', destination, parsed, DAEMON);
    });
  }

  /** @throws FairleadError entityNotFound */
  get(kind: EntityKind, name: string): EntityRow {
    const row = this.#book.get(kind, name);
    if (row === undefined) {
      throw new FairleadError('entityNotFound', `There is no ${kind} ${JSON.stringify(name)}.`);
    }
    return row;
  }

  list(kind: EntityKind, { limit, after }: { limit: number; after: string }): Page {
    const names = this.#book.names(kind, limit + 1, after);
    const rows = names.slice(0, limit).map((name) => this.get(kind, name));
    return { rows, next: names.length > limit ? names[limit - 1] : undefined };
  }

  find<K extends EntityKind>(kind: K, name: string): Extract<EntityRow, { kind: K }> | undefined {
    return this.#book.get(kind, name);
  }

  /** All entities of a kind, in no order. */
  all(kind: EntityKind): Iterable<EntityRow> {
    return this.#book.all(kind);
  }

  /**
   * Replaces a resource; absent fields get their defaults.
   *
   * @throws FairleadError what `parseEntity` throws; shardKeyFixed, unknownSet, unknownPool,
   *   tooManyEntities
   */
  async put(kind: EntityKind, name: string, body: unknown, actor: Actor): Promise<PutResult> {
    checkEntityName(kind, name);
    const parsed = parseEntity(kind, name, body);
    return await this.#queue.run(keyOf(kind, name), () => this.#put(kind, name, parsed, actor));
  }

  /**
   * Changes some fields and leaves the others; writes nothing when they are so already. A tenant or
   * sender that was never PUT is made with defaults first, since it may have work all the same.
   *
   * @throws FairleadError entityNotFound
   */
  async amend<K extends 'destination' | 'set' | 'tenant' | 'sender'>(
    kind: K,
    name: string,
    fields: Partial<Fields[K]>,
    actor: Actor,
  ): Promise<PutResult> {
    checkEntityName(kind, name);
    return await this.#queue.run(keyOf(kind, name), async () => {
      const isImplicit = kind === 'tenant' || kind === 'sender';
      const row = isImplicit ? this.#book.get(kind, name) : this.get(kind, name);
      const before = (row?.fields ?? parseEntity(kind, name, {})) as Fields[K];
      const isSame = Object.entries(fields).every(
        ([field, value]) => (before as Record<string, unknown>)[field] === value,
      );
      if (row !== undefined && isSame) return { row, created: false };
      return await this.#put(kind, name, { ...before, ...fields } as ParsedFields[K], actor);
    });
  }

  /**
   * Deletes a resource, back to the defaults for a tenant or sender.
   *
   * @throws FairleadError entityNotFound, reservedName, inUse
   */
  async remove(kind: EntityKind, name: string, actor: Actor): Promise<void> {
    const key = keyOf(kind, name);
    await this.#queue.run(key, async () => {
      // Asked twice: first while all goes on, so that a refusal disturbs nobody; then with the door shut.
      await this.checkRemovable(kind, name);
      const row = this.get(kind, name);
      this.#leaving.add(key);
      try {
        this.#checkUnreferred(row);
        await this.checkIdle(row);
        // The shard first: it has the last word on whether something is in use.
        await this.#tellShards(row, { kind, name, fields: null });
        const record = changeRecord(actor, { kind, name, before: row.fields, after: null });
        await this.#table.remove(KIND_NUMBERS[kind], name, record);
        this.#book.remove(kind, name);
      } finally {
        this.#leaving.delete(key);
      }
    });
  }

  /**
   * Whether a resource could be deleted now.
   *
   * @throws FairleadError entityNotFound, reservedName, inUse
   */
  async checkRemovable(kind: EntityKind, name: string): Promise<void> {
    if (kind === 'set' && name === DEFAULT_SET) {
      throw new FairleadError('reservedName', 'The set default always exists; PUT changes it.');
    }
    const row = this.get(kind, name);
    this.#checkUnreferred(row);
    await this.checkIdle(row);
  }

  /** @throws FairleadError inUse when a shard has work of it */
  async checkIdle(row: EntityRow): Promise<void> {
    const { kind, name } = row;
    const shards = this.#shardsOf(row);
    const answers = await Promise.all(shards.map((shard) => this.#shards.inUse(shard, kind, name)));
    if (answers.includes(true)) {
      throw new FairleadError('inUse', `Messages of the ${kind} ${name} wait or are in flight.`);
    }
  }

  async #put<K extends EntityKind>(
    kind: K,
    name: string,
    parsed: ParsedFields[K],
    actor: Actor,
  ): Promise<PutResult> {
    const before = this.#book.get(kind, name)?.fields as Fields[K] | undefined;
    if (before === undefined) checkRoom(kind, this.#book.size(kind) + 1);
    const fields = completeEntity(kind, name, parsed, before);
    const release = this.#refer(referenceOf(kind, fields));
    try {
      const after = fields as object;
      const record = changeRecord(actor, { kind, name, before: before ?? null, after });
      const version = await this.#table.put(KIND_NUMBERS[kind], name, after, record);
      const row = { kind, name, version, fields } as EntityRow;
      await this.#tellShards(row, row);
      this.#book.put(row);
      return { row, created: before === undefined };
    } finally {
      release();
    }
  }

  /** Keeps a set or pool from being deleted while what names it is stored. */
  #refer(reference: Reference | undefined): () => void {
    if (reference === undefined) return () => {};
    const { kind, name } = reference;
    if (this.#book.get(kind, name) === undefined || this.#leaving.has(keyOf(kind, name))) {
      throw unknownReference(reference);
    }
    this.#book.refer(reference);
    return () => this.#book.unrefer(reference);
  }

  #checkUnreferred({ kind, name }: EntityRow): void {
    const count = this.#book.references(kind, name);
    if (count === 0) return;
    throw kind === 'set'
      ? new FairleadError('inUse', `Tenants belong to the set ${name}: ${count} of them.`, {
          tenants: count,
        })
      : new FairleadError('inUse', `Senders share the pool ${name}: ${count} of them.`, {
          senders: count,
        });
  }

  async #tellShards(row: EntityRow, change: ShardChange | DeletedChange): Promise<void> {
    const shards = this.#shardsOf(row);
    await Promise.all(shards.map((shard) => this.#shards.configure(shard, change as ShardChange)));
  }

  #shardsOf(row: EntityRow): readonly number[] {
    if (row.kind === 'destination') return [this.#shardOfRow(row)];
    return Array.from({ length: this.#shards.count }, (_, shard) => shard);
  }

  #shardOfRow(row: Extract<EntityRow, { kind: 'destination' }>): number {
    return shardOfKey(row.fields.shardKey, this.#shards.count);
  }
}

/** Fields that came with a later version than the one that stored it get their defaults. */
function readRow(
  kind: EntityKind,
  { name, version, value }: { name: string; version: number; value: object },
): EntityRow {
  const fields = SCHEMAS[kind].parse(value);
  return { kind, name, version, fields } as EntityRow;
}

/** @throws FairleadError tooManyEntities when there would be more of a kind than there may be. */
export function checkRoom(kind: EntityKind, count: number): void {
  if (count <= LIMITS.entitiesPerKind) return;
  throw new FairleadError(
    'tooManyEntities',
    `There are ${LIMITS.entitiesPerKind} ${kind}s, as many as there may be.`,
  );
}

/** A field names a set or pool that is not there. */
export function unknownReference({ kind, name }: Reference): FairleadError {
  return new FairleadError(
    kind === 'set' ? 'unknownSet' : 'unknownPool',
    `${kind}: there is no ${kind} ${JSON.stringify(name)}.`,
    { field: kind },
  );
}

interface DeletedChange {
  readonly kind: EntityKind;
  readonly name: string;
  readonly fields: null;
}
