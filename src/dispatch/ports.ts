/**
 * What dispatch needs of the others: a durable table, the shards, and the way to be called over
 * HTTP. They are joined in daemon.ts.
 */
import type { EntityKind, Fields } from './entity-schemas.ts';

/** One entity with all its fields. */
export type EntityRow = {
  [K in EntityKind]: {
    readonly kind: K;
    readonly name: string;
    /** Number of the change that wrote it, over all entities; 0 for what was never PUT. */
    readonly version: number;
    readonly fields: Fields[K];
  };
}[EntityKind];

/** A durable table of entities; kinds are numbers, see `KIND_NUMBERS`. */
export interface EntityTable {
  list(kind: number): Iterable<{ readonly name: string; readonly version: number; value: object }>;
  /** Resolves with the version when it is flushed. */
  put(kind: number, name: string, value: object): Promise<number>;
  /** Resolves when it is flushed. */
  remove(kind: number, name: string): Promise<unknown>;
}

/** A new state of one entity for a shard; `fields` null: deleted, back to the defaults. */
export type ShardChange = {
  [K in EntityKind]: {
    readonly kind: K;
    readonly name: string;
    readonly fields: Fields[K] | null;
  };
}[EntityKind];

export interface ShardPorts {
  /** Fixed for a data directory. */
  readonly count: number;
  /** Resolves when the shard has taken the change. @throws FairleadError inUse */
  configure(shard: number, change: ShardChange): Promise<void>;
  /** Whether work of this entity waits or is in flight in the shard. */
  inUse(shard: number, kind: EntityKind, name: string): Promise<boolean>;
  /** The shard's own JSON about a destination. */
  explain(shard: number, page: ExplainPage): Promise<unknown>;
}

export interface ExplainPage {
  readonly destination: string;
  /** Queues left out before the first one shown. */
  readonly offset: number;
  readonly limit: number;
}

export interface RestRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The JSON value; undefined without a body. */
  readonly body: unknown;
}

export interface RestReply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One route of the REST API, in the form that the HTTP server takes. */
export interface RestRoute {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly scope: 'platform';
  /** @throws FairleadError for an answer with its code and status. */
  readonly handler: (request: RestRequest) => Promise<RestReply> | RestReply;
}
