/**
 * The load of a gate row: slots that acquire a list of permits, give it back as soon as it is granted, and
 * begin again. All slots at once saturate the server; one slot alone measures a round trip. The same loop
 * drives every side of a row, each through its own wire.
 */
import { readFileSync } from 'node:fs';
import { encodeHistogram, newHistogram } from '../../load/latency.ts';
import { type ProcessTimes, parseProcessTimes } from '../../process-times.ts';

/** What a row asks for; the same of every side. */
export interface PairShape {
  readonly resource: string;
  /** Names of the keys' tenants; entries go to them in turn. */
  readonly tenants: readonly string[];
  /** Permits of a request. */
  readonly list: number;
  /** Requests under way, spread over the connections. */
  readonly slots: number;
  readonly connections: number;
  /** Of each key: exactly what the slots can hold of it at a time. */
  readonly limit: number;
  readonly leaseMs: number;
}

/** One side's connection. It gathers what is asked within one read, and sends it at the read's end. */
export interface PairWire {
  acquire(slot: number): void;
  release(slot: number): void;
  /** Sends what was asked outside of a read. */
  flush(): void;
  close(): void;
}

export interface PairHandler {
  /** All permits of the slot are granted. */
  acquired(slot: number): void;
  /** All are given back. */
  released(slot: number): void;
  failed(error: Error): void;
}

export interface RunOptions {
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Whose processor time is read at the begin and the end of the measured window. */
  readonly serverPid: number;
}

/** What a run measured within its window. */
export interface PairRun {
  readonly seconds: number;
  /** Permits that were acquired and given back. */
  readonly pairs: number;
  readonly server: ProcessTimes;
  readonly generatorCpuUs: number;
  /** Histogram of µs from asking until all permits of a request are granted. */
  readonly latency: string;
}

interface Snapshot {
  readonly atMs: number;
  readonly pairs: number;
  readonly cpuUs: number;
  readonly server: ProcessTimes;
}

/** Every how many requests a latency is recorded when all slots are used. */
const SAMPLE_REQUESTS = 4;
const STALL_MS = 30_000;

/** The tenant of a slot's entry. */
export function tenantAt({ tenants, list }: PairShape, slot: number, entry: number): number {
  return (slot * list + entry) % tenants.length;
}

export class PairLoop implements PairHandler {
  readonly #shape: PairShape;
  readonly #wires: readonly PairWire[];
  readonly #askedMs: Float64Array;
  readonly #latency = newHistogram();
  #pairs = 0;
  #requests = 0;
  #sampleEvery = 1;
  /** Slots that hold or wait for something. */
  #busy = 0;
  #stopping = true;
  #failure: Error | undefined;
  #idle: (() => void) | undefined;

  static async open(
    shape: PairShape,
    connect: (handler: PairHandler) => Promise<PairWire>,
  ): Promise<PairLoop> {
    // What connects cannot have asked for anything, so nothing is answered before the wire is known.
    const box: { loop?: PairLoop } = {};
    const handler: PairHandler = {
      acquired: (slot) => box.loop?.acquired(slot),
      released: (slot) => box.loop?.released(slot),
      failed: (error) => box.loop?.failed(error),
    };
    const wires: PairWire[] = [];
    while (wires.length < shape.connections) wires.push(await connect(handler));
    box.loop = new PairLoop(shape, wires);
    return box.loop;
  }

  private constructor(shape: PairShape, wires: readonly PairWire[]) {
    this.#shape = shape;
    this.#wires = wires;
    this.#askedMs = new Float64Array(shape.slots);
  }

  async run({ warmUpMs, measureMs, serverPid }: RunOptions): Promise<PairRun> {
    const { slots } = this.#shape;
    this.#stopping = false;
    this.#sampleEvery = slots === 1 ? 1 : SAMPLE_REQUESTS;
    for (let slot = 0; slot < slots; slot += 1) {
      this.#busy += 1;
      this.#acquire(slot);
    }
    for (const wire of this.#wires) wire.flush();
    await this.#pause(warmUpMs);
    this.#latency.reset();
    const before = this.#snapshot(serverPid);
    await this.#pause(measureMs);
    const after = this.#snapshot(serverPid);
    const latency = encodeHistogram(this.#latency);
    await this.#stop();
    if (after.pairs === before.pairs)
      throw new Error('no permit was granted while it was measured');
    return {
      seconds: (after.atMs - before.atMs) / 1000,
      pairs: after.pairs - before.pairs,
      server: {
        processUs: after.server.processUs - before.server.processUs,
        mainThreadUs: after.server.mainThreadUs - before.server.mainThreadUs,
      },
      generatorCpuUs: after.cpuUs - before.cpuUs,
      latency,
    };
  }

  acquired(slot: number): void {
    this.#requests += 1;
    if (this.#requests % this.#sampleEvery === 0) {
      const us = (performance.now() - (this.#askedMs[slot] as number)) * 1000;
      this.#latency.recordValue(Math.max(1, Math.round(us)));
    }
    this.#wireOf(slot).release(slot);
  }

  released(slot: number): void {
    this.#pairs += this.#shape.list;
    if (!this.#stopping) {
      this.#acquire(slot);
      return;
    }
    this.#busy -= 1;
    if (this.#busy === 0) this.#idle?.();
  }

  failed(error: Error): void {
    this.#failure ??= error;
    this.#idle?.();
  }

  close(): void {
    for (const wire of this.#wires) wire.close();
  }

  #acquire(slot: number): void {
    this.#askedMs[slot] = performance.now();
    this.#wireOf(slot).acquire(slot);
  }

  #wireOf(slot: number): PairWire {
    return this.#wires[slot % this.#wires.length] as PairWire;
  }

  /** Resolves when every slot has given back what it held. */
  async #stop(): Promise<void> {
    this.#stopping = true;
    const timer = setTimeout(() => {
      this.failed(new Error(`${this.#busy} requests were not answered within ${STALL_MS} ms`));
    }, STALL_MS);
    if (this.#busy > 0 && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    clearTimeout(timer);
    this.#idle = undefined;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #pause(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (this.#failure !== undefined) throw this.#failure;
  }

  #snapshot(serverPid: number): Snapshot {
    const { user, system } = process.cpuUsage();
    const read = (path: string): string => readFileSync(`/proc/${serverPid}/${path}`, 'latin1');
    return {
      atMs: performance.now(),
      pairs: this.#pairs,
      cpuUs: user + system,
      server: {
        processUs: parseProcessTimes(read('stat')),
        mainThreadUs: parseProcessTimes(read(`task/${serverPid}/stat`)),
      },
    };
  }
}
