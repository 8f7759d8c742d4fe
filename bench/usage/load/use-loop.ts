/**
 * The load of rows `usage/use…`: slots that send a frame of events, and the next as soon as it is answered.
 * Every answer has to say that each event was counted, or, where keys are sent again, that none was.
 */
import { decodeDaemonFrame } from '../../../src/protocol/daemon-frames.ts';
import { readUseOk } from '../../../src/protocol/usage-frames.ts';
import { encodeHistogram, newHistogram } from '../../load/latency.ts';
import { WebSocketClient, type WebSocketTarget } from '../../load/web-socket-client.ts';
import { type ProcessTimes, processTimes } from '../../process-times.ts';
import { UseFrames, type UseShape } from './use-frames.ts';

export interface UseRunOptions {
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Whose processor time is read at the begin and the end of the measured window. */
  readonly serverPid: number;
}

/** What a run measured within its window. */
export interface UseRun {
  readonly seconds: number;
  readonly events: number;
  readonly server: ProcessTimes;
  readonly generatorCpuUs: number;
  /** Histogram of µs from sending a frame to its answer. */
  readonly latency: string;
}

const STALL_MS = 30_000;

export class UseLoop {
  readonly #shape: UseShape;
  readonly #frames: UseFrames;
  readonly #sockets: WebSocketClient[] = [];
  readonly #sentMs: Float64Array;
  #latency = newHistogram();
  /** Number of the next new event, and how many frames were answered in all. */
  #next = 0;
  #answered = 0;
  /** The first event of the next frame; undefined: no more is sent. */
  #nextFirst: (() => number | undefined) | undefined;
  #isRepeating = false;
  #underWay = 0;
  #failure: Error | undefined;
  #changed: (() => void) | undefined;

  static async open(target: WebSocketTarget, shape: UseShape): Promise<UseLoop> {
    const loop = new UseLoop(shape);
    while (loop.#sockets.length < shape.connections) {
      loop.#sockets.push(
        await WebSocketClient.open(target, {
          frame: (bytes, _view, start, end) => loop.#take(bytes.subarray(start, end)),
          readEnd: () => undefined,
          failed: (error) => loop.#fail(error),
        }),
      );
    }
    return loop;
  }

  private constructor(shape: UseShape) {
    this.#shape = shape;
    this.#frames = new UseFrames(shape);
    this.#sentMs = new Float64Array(shape.slots);
  }

  /** Frames whose events were counted so far. */
  get counted(): number {
    return this.#next / this.#shape.eventsPerFrame;
  }

  /** Sends so many frames and waits for their answers. */
  async fill(frames: number): Promise<void> {
    const end = this.#next + frames * this.#shape.eventsPerFrame;
    await this.#start(() => (this.#next < end ? this.#newFirst() : undefined));
  }

  /** Sends frames again that were counted before: the given ones, by their number. */
  async repeat(numbers: readonly number[]): Promise<void> {
    const left = [...numbers];
    this.#isRepeating = true;
    await this.#start(() => {
      const number = left.pop();
      return number === undefined ? undefined : number * this.#shape.eventsPerFrame;
    });
    this.#isRepeating = false;
  }

  async run({ warmUpMs, measureMs, serverPid }: UseRunOptions): Promise<UseRun> {
    let isOver = false;
    const done = this.#start(() => (isOver ? undefined : this.#newFirst()));
    done.catch(() => {});
    await this.#pause(warmUpMs);
    this.#latency = newHistogram();
    const before = this.#snapshot(serverPid);
    await this.#pause(measureMs);
    const after = this.#snapshot(serverPid);
    const latency = encodeHistogram(this.#latency);
    isOver = true;
    await done;
    return {
      seconds: (after.atMs - before.atMs) / 1000,
      events: (after.answered - before.answered) * this.#shape.eventsPerFrame,
      server: {
        processUs: after.server.processUs - before.server.processUs,
        mainThreadUs: after.server.mainThreadUs - before.server.mainThreadUs,
      },
      generatorCpuUs: after.cpuUs - before.cpuUs,
      latency,
    };
  }

  #newFirst(): number {
    const first = this.#next;
    this.#next += this.#shape.eventsPerFrame;
    return first;
  }

  /** Resolves when there is nothing more to send and all is answered. */
  async #start(nextFirst: () => number | undefined): Promise<void> {
    this.#nextFirst = nextFirst;
    for (let slot = 0; slot < this.#shape.slots; slot += 1) this.#send(slot);
    let seen = -1;
    while (this.#underWay > 0 && this.#failure === undefined) {
      if (seen === this.#answered) throw new Error(`no answer came within ${STALL_MS} ms`);
      seen = this.#answered;
      await this.#untilIdle();
    }
    this.#nextFirst = undefined;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #untilIdle(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#changed = resolve;
      timer = setTimeout(resolve, STALL_MS);
    });
    clearTimeout(timer);
    this.#changed = undefined;
  }

  #send(slot: number): void {
    const first = this.#nextFirst?.();
    if (first === undefined) return;
    this.#underWay += 1;
    this.#sentMs[slot] = performance.now();
    this.#sockets[slot % this.#sockets.length]?.write(this.#frames.frame(slot, first));
  }

  #take(bytes: Buffer): void {
    // Copied: what is read refers to its frame.
    const frame = decodeDaemonFrame(Buffer.from(bytes));
    if (frame.kind === 'hello') return;
    if (frame.kind !== 'ok') throw new Error(`the daemon answered ${JSON.stringify(frame)}`);
    const { counted, repeated, refused } = readUseOk(frame);
    const { eventsPerFrame } = this.#shape;
    const isRight = this.#isRepeating ? repeated === eventsPerFrame : counted === eventsPerFrame;
    if (!isRight) {
      const [first] = refused;
      throw new Error(`${counted} counted, ${repeated} repeated, refused ${JSON.stringify(first)}`);
    }
    const slot = frame.id - 1;
    const us = (performance.now() - (this.#sentMs[slot] as number)) * 1000;
    this.#latency.recordValue(Math.max(1, Math.round(us)));
    this.#answered += 1;
    this.#underWay -= 1;
    this.#send(slot);
    if (this.#underWay === 0) this.#changed?.();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#changed?.();
  }

  async #pause(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (this.#failure !== undefined) throw this.#failure;
  }

  #snapshot(serverPid: number) {
    const { user, system } = process.cpuUsage();
    const server = processTimes(serverPid);
    return { atMs: performance.now(), answered: this.#answered, cpuUs: user + system, server };
  }
}
