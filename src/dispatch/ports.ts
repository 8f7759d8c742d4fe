/**
 * What dispatch needs of the others: a durable table and the shards. They are joined in daemon.ts.
 */
import type { EntityKind, ShardKind } from './entity-kinds.ts';
import type { Fields } from './entity-schemas.ts';

/** One entity with all its fields, of one kind or of any of several. */
export type EntityRowOf<K extends EntityKind> = {
  [P in K]: {
    readonly kind: P;
    readonly name: string;
    /** Number of the change that wrote it, over all entities; 0 for what was never PUT. */
    readonly version: number;
    readonly fields: Fields[P];
  };
}[K];

export type EntityRow = EntityRowOf<EntityKind>;

/** Who changed an entity, when, and how; its number is the change's own. */
export interface ChangeRecord {
  readonly atMs: number;
  /** Subject of the token, `platform` for a token without one, `daemon` for the daemon itself. */
  readonly actor: string;
  /** Where the request came from; null: from no request. */
  readonly address: string | null;
  readonly kind: EntityKind;
  readonly name: string;
  /** All fields that may be shown; null: there was none of that name. */
  readonly before: object | null;
  /** All fields that may be shown; null: deleted. */
  readonly after: object | null;
}

/** A durable table of entities and of the changes to them; kinds are numbers, see `KIND_NUMBERS`. */
export interface EntityTable {
  list(kind: number): Iterable<{ readonly name: string; readonly version: number; value: object }>;
  /** Resolves with the version when entity and record, in one transaction, are flushed. */
  put(kind: number, name: string, value: object, record: ChangeRecord): Promise<number>;
  /** Resolves when deletion and record, in one transaction, are flushed. */
  remove(kind: number, name: string, record: ChangeRecord): Promise<unknown>;
  /** Records of changes, newest first, with numbers below `below`. */
  changes(below: number): Iterable<{ readonly sequence: number; readonly value: object }>;
}

/** What shards are told of a kind. */
type ShardFields<K extends ShardKind> = K extends 'cap'
  ? Fields['cap'] & { readonly slot: number }
  : Fields[K];

/** A new state of one entity for a shard; `fields` null: deleted, back to the defaults. */
export type ShardChange = {
  [K in ShardKind]: {
    readonly kind: K;
    readonly name: string;
    readonly fields: ShardFields<K> | null;
  };
}[ShardKind];

/** An entity as a change left it; `fields` null: deleted. */
export type EntityChange =
  | EntityRow
  | { readonly kind: EntityKind; readonly name: string; readonly fields: null };

export interface ShardPorts {
  /** Fixed for a data directory. */
  readonly count: number;
  /** Resolves when the shard has taken the change. @throws FairleadError inUse */
  configure(shard: number, change: ShardChange): Promise<void>;
  /** Whether work of this entity waits or is in flight in the shard. */
  inUse(shard: number, kind: ShardKind, name: string): Promise<boolean>;
  /** The shard's own JSON about a destination. */
  explain(shard: number, page: ExplainPage): Promise<unknown>;
  /** Any operation that is answered with JSON text (INPUT_OP); resolves with what the text says. */
  ask(shard: number, op: number, body: Uint8Array): Promise<unknown>;
  /**
   * One client frame with an id above 0, for a tenant without a connection, or the platform when it
   * is undefined; resolves with the daemon frame that answers it.
   */
  call(shard: number, tenant: string | undefined, frame: Uint8Array): Promise<Uint8Array>;
}

/** A message that its shard has forgotten, of which a receipt came late. */
export interface LateMessage {
  readonly destination: string;
  readonly tenant: string;
  readonly tag: string | null;
  readonly status: string;
  /** Of the receipt. */
  readonly code: number | null;
  readonly attempts: number;
  /** Ms since the epoch: when it was last sent, and when the receipt came. */
  readonly sentMs: number | null;
  readonly endedMs: number;
}

/** What is still known of messages that their shards have forgotten. */
export interface LateMessages {
  lateMessage(id: string): LateMessage | undefined;
  /** Resolves when nothing of it is kept any more. @throws FairleadError goingAway */
  forget(id: string): Promise<boolean>;
}

export interface ExplainPage {
  readonly destination: string;
  /** Queues left out before the first one shown. */
  readonly offset: number;
  readonly limit: number;
}
