// A pool of shards with a sink that decodes and keeps what it gets, and a client's frames by hand.
import { ProcessClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import {
  type DestinationFields,
  encodeConfigure,
  INPUT_OP,
  InputBuffer,
  SCOPE_BIT,
} from '../../src/protocol/exchange.ts';
import { type DaemonFrame, type Delivery, decodeDaemonFrame } from '../../src/protocol/frames.ts';
import { decodeStatusEvents, type StatusEvent } from '../../src/protocol/status-events.ts';
import { ShardPool, type ShardPoolOptions } from '../../src/shard/shard-pool.ts';
import type { ShardSink } from '../../src/shard/shard-sink.ts';

export const DESTINATION_DEFAULTS: DestinationFields = {
  ratePerSec: null,
  burst: 1,
  inFlightMax: 100_000,
  leaseMs: 30_000,
  attemptsMax: 16,
  onDoubt: 'redeliver',
  fairBy: 'auto',
  paused: false,
};

export const PLATFORM = SCOPE_BIT.publish | SCOPE_BIT.consume | SCOPE_BIT.platform;

/** Keeps all frames; `wait` resolves when a predicate over them holds. */
export class RecordingSink implements ShardSink {
  readonly frames: { connection: number; frame: DaemonFrame }[] = [];
  readonly closed: [connection: number, code: number][] = [];
  readonly released = new Map<number, number>();
  readonly events: { shard: number; sequence: number; events: StatusEvent[] }[] = [];
  readonly usages: { shard: number; again: boolean; sequence: number; deltas: Uint8Array }[] = [];
  /** Frames of each call of sendFrames. */
  readonly calls: number[] = [];
  #waiting: { holds: () => boolean; resolve: () => void }[] = [];

  sendFrames(connection: number, buffer: Uint8Array, spans: Uint32Array, count: number): void {
    this.calls.push(count);
    for (let at = 0; at < count; at += 1) {
      const start = spans[2 * at] as number;
      const bytes = buffer.slice(start, start + (spans[2 * at + 1] as number));
      this.frames.push({ connection, frame: decodeDaemonFrame(bytes) });
    }
    this.#check();
  }

  closeConnection(connection: number, closeCode: number): void {
    this.closed.push([connection, closeCode]);
    this.#check();
  }

  windowReleased(connection: number, bytes: number): void {
    this.released.set(connection, (this.released.get(connection) ?? 0) + bytes);
    this.#check();
  }

  statusEvents(shard: number, sequence: number, bytes: Uint8Array): void {
    this.events.push({ shard, sequence, events: decodeStatusEvents(bytes) });
    this.#check();
  }

  usage(shard: number, told: { again: boolean; sequence: number; deltas: Uint8Array }): void {
    this.usages.push({ shard, ...told, deltas: told.deltas.slice() });
    this.#check();
  }

  deliveries(): Delivery[] {
    return this.frames.flatMap(({ frame }) => (frame.kind === 'deliver' ? frame.deliveries : []));
  }

  answers(connection: number): DaemonFrame[] {
    return this.frames
      .filter((each) => each.connection === connection && each.frame.kind !== 'deliver')
      .map((each) => each.frame);
  }

  async wait(holds: () => boolean, what: string): Promise<void> {
    if (holds()) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`waited 10 s for ${what}`)), 10_000);
    });
    const held = new Promise<void>((resolve) => this.#waiting.push({ holds, resolve }));
    await Promise.race([held, late]);
    clearTimeout(timer);
  }

  #check(): void {
    this.#waiting = this.#waiting.filter(({ holds, resolve }) => {
      if (!holds()) return true;
      resolve();
      return false;
    });
  }
}

export function configurationOf(
  destinations: readonly string[],
  fields: Partial<DestinationFields> = {},
): Uint8Array {
  const input = new InputBuffer();
  for (const name of destinations) {
    const change = { kind: 'destination', name, fields: { ...DESTINATION_DEFAULTS, ...fields } };
    input.append(INPUT_OP.configure, 0, encodeConfigure(change as never));
  }
  const { buffer, bytes } = input.finish(1);
  return new Uint8Array(buffer, 0, bytes).slice();
}

export interface Opened {
  pool: ShardPool;
  sink: RecordingSink;
  /** What onFatal got. */
  fatal: Error[];
}

/** Opens a pool with usual options; the clock stops with the process. */
export async function openPool(
  directory: string,
  options: Partial<ShardPoolOptions> & { destinations?: readonly string[] } = {},
): Promise<Opened> {
  const sink = new RecordingSink();
  const fatal: Error[] = [];
  const configuration = configurationOf(options.destinations ?? ['carrier']);
  const pool = await ShardPool.open({
    directory,
    shards: 1,
    durability: 'flushed',
    hashKey: new Uint8Array(16).fill(7),
    dataId: 'd'.repeat(32),
    configuration: () => configuration,
    clock: sharedClock,
    logger: silentLogger,
    sink,
    onFatal: (error) => fatal.push(error),
    ...options,
  });
  return { pool, sink, fatal };
}

const sharedClock = ProcessClock.start();
