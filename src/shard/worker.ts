/**
 * The thread of one shard: owns its native state machine and its environment.
 *
 * States: new → (open) → open → (close) → closed. An error of `open` rejects the task, because the
 * operator has to act. After that every error ends the process with code 70: what is in memory may
 * be ahead of what is stored, and only a recovery brings them together again.
 */
import { writeSync } from 'node:fs';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { ProcessClock } from '../base/clock.ts';
import { Journal } from '../exchange/journal.ts';
import { native } from '../native.ts';
import { Environment } from '../store/environment.ts';
import { claimEnvironment } from '../store/identity.ts';
import { recover } from './recovery.ts';
import type { ExchangeResult, ExchangeTask, OpenResult, OpenTask, ShardTask } from './tasks.ts';

/** Exit code of every crash-only ending (EX_SOFTWARE). */
const CRASH_EXIT_CODE = 70;
const RECORD_KEY_BYTES = 9;
/** An output that was too small is replaced by one of whole 64 KiB. */
const OUTPUT_STEP_BYTES = 64 * 1024;

type NativeShard = InstanceType<typeof native.Shard>;

class ShardWorker {
  readonly #shard: NativeShard;
  readonly #environment: Environment;
  readonly #journal: Journal;
  readonly #clock: ProcessClock;
  readonly #bootId: number;
  #exchange = 0;

  private constructor(task: OpenTask, shard: NativeShard, environment: Environment) {
    this.#shard = shard;
    this.#environment = environment;
    this.#journal = new Journal(environment, { queued: task.durability === 'committed' });
    this.#clock = ProcessClock.attach(task.clock);
    this.#bootId = task.bootId;
  }

  static async open(task: OpenTask): Promise<[ShardWorker, OpenResult]> {
    const { shard: number, shards, dataId, bootId, hashKey, path, durability, safeRestore } = task;
    const clock = ProcessClock.attach(task.clock);
    const environment = Environment.open({ path, durability, safeRestore });
    try {
      claimEnvironment(environment, { dataId, shard: number, shards });
      const nowUs = clock.nowUs();
      const shard = new native.Shard({ shard: number, bootId, hashKey, nowUs, ...task.memory });
      shard.configure(nowUs, task.configuration);
      const recovered = recover(environment, (chunk) => shard.recover(nowUs, chunk));
      shard.recoverFinish(clock.nowUs());
      const worker = new ShardWorker(task, shard, environment);
      return [worker, { instanceId: native.instanceId(), recovered }];
    } catch (error) {
      await environment.close();
      throw error;
    }
  }

  async exchange(task: ExchangeTask): Promise<object> {
    const { exchange, input, inputBytes } = task;
    if (exchange !== this.#exchange + 1) {
      throw new Error(`exchange ${exchange} came after exchange ${this.#exchange}`);
    }
    this.#exchange = exchange;
    const bytes = new Uint8Array(input, 0, inputBytes);
    const step = this.#shard.step(this.#clock.nowUs(), this.#journal.committed, bytes);
    const durable = this.#journal.stage(exchange, step.journalBytes, this.#takeJournal);
    const start = performance.now();
    this.#provide(step.wants);
    const [output, outputBytes] = this.#emit(task.output);
    await durable;
    const flushMs = performance.now() - start;
    return movable({ exchange, bootId: this.#bootId, input, output, outputBytes, flushMs });
  }

  async close(): Promise<void> {
    await this.#environment.close();
  }

  readonly #takeJournal = (room: Uint8Array): void => {
    this.#shard.takeJournal(room);
  };

  #provide(wants: Uint8Array): void {
    for (let index = 0; index * RECORD_KEY_BYTES < wants.length; index += 1) {
      const at = index * RECORD_KEY_BYTES;
      const key = wants.subarray(at, at + RECORD_KEY_BYTES);
      this.#shard.provide(index, this.#read(key));
    }
  }

  #read(key: Uint8Array): Uint8Array {
    const record = this.#environment.get(key);
    if (record !== undefined) return record;
    this.#environment.refresh();
    const again = this.#environment.get(key);
    if (again === undefined) {
      throw new Error(`batch record ${Buffer.from(key).toString('hex')} is not in the store`);
    }
    return again;
  }

  #emit(output: ArrayBuffer): [ArrayBuffer, number] {
    const bytes = this.#shard.emit(new Uint8Array(output));
    if (bytes >= 0) return [output, bytes];
    const larger = new ArrayBuffer(Math.ceil(-bytes / OUTPUT_STEP_BYTES) * OUTPUT_STEP_BYTES);
    const written = this.#shard.emit(new Uint8Array(larger));
    if (written < 0) throw new Error(`effects of ${-bytes} bytes then needed ${-written}`);
    return [larger, written];
  }
}

/** Has both buffers transferred, not copied. */
function movable(result: ExchangeResult): object {
  return move({
    [transferableSymbol]: [result.input, result.output],
    [valueSymbol]: result,
  } as never) as object;
}

function crash(error: unknown): never {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const commit = (error as { commitError?: unknown } | undefined)?.commitError;
  const fields = { level: 'fatal', shard: openedAs, err: text, commit: String(commit ?? '') };
  try {
    writeSync(2, `${JSON.stringify({ ...fields, msg: 'shard failed, the process ends' })}\n`);
  } catch {
    // No one reads stderr; the exit code still tells.
  }
  return native.exitNow(CRASH_EXIT_CODE);
}

let worker: ShardWorker | undefined;
let openedAs = -1;

async function work(task: ShardTask): Promise<unknown> {
  if (task.kind === 'open') {
    if (worker !== undefined) throw new Error('the shard is open');
    openedAs = task.shard;
    const [opened, result] = await ShardWorker.open(task);
    worker = opened;
    process.on('uncaughtException', crash);
    return result;
  }
  // An open that was refused has closed its environment itself.
  if (task.kind === 'close') return await worker?.close();
  try {
    if (worker === undefined) throw new Error('an exchange came before the shard was open');
    return await worker.exchange(task);
  } catch (error) {
    return crash(error);
  }
}

export default work;
