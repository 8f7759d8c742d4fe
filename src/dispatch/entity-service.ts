/**
 * Owns the resources of every kind: checks them, stores them, tells shards and listeners. Main thread.
 *
 * A change is answered when it is flushed, together with its record, and every concerned shard has
 * taken it: that of a destination or of a gateway's destinations, all of them for sets, pools, tenants
 * and senders, none for the other kinds (the gate listens for its own). So every shard has every pool
 * with its whole rate: destinations that share a pool should share a shardKey.
 *
 * Changes of one entity run one after another. One that the disk or a shard fails ends the process (the
 * ports see to that): memory, disk and shards part for no longer than a restart.
 */
import { FairleadError } from '../errors.ts';
import { type Actor, DAEMON } from '../rest/actor.ts';
import { changeRecord } from './change-record.ts';
import { EntityBook, keyOf } from './entity-book.ts';
import {
  ENTITY_KINDS,
  type EntityKind,
  IMPLICIT_KINDS,
  isShardKind,
  KIND_NUMBERS,
  type Reference,
  referencesOf,
} from './entity-kinds.ts';
import { checkEntityName } from './entity-names.ts';
import {
  busyError,
  checkOneShard,
  referredError,
  tenantTakenError,
  unknownReference,
} from './entity-references.ts';
import { checkRoom } from './entity-room.ts';
import type { Fields } from './entity-schemas.ts';
import { claimPolicy } from './gate-rules.ts';
import { isDoubtChange, namesOfGateways } from './gateway-ahead.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { checkFields, completeEntity, type ParsedFields, parseEntity } from './parse-entity.ts';
import type {
  EntityChange,
  EntityRow,
  EntityRowOf,
  EntityTable,
  ShardChange,
  ShardPorts,
} from './ports.ts';
import { ShardTeller } from './shard-teller.ts';
import { isStanding, STANDING_ROWS } from './standing-entities.ts';

export interface EntityServiceOptions {
  readonly table: EntityTable;
  readonly shards: ShardPorts;
  readonly autoCreateDestinations: boolean;
  /** Whether its permits are out, or somebody waits. */
  readonly resourceInUse?: (name: string) => Promise<boolean>;
  /** Gives the place of a cap what its period has come to; shards know the cap. */
  readonly loadCap?: (row: EntityRowOf<'cap'>) => Promise<void>;
  /** Looks at what only this host knows of a gateway, its secrets. @throws FairleadError invalidValue */
  readonly checkGateway?: (fields: Fields['gateway']) => void;
}

export interface PutResult<K extends EntityKind = EntityKind> {
  readonly row: EntityRowOf<K>;
  readonly created: boolean;
}

export interface Page {
  readonly rows: readonly EntityRow[];
  /** Name to go on after; undefined: that was all. */
  readonly next: string | undefined;
}

export class EntityService {
  readonly autoCreate: boolean;
  readonly checkGateway: (fields: Fields['gateway']) => void;
  readonly #table: EntityTable;
  readonly #shards: ShardPorts;
  readonly #book: EntityBook;
  readonly #resourceInUse: EntityServiceOptions['resourceInUse'];
  readonly #loadCap: EntityServiceOptions['loadCap'];
  readonly #queue = new KeyedQueue();
  /** `kind/name` of what is being deleted: nothing new may refer to it or be sent to it. */
  readonly #leaving = new Set<string>();
  readonly #teller: ShardTeller;
  readonly #listeners: ((change: EntityChange) => void)[] = [];

  private constructor(options: EntityServiceOptions, book: EntityBook) {
    this.autoCreate = options.autoCreateDestinations;
    this.checkGateway = options.checkGateway ?? (() => {});
    this.#table = options.table;
    this.#shards = options.shards;
    this.#resourceInUse = options.resourceInUse;
    this.#loadCap = options.loadCap;
    this.#book = book;
    this.#teller = new ShardTeller(options.shards, (name) => this.find('destination', name));
  }

  /** Reads all entities; the shards are not told, see `changesFor`. */
  static open(options: EntityServiceOptions): EntityService {
    const book = new EntityBook();
    for (const row of STANDING_ROWS) book.put(row);
    for (const kind of ENTITY_KINDS) {
      for (const row of options.table.list(KIND_NUMBERS[kind])) book.put(readRow(kind, row));
    }
    return new EntityService(options, book);
  }

  /** Everything one shard has to know at its start, what refers after what it refers to. */
  *changesFor(shard: number): Generator<ShardChange> {
    for (const kind of ENTITY_KINDS) {
      for (const row of this.#book.all(kind)) {
        if (this.#teller.shardsOf(row).includes(shard)) yield this.#teller.seen(row);
      }
    }
  }

  /** Calls `listener` after each change, once the disk and the shards have it. It may not throw. */
  onChange(listener: (change: EntityChange) => void): void {
    this.#listeners.push(listener);
  }

  /** The shard that owns a destination; undefined: there is none of that name (any more). */
  shardOf(destination: string): number | undefined {
    const row = this.#book.get('destination', destination);
    if (row === undefined || this.#leaving.has(keyOf('destination', destination))) return undefined;
    return this.#teller.shardOfRow(row);
  }

  /** The tenant that a destination is for; null: nobody alone; undefined: there is none of that name. */
  ownerOf(destination: string): string | null | undefined {
    return this.#book.get('destination', destination)?.fields.owner;
  }

  /** Makes a destination or a resource with defaults, once for all callers at the same time. */
  async create(name: string, kind: 'destination' | 'resource' = 'destination'): Promise<void> {
    checkEntityName(kind, name);
    await this.#queue.run(keyOf(kind, name), async () => {
      if (this.#book.get(kind, name) !== undefined) return;
      await this.#put(kind, name, parseEntity(kind, name, {}), DAEMON);
    });
  }

  /** @throws FairleadError entityNotFound */
  get<K extends EntityKind>(kind: K, name: string): EntityRowOf<K> {
    const row = this.#book.get(kind, name);
    if (row !== undefined) return row;
    throw new FairleadError('entityNotFound', `There is no ${kind} ${JSON.stringify(name)}.`);
  }

  list(kind: EntityKind, { limit, after }: { limit: number; after: string }): Page {
    const names = this.#book.names(kind, limit + 1, after);
    const rows = names.slice(0, limit).map((name) => this.get(kind, name));
    return { rows, next: names.length > limit ? names[limit - 1] : undefined };
  }

  find<K extends EntityKind>(kind: K, name: string): EntityRowOf<K> | undefined {
    return this.#book.get(kind, name);
  }

  /** The place of a cap in the table that shards and usage share. */
  capSlot(cap: string, fields: Fields['cap']): number {
    return this.#teller.capSlots.of(cap, fields);
  }

  /** Nothing is asked any more. */
  close(): void {
    this.#teller.capSlots.close();
  }

  /** How many tenants are above a tenant. */
  depthOf(tenant: string): number {
    return this.#book.tenants.depthOf(tenant);
  }

  /** The account of a tenant; a tenant has at most one. */
  accountOf(tenant: string): EntityRowOf<'account'> | undefined {
    const name = this.#book.accountOf(tenant);
    return name === undefined ? undefined : this.#book.get('account', name);
  }

  /** All entities of a kind, in no order. */
  all<K extends EntityKind>(kind: K): Iterable<EntityRowOf<K>> {
    return this.#book.all(kind);
  }

  /**
   * Replaces a resource; absent fields get their defaults.
   *
   * @throws FairleadError what `parseEntity` throws; shardKeyFixed, unknownSet, unknownPool,
   *   unknownDestination, tenantTaken, tooManyEntities
   */
  async put<K extends EntityKind>(
    kind: K,
    name: string,
    body: unknown,
    actor: Actor,
  ): Promise<PutResult<K>> {
    checkEntityName(kind, name);
    const parsed = parseEntity(kind, name, body);
    return await this.#queue.run(keyOf(kind, name), () => this.#put(kind, name, parsed, actor));
  }

  /**
   * Changes some fields and leaves the others; writes nothing when they are so already. What is
   * there without a PUT is made with defaults first, since it may have work all the same.
   * `change`: the fields, or what makes them of those that are.
   *
   * @throws FairleadError entityNotFound; invalidValue for what the kind may not have
   */
  async amend<K extends EntityKind>(
    kind: K,
    name: string,
    change: Partial<Fields[K]> | ((before: Fields[K]) => Partial<Fields[K]>),
    actor: Actor,
  ): Promise<PutResult<K>> {
    checkEntityName(kind, name);
    return await this.#queue.run(keyOf(kind, name), async () => {
      const row = IMPLICIT_KINDS.includes(kind) ? this.find(kind, name) : this.get(kind, name);
      const before = row?.fields ?? this.#defaults(kind, name);
      const fields = typeof change === 'function' ? change(before) : change;
      const isSame = Object.entries(fields).every(
        ([field, value]) => (before as Record<string, unknown>)[field] === value,
      );
      if (row !== undefined && isSame) return { row, created: false };
      return await this.#write(kind, name, checkFields(kind, { ...before, ...fields }), actor);
    });
  }

  /**
   * Deletes a resource; what is there without a PUT goes back to the defaults.
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
        await this.#teller.tell(this.#teller.shardsOf(row), { kind, name, fields: null });
        const record = changeRecord(actor, { kind, name, before: row.fields, after: null });
        await this.#table.remove(KIND_NUMBERS[kind], name, record);
        this.#book.remove(kind, name);
        this.#tell({ kind, name, fields: null });
        if (kind === 'cap') this.#teller.capSlots.free(name);
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
    if (isStanding(kind, name)) {
      const message = `The ${kind} ${name} always exists; PUT changes it.`;
      throw new FairleadError('reservedName', message);
    }
    const row = this.get(kind, name);
    this.#checkUnreferred(row);
    await this.checkIdle(row);
  }

  /** @throws FairleadError inUse when a shard has work of it, or the gate */
  async checkIdle(row: EntityRow): Promise<void> {
    const { kind, name } = row;
    if (kind === 'resource' && (await this.#resourceInUse?.(name))) throw busyError(name);
    if (!isShardKind(kind)) return;
    // To those that it drives the daemon itself is subscribed, and ends that when they are gone.
    if (row.kind === 'gateway' && row.fields.type !== 'pull') return;
    const shards = this.#teller.shardsOf(row);
    const answers = await Promise.all(shards.map((shard) => this.#shards.inUse(shard, kind, name)));
    if (answers.includes(true)) {
      throw new FairleadError('inUse', `Messages of the ${kind} ${name} wait or are in flight.`);
    }
  }

  #defaults<K extends EntityKind>(kind: K, name: string): Fields[K] {
    return completeEntity(kind, name, parseEntity(kind, name, {}), undefined);
  }

  async #put<K extends EntityKind>(
    kind: K,
    name: string,
    parsed: ParsedFields[K],
    actor: Actor,
  ): Promise<PutResult<K>> {
    const before = this.#book.get(kind, name)?.fields as Fields[K] | undefined;
    const fields = completeEntity(kind, name, parsed, before);
    if (kind === 'gateway') this.checkGateway(fields as Fields['gateway']);
    const touched = kind === 'account' ? { ...fields, updatedMs: Date.now() } : fields;
    return await this.#write(kind, name, touched, actor);
  }

  /** Writes a row, whose version is not known yet, and tells who has to know. */
  async #write<K extends EntityKind>(
    kind: K,
    name: string,
    fields: Fields[K],
    actor: Actor,
  ): Promise<PutResult<K>> {
    const unwritten = { kind, name, version: 0, fields } as object as EntityRow;
    const result: object = await this.#writeRow(unwritten, actor);
    return result as PutResult<K>;
  }

  async #writeRow(unwritten: EntityRow, actor: Actor): Promise<PutResult> {
    const { kind, name, fields: after } = unwritten;
    const old = this.#book.get(kind, name);
    if (old === undefined) checkRoom(kind, this.#book.size(kind) + 1);
    const release = this.#claim(unwritten);
    try {
      const record = changeRecord(actor, { kind, name, before: old?.fields ?? null, after });
      const version = await this.#table.put(KIND_NUMBERS[kind], name, after, record);
      const row: EntityRow = { ...unwritten, version };
      const shards = this.#teller.shardsOf(row);
      const left = old === undefined ? [] : this.#teller.shardsOf(old);
      await Promise.all([
        this.#teller.tell(
          left.filter((shard) => !shards.includes(shard)),
          { kind, name, fields: null },
        ),
        this.#teller.tell(shards, row),
      ]);
      if (row.kind === 'cap') await this.#loadCap?.(row);
      this.#book.put(row);
      this.#tell(row);
      if (isDoubtChange(old, row)) await this.#tellGatewaysOf(name);
      return { row, created: old === undefined };
    } finally {
      release();
    }
  }

  /** Keeps what a row refers to, and its tenant, as they are while it is stored. */
  #claim(row: EntityRow): () => void {
    const { name } = row;
    const references = referencesOf(row);
    for (const reference of references) this.#checkThere(reference);
    if (row.kind === 'gateway') {
      checkOneShard(row.fields.destinations, (each) => this.find('destination', each)?.fields);
    }
    if (row.kind === 'account' && !this.#book.claimTenant(row.fields.tenant, name)) {
      throw tenantTakenError(row.fields.tenant);
    }
    const letGoOfFloor = claimPolicy(row, this.#book);
    if (row.kind === 'tenant') this.#book.claimParent(name, row.fields.parent);
    this.#book.refer(references);
    return () => {
      letGoOfFloor();
      this.#book.unrefer(references);
      if (row.kind === 'tenant') this.#book.unclaimParent(name);
      if (row.kind === 'account') this.#book.unclaimTenant(row.fields.tenant, name);
    };
  }

  #checkThere(reference: Reference): void {
    const { kind, name } = reference;
    if (this.find(kind, name) === undefined || this.#leaving.has(keyOf(kind, name))) {
      throw unknownReference(reference);
    }
  }

  #checkUnreferred({ kind, name }: EntityRow): void {
    const count = this.#book.references(kind, name);
    if (count > 0) throw referredError(kind as Reference['kind'], name, count);
  }

  #tell(change: EntityChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  /** What shards see of a gateway depends on its destination. */
  async #tellGatewaysOf(destination: string): Promise<void> {
    for (const name of namesOfGateways(this.all('gateway'), destination)) {
      await this.#queue.run(keyOf('gateway', name), async () => {
        const row = this.find('gateway', name);
        if (row !== undefined) await this.#teller.tell(this.#teller.shardsOf(row), row);
      });
    }
  }
}

type StoredRow = { readonly name: string; readonly version: number; readonly value: object };

function readRow(kind: EntityKind, { name, version, value }: StoredRow): EntityRow {
  return { kind, name, version, fields: checkFields(kind, value) } as object as EntityRow;
}
