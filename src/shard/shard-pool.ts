/**
 * All shards of the daemon: one Piscina pool with one worker thread each, and a port to it.
 *
 * Piscina silently replaces a worker that ends by one without state, so any end of a worker outside
 * `close` is fatal. One pool a shard keeps the order of tasks; `atomics: 'disabled'` lets an idle
 * worker's event loop turn (its timers and finalizers run).
 */
import { randomInt } from 'node:crypto';
import { Piscina } from 'piscina';
import type { ProcessClock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { LIMITS } from '../limits.ts';
import { native } from '../native.ts';
import { shardPath } from '../store/data-directory.ts';
import type { Durability } from '../store/environment.ts';
import { ShardPort } from './shard-port.ts';
import type { ShardSink } from './shard-sink.ts';
import type { ExchangeResult, ExchangeTask, OpenResult, OpenTask, ShardMemory } from './tasks.ts';

export interface ShardPoolOptions {
  /** The data directory. */
  directory: string;
  shards: number;
  durability: Durability;
  /** 16 bytes; of the data directory, as is `dataId`. */
  hashKey: Uint8Array;
  dataId: string;
  /** What it remembers; the defaults unless given. */
  memory?: ShardMemory;
  /** The entities of a shard at start: an exchange input of `configure` entries. */
  configuration: (shard: number) => Uint8Array;
  clock: ProcessClock;
  logger: Logger;
  sink: ShardSink;
  /** Called once, when the process has to end at once (`native.exitNow(70)`). */
  onFatal: (error: Error) => void;
  /** Trust flushed transactions only, as after a power cut. */
  safeRestore?: boolean;
  /** An exchange that takes longer is fatal. */
  flushTimeoutMs?: number;
  /** The worker's file; tests have their own. */
  workerUrl?: URL;
}

interface Shard {
  pool: Piscina;
  port: ShardPort;
  /** Its worker is to end. */
  closing: boolean;
}

/** As `.ts` when run from source: tsc does not rewrite the path of a URL. */
const WORKER_URL = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
);

export class ShardPool {
  readonly #options: ShardPoolOptions;
  readonly #bootId = randomInt(1, 2 ** 32);
  #shards: Shard[] = [];
  #failed = false;

  private constructor(options: ShardPoolOptions) {
    this.#options = options;
  }

  /**
   * Starts a worker a shard, and recovers what it stored.
   *
   * @throws Error when a shard's environment cannot be used; the others are closed again
   */
  static async open(options: ShardPoolOptions): Promise<ShardPool> {
    const pool = new ShardPool(options);
    pool.#shards = Array.from({ length: options.shards }, (_, shard) => pool.#start(shard));
    const opened = await Promise.allSettled(pool.#shards.map((_, shard) => pool.#open(shard)));
    const refused = opened.find((result) => result.status === 'rejected');
    if (refused === undefined) return pool;
    await pool.close();
    throw refused.reason;
  }

  /** One port a shard, by its number. */
  get ports(): readonly ShardPort[] {
    return this.#shards.map(({ port }) => port);
  }

  get bootId(): number {
    return this.#bootId;
  }

  /** Tells every shard to refuse publishes, or to take them again. */
  diskFull(full: boolean): void {
    for (const { port } of this.#shards) port.diskFull(full);
  }

  /** Answers all that was taken, closes the environments, ends the workers. */
  async close(): Promise<void> {
    await Promise.all(
      this.#shards.map(async (shard) => {
        const { pool, port } = shard;
        await port.close();
        if (this.#failed) {
          // What it holds cannot be trusted, and the process is about to end.
          void pool.destroy();
          return;
        }
        shard.closing = true;
        await pool.run({ kind: 'close' });
        await pool.close();
      }),
    );
  }

  #start(shard: number): Shard {
    const pool = new Piscina({
      filename: (this.#options.workerUrl ?? WORKER_URL).href,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: LIMITS.exchangesInFlight,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
      atomics: 'disabled',
    });
    const port = new ShardPort({
      shard,
      bootId: this.#bootId,
      sink: this.#options.sink,
      exchangeTimeoutMs: this.#options.flushTimeoutMs ?? LIMITS.flushTimeoutMs,
      onFatal: (error) => this.#fatal(shard, error),
      run: (task: ExchangeTask) =>
        pool.run(task, { transferList: [task.input, task.output] }) as Promise<ExchangeResult>,
    });
    const started = { pool, port, closing: false };
    pool.on('workerDestroy', () => {
      if (!started.closing) this.#fatal(shard, new Error('its worker thread ended'));
    });
    pool.on('error', (error: Error) => this.#fatal(shard, error));
    return started;
  }

  async #open(shard: number): Promise<void> {
    const { directory, shards, durability, hashKey, dataId, clock, logger } = this.#options;
    const task: OpenTask = {
      kind: 'open',
      shard,
      shards,
      path: shardPath(directory, shard),
      durability,
      safeRestore: this.#options.safeRestore ?? false,
      bootId: this.#bootId,
      hashKey,
      dataId,
      memory: memoryOf(this.#options.memory),
      clock: clock.shared,
      configuration: this.#options.configuration(shard),
    };
    const { pool } = this.#shards[shard] as Shard;
    const { instanceId, recovered } = (await pool.run(task)) as OpenResult;
    if (instanceId !== native.instanceId()) {
      throw new Error(
        `shard ${shard} has another copy of the native library (${instanceId}) than the main thread ` +
          `(${native.instanceId()}): they would share no tables`,
      );
    }
    logger.info({ shard, ...recovered }, 'shard is open');
  }

  #fatal(shard: number, error: Error): void {
    if (this.#failed) return;
    this.#failed = true;
    for (const { port } of this.#shards) port.fail(error);
    this.#options.logger.fatal({ shard, err: error }, 'shard failed');
    this.#options.onFatal(error);
  }
}

/** Only its own fields: it is copied to the worker. */
function memoryOf(memory: ShardMemory | undefined): ShardMemory {
  return {
    retentionMs: memory?.retentionMs ?? LIMITS.retentionMs,
    retentionBytes: memory?.retentionBytes ?? LIMITS.retentionBytes,
    idempotencyKeysMax: memory?.idempotencyKeysMax ?? LIMITS.idempotencyKeys,
    deadLettersMax: memory?.deadLettersMax ?? LIMITS.deadLetters,
  };
}
