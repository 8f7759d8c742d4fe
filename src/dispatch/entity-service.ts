/**
 * Owns destinations, sets and tenants: checks them, stores them, tells the shards. Main thread.
 *
 * A change is answered when it is flushed and every concerned shard has taken it: a destination's
 * own shard, all of them for a set or tenant. Changes of one entity run one after another. A change
 * that the disk or a shard fails ends the process (the ports see to that), so memory, disk and
 * shards never part for longer than a restart.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { EntityBook } from './entity-book.ts';
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
import { checkName, type ParsedFields, parseEntity } from './parse-entity.ts';
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

  /** Everything one shard has to know at its start: all sets and tenants, its own destinations. */
  *changesFor(shard: number): Generator<ShardChange> {
    yield* this.#book.all('set');
    yield* this.#book.all('tenant');
    for (const row of this.#book.all('destination')) {
      if (this.#shardOfRow(row) === shard) yield row;
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
    checkName(destination);
    await this.#queue.run(keyOf('destination', destination), async () => {
      if (this.#book.get('destination', destination) !== undefined) return;
      await this.#put('destination', destination, parseEntity('destination', destination, {}));
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

  /**
   * Replaces a resource; absent fields get their defaults.
   *
   * @throws FairleadError what `parseEntity` throws; shardKeyFixed, unknownSet, tooManyEntities
   */
  async put(kind: EntityKind, name: string, body: unknown): Promise<PutResult> {
    checkName(name);
    const parsed = parseEntity(kind, name, body);
    return await this.#queue.run(keyOf(kind, name), () => this.#put(kind, name, parsed));
  }

  /**
   * Deletes a resource, back to the defaults for a tenant.
   *
   * @throws FairleadError entityNotFound, reservedName, inUse
   */
  async remove(kind: EntityKind, name: string): Promise<void> {
    if (kind === 'set' && name === DEFAULT_SET) {
      throw new FairleadError('reservedName', 'The set default always exists; PUT changes it.');
    }
    const key = keyOf(kind, name);
    await this.#queue.run(key, async () => {
      const row = this.get(kind, name);
      // Asked twice: first while all goes on, so that a refusal disturbs nobody; then with the door shut.
      await this.#checkUnused(row);
      this.#leaving.add(key);
      try {
        await this.#checkUnused(row);
        // The shard first: it has the last word on whether something is in use.
        await this.#tellShards(row, { kind, name, fields: null });
        await this.#table.remove(KIND_NUMBERS[kind], name);
        this.#book.remove(kind, name);
      } finally {
        this.#leaving.delete(key);
      }
    });
  }

  async #put<K extends EntityKind>(
    kind: K,
    name: string,
    parsed: ParsedFields[K],
  ): Promise<PutResult> {
    const before = this.#book.get(kind, name);
    if (before === undefined && this.#book.size(kind) >= LIMITS.entitiesPerKind) {
      throw new FairleadError(
        'tooManyEntities',
        `There are ${LIMITS.entitiesPerKind} ${kind}s, as many as there may be.`,
      );
    }
    const fields = this.#complete(kind, name, parsed);
    const release = this.#referToSet(kind, fields);
    try {
      const version = await this.#table.put(KIND_NUMBERS[kind], name, fields);
      const row = { kind, name, version, fields } as EntityRow;
      await this.#tellShards(row, row);
      this.#book.put(row);
      return { row, created: before === undefined };
    } finally {
      release();
    }
  }

  #complete<K extends EntityKind>(kind: K, name: string, parsed: ParsedFields[K]): Fields[K] {
    if (kind !== 'destination') return parsed as Fields[K];
    const given = parsed as ParsedFields['destination'];
    const fixed = this.#book.get('destination', name)?.fields.shardKey;
    const shardKey = given.shardKey ?? fixed ?? name;
    if (fixed !== undefined && shardKey !== fixed) {
      throw new FairleadError(
        'shardKeyFixed',
        `shardKey is ${JSON.stringify(fixed)} since the destination was made, received ${JSON.stringify(shardKey)}; delete it and make it again.`,
        { field: 'shardKey', fixed },
      );
    }
    return { ...given, shardKey } as Fields[K];
  }

  /** Keeps a tenant's set from being deleted while the tenant is stored. */
  #referToSet<K extends EntityKind>(kind: K, fields: Fields[K]): () => void {
    if (kind !== 'tenant') return () => {};
    const { set } = fields as Fields['tenant'];
    if (this.#book.get('set', set) === undefined || this.#leaving.has(keyOf('set', set))) {
      throw new FairleadError('unknownSet', `set: there is no set ${JSON.stringify(set)}.`, {
        field: 'set',
      });
    }
    this.#book.refer(set);
    return () => this.#book.unrefer(set);
  }

  async #checkUnused(row: EntityRow): Promise<void> {
    const { kind, name } = row;
    const tenants = kind === 'set' ? this.#book.references(name) : 0;
    if (tenants > 0) {
      throw new FairleadError('inUse', `Tenants belong to the set ${name}: ${tenants} of them.`, {
        tenants,
      });
    }
    const shards = this.#shardsOf(row);
    const answers = await Promise.all(shards.map((shard) => this.#shards.inUse(shard, kind, name)));
    if (answers.includes(true)) {
      throw new FairleadError('inUse', `Messages of the ${kind} ${name} wait or are in flight.`);
    }
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

interface DeletedChange {
  readonly kind: EntityKind;
  readonly name: string;
  readonly fields: null;
}

const keyOf = (kind: EntityKind, name: string): string => `${kind}/${name}`;
