// What passes between a shard's port on the main thread and its worker: one Piscina task each.
import type { Durability } from '../store/environment.ts';

/** How much a shard remembers beside the messages that wait. */
export interface ShardMemory {
  /** How long ended messages are known, ms, and in how many bytes of records. */
  readonly retentionMs: number;
  readonly retentionBytes: number;
  readonly idempotencyKeysMax: number;
  readonly deadLettersMax: number;
}

export interface OpenTask {
  kind: 'open';
  shard: number;
  shards: number;
  /** Folder of the shard's environment. */
  path: string;
  durability: Durability;
  safeRestore: boolean;
  /** Differs at every start; in every effects header. */
  bootId: number;
  hashKey: Uint8Array;
  dataId: string;
  memory: ShardMemory;
  /** The process's clock. */
  clock: SharedArrayBuffer;
  /** The initial entities: an exchange input of `configure` entries. */
  configuration: Uint8Array;
}

export interface OpenResult {
  /** Which copy of the native library the worker has. */
  instanceId: number;
  recovered: RecoveryFigures;
}

export interface RecoveryFigures {
  records: number;
  /** Messages in the stored batches, settled ones of a batch that still lives included. */
  messages: number;
  bytes: number;
  ms: number;
}

export interface ExchangeTask {
  kind: 'exchange';
  exchange: number;
  input: ArrayBuffer;
  inputBytes: number;
  /** Room for the effects; a larger one comes back when it is too small. */
  output: ArrayBuffer;
}

/** Both buffers come back to be used again. */
export interface ExchangeResult {
  exchange: number;
  bootId: number;
  input: ArrayBuffer;
  output: ArrayBuffer;
  outputBytes: number;
  /** How long the exchange waited for its transaction to be durable. */
  flushMs: number;
}

export interface CloseTask {
  kind: 'close';
}

export type ShardTask = OpenTask | ExchangeTask | CloseTask;
export type ShardTaskResult = OpenResult | ExchangeResult | undefined;
