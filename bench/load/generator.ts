/**
 * The load of one row: a connection that publishes and one that consumes, both in this process and
 * so with one clock. Closed loop: a frame is sent as soon as fewer than `outstanding` messages are
 * published and not yet delivered. Open loop: frames are sent by the clock, and a latency counts
 * from the time a frame should have been sent.
 *
 * A row: opened → checked (`check`) → any number of `run` → closed. Every run ends when all is
 * delivered and settled.
 */
import { readFileSync } from 'node:fs';
import { LIMITS } from '../../src/limits.ts';
import { encodeSubscribe } from '../../src/protocol/client-frames.ts';
import { decodeDaemonFrame } from '../../src/protocol/daemon-frames.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { MESSAGE_ID_BYTES } from '../../src/protocol/message-id.ts';
import { type ProcessTimes, parseProcessTimes } from '../process-times.ts';
import { type ArrivalResult, Arrivals } from './arrivals.ts';
import { checkDelivery } from './check-delivery.ts';
import { DeliverScanner } from './deliver-scanner.ts';
import { encodeHistogram, newHistogram } from './latency.ts';
import type { MessageShape } from './message-shape.ts';
import type { SendTimes } from './option-field.ts';
import { PublishRing } from './publish-ring.ts';
import { settleAndCreditFrames } from './settle-frame.ts';
import { type FrameHandler, WebSocketClient, type WebSocketTarget } from './web-socket-client.ts';
import { binaryFrame } from './web-socket-frame.ts';

export interface GeneratorOptions extends WebSocketTarget {
  readonly shape: MessageShape;
  /** Messages published and not yet delivered, at most. */
  readonly outstanding: number;
  /** Whether to consume; without it messages pile up and `outstanding` counts those not acknowledged. */
  readonly consume: boolean;
  /** Frames, from the first on, whose first message id is kept; default 0. */
  readonly keptIds?: number;
}

export interface RunOptions {
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Open loop: messages a second. Absent: closed loop. */
  readonly ratePerSec?: number | undefined;
  /** Whose processor time is read at the begin and the end of the measured window. */
  readonly serverPid: number;
}

/** What a run measured within its window. */
export interface RunResult {
  readonly seconds: number;
  readonly messages: number;
  readonly server: ProcessTimes;
  readonly generatorCpuUs: number;
  /** Histograms of µs, encoded so that those of several processes can be added. */
  readonly latency: string;
  readonly ackLatency: string;
}

const SUBSCRIPTION = 1;
/** Sent times are kept for this many frames: more than can be under way. */
const SENT_FRAMES = 1 << 20;
/** Every how many deliveries or oks a latency is recorded. */
const SAMPLE_FRAMES = 4;
const SAMPLE_DELIVERIES = 16;
/** Share of the publish window that is used, so that it is never overrun. */
const WINDOW_SHARE = 0.75;
/** Open loop: frames that may be unanswered, if the window allows them. */
const OPEN_LOOP_SLOTS = 20_000;
const STALL_MS = 30_000;
const BIN_HEADER_BYTES = 2;

export class Generator {
  readonly #options: GeneratorOptions;
  readonly #ring: PublishRing;
  readonly #scanner: DeliverScanner;
  /** When frame n was sent or should have been, at n % SENT_FRAMES. */
  readonly #sentMs = new Float64Array(SENT_FRAMES);
  readonly #latency = newHistogram();
  readonly #ackLatency = newHistogram();
  readonly #runs: [number, number][] = [];
  #publisher!: WebSocketClient;
  #consumer: WebSocketClient | undefined;
  #nowMs = 0;
  #framesSent = 0;
  #framesAcked = 0;
  /** Frames are sent up to this number. */
  #framesMax = 0;
  /** Closed loop's bound of frames not yet delivered, or that of the ring. */
  #framesUnderWay = 0;
  /** Frames a ms of an open loop; 0: closed loop. */
  #framesPerMs = 0;
  /** Closed loop: whether a frame is done when it is acknowledged, or when it is delivered. */
  #countsAcks: boolean;
  #openLoopStartMs = 0;
  #openLoopFirstFrame = 0;
  #seen: Uint8Array | undefined;
  #arrivals: Arrivals | undefined;
  readonly #ids: Buffer;
  #failure: Error | undefined;
  #progressed: (() => void) | undefined;

  static async open(options: GeneratorOptions): Promise<Generator> {
    const generator = new Generator(options);
    await generator.#connect();
    return generator;
  }

  private constructor(options: GeneratorOptions) {
    this.#options = options;
    this.#countsAcks = !options.consume;
    const { shape, outstanding } = options;
    const wanted = Math.max(Math.ceil(outstanding / shape.messagesPerFrame), OPEN_LOOP_SLOTS);
    const { contentBytes } = new PublishRing(shape, 1);
    const inWindow = Math.floor((LIMITS.publishWindowBytes * WINDOW_SHARE) / contentBytes);
    this.#ring = new PublishRing(shape, Math.max(1, Math.min(wanted, inWindow)));
    this.#ids = Buffer.alloc((options.keptIds ?? 0) * MESSAGE_ID_BYTES);
    const isSingle = shape.messagesPerFrame === 1;
    const sampled = isSingle ? SAMPLE_FRAMES : SAMPLE_DELIVERIES;
    // Each message that was scheduled is looked at.
    const sampleEvery = shape.option === 'at' ? 1 : sampled;
    this.#scanner = new DeliverScanner(shape, sampleEvery, (sequence) => {
      if (this.#arrivals !== undefined) {
        this.#arrivals.arrived(sequence, this.#nowMs);
        return;
      }
      const frame = Math.floor(sequence / shape.messagesPerFrame);
      const sentMs = this.#sentMs[frame % SENT_FRAMES] as number;
      this.#latency.recordValue(Math.max(1, Math.round((this.#nowMs - sentMs) * 1000)));
    });
  }

  get published(): number {
    return this.#framesSent * this.#options.shape.messagesPerFrame;
  }

  get delivered(): number {
    return this.#scanner.delivered;
  }

  /** Publishes this many frames and compares every byte of what is delivered. */
  async check(frames: number): Promise<void> {
    this.#seen = new Uint8Array(frames * this.#options.shape.messagesPerFrame);
    await this.publish(frames);
    const missing = this.#seen.indexOf(0);
    this.#seen = undefined;
    if (missing >= 0) throw new Error(`message ${missing} was not delivered`);
  }

  /** Publishes this many frames in a closed loop and waits until all are delivered. */
  async publish(frames: number): Promise<void> {
    this.#closedLoop();
    this.#framesMax = this.#framesSent + frames;
    this.#send();
    await this.#drained();
  }

  /**
   * Publishes this many frames for the given times. All messages of earlier frames have to be
   * delivered. Resolves when the daemon has taken them.
   */
  async schedule(frames: number, times: SendTimes): Promise<void> {
    const { shape, consume } = this.#options;
    const messages = frames * shape.messagesPerFrame;
    const scheduled = { ...times, firstSequence: this.published };
    this.#ring.sendAt(scheduled);
    this.#arrivals = new Arrivals({ shape, slots: this.#ring.slots, times: scheduled, messages });
    this.#closedLoop();
    this.#countsAcks = true;
    this.#framesMax = this.#framesSent + frames;
    this.#send();
    await this.#until(() => this.#framesAcked === this.#framesMax);
    this.#countsAcks = !consume;
  }

  /** Waits until each message of the last `schedule` was delivered. */
  async arrive(): Promise<ArrivalResult> {
    const arrivals = this.#arrivals;
    if (arrivals === undefined) throw new Error('nothing was scheduled');
    await this.#until(() => this.delivered >= this.published, arrivals.untilFirstMs());
    this.#checkSum(this.published, sumBelow(this.published));
    this.#arrivals = undefined;
    return arrivals.result();
  }

  /** First message ids in base64, one frame after another. */
  firstIds(): string {
    const frames = Math.min(this.#framesAcked, this.#ids.length / MESSAGE_ID_BYTES);
    return this.#ids.toString('base64', 0, frames * MESSAGE_ID_BYTES);
  }

  /** Waits for messages that were published before; `sequenceSum` is that of their numbers. */
  async consume(messages: number, sequenceSum: number): Promise<void> {
    await this.#until(() => this.delivered >= messages);
    this.#checkSum(messages, sequenceSum);
  }

  async run({ warmUpMs, measureMs, ratePerSec, serverPid }: RunOptions): Promise<RunResult> {
    this.#closedLoop();
    this.#framesMax = Number.MAX_SAFE_INTEGER;
    if (ratePerSec !== undefined) this.#openLoop(ratePerSec);
    this.#send();
    const timer = ratePerSec === undefined ? undefined : setInterval(() => this.#send(), 1);
    await this.#pause(warmUpMs);
    this.#latency.reset();
    this.#ackLatency.reset();
    const before = this.#snapshot(serverPid);
    await this.#pause(measureMs);
    const after = this.#snapshot(serverPid);
    const latency = encodeHistogram(this.#latency);
    const ackLatency = encodeHistogram(this.#ackLatency);
    this.#framesMax = this.#framesSent;
    clearInterval(timer);
    await this.#drained();
    return {
      seconds: (after.atMs - before.atMs) / 1000,
      messages: after.delivered - before.delivered,
      server: {
        processUs: after.server.processUs - before.server.processUs,
        mainThreadUs: after.server.mainThreadUs - before.server.mainThreadUs,
      },
      generatorCpuUs: after.cpuUs - before.cpuUs,
      latency,
      ackLatency,
    };
  }

  close(): void {
    this.#publisher.close();
    this.#consumer?.close();
  }

  async #connect(): Promise<void> {
    const failed = (error: Error): void => {
      this.#failure ??= error;
      this.#progressed?.();
    };
    const readEnd = (): void => this.#readEnd();
    const publisher: FrameHandler = {
      frame: (bytes, _view, start, end) => this.#answer(bytes, start, end),
      readEnd,
      failed,
    };
    this.#publisher = await WebSocketClient.open(this.#options, publisher);
    if (!this.#options.consume) return;
    this.#consumer = await WebSocketClient.open(this.#options, {
      frame: (bytes, view, start, end) => this.#delivery(bytes, view, start, end),
      readEnd,
      failed,
    });
    const { destination } = this.#options.shape;
    const credit = LIMITS.creditMax;
    const subscribe = { id: 0, subscription: SUBSCRIPTION, destination, credit };
    this.#consumer.write(binaryFrame(encodeSubscribe(subscribe)));
  }

  /** The publisher's frames: a publish ok without refusals has one shape, `[64, id, bin, n, nil, nil]`. */
  #answer(bytes: Buffer, start: number, end: number): void {
    const isOk = bytes[start] === 0x96 && bytes[start + 1] === KIND.ok;
    if (!isOk || bytes[end - 2] !== 0xc0 || bytes[end - 1] !== 0xc0) {
      this.#otherFrame(bytes, start, end);
      return;
    }
    const frame = this.#framesAcked;
    this.#framesAcked += 1;
    if (frame * MESSAGE_ID_BYTES < this.#ids.length) this.#keepId(bytes, start, frame);
    if (frame % SAMPLE_FRAMES !== 0) return;
    if (this.#nowMs === 0) this.#nowMs = performance.now();
    const sentMs = this.#sentMs[frame % SENT_FRAMES] as number;
    this.#ackLatency.recordValue(Math.max(1, Math.round((this.#nowMs - sentMs) * 1000)));
    this.#checkOrder(bytes, start, frame);
  }

  /** Oks come in the order of their frames; the slots are used again in that order. */
  #checkOrder(bytes: Buffer, start: number, frame: number): void {
    const id = PublishRing.idOf(frame % this.#ring.slots);
    const at = start + 2;
    const width = uintBytes(bytes[at] as number);
    const found = width === 1 ? bytes[at] : bytes.readUIntBE(at + 1, width - 1);
    if (found !== id) throw new Error(`the ok of frame ${frame} has the id ${found}, not ${id}`);
  }

  /** The first message id stands behind the request's id. */
  #keepId(bytes: Buffer, start: number, frame: number): void {
    const at = start + 2 + uintBytes(bytes[start + 2] as number) + BIN_HEADER_BYTES;
    bytes.copy(this.#ids, frame * MESSAGE_ID_BYTES, at, at + MESSAGE_ID_BYTES);
  }

  #delivery(bytes: Buffer, view: DataView, start: number, end: number): void {
    if (!DeliverScanner.isDeliver(bytes, start)) {
      this.#otherFrame(bytes, start, end);
      return;
    }
    if (this.#nowMs === 0) this.#nowMs = performance.now();
    const scanner = this.#scanner;
    scanner.scan(bytes, view, start, end);
    if (this.#seen !== undefined) this.#compare(bytes, start, end);
    this.#runs.push([scanner.firstDelivery, scanner.count]);
  }

  #compare(bytes: Buffer, start: number, end: number): void {
    const seen = this.#seen as Uint8Array;
    const frame = decodeDaemonFrame(bytes.subarray(start, end));
    if (frame.kind !== 'deliver') throw new Error(`no deliver frame, but ${frame.kind}`);
    for (const delivery of frame.deliveries) {
      const sequence = checkDelivery(delivery, this.#options.shape, this.#ring.slots);
      if (seen[sequence] !== 0)
        throw new Error(`message ${sequence} is delivered again or unknown`);
      seen[sequence] = 1;
    }
  }

  #otherFrame(bytes: Buffer, start: number, end: number): void {
    const frame = decodeDaemonFrame(Buffer.from(bytes.subarray(start, end)));
    if (frame.kind === 'hello') return;
    throw new Error(`the daemon answered ${JSON.stringify(frame)}`);
  }

  #readEnd(): void {
    if (this.#runs.length > 0) {
      this.#consumer?.write(settleAndCreditFrames(SUBSCRIPTION, this.#runs));
      this.#runs.length = 0;
    }
    this.#nowMs = 0;
    if (this.#framesPerMs === 0) this.#send();
    this.#progressed?.();
  }

  #closedLoop(): void {
    const { outstanding, shape } = this.#options;
    this.#framesPerMs = 0;
    const wanted = Math.ceil(outstanding / shape.messagesPerFrame);
    this.#framesUnderWay = Math.min(this.#ring.slots, wanted);
  }

  #openLoop(ratePerSec: number): void {
    this.#framesPerMs = ratePerSec / this.#options.shape.messagesPerFrame / 1000;
    this.#framesUnderWay = SENT_FRAMES;
    this.#openLoopStartMs = performance.now();
    this.#openLoopFirstFrame = this.#framesSent;
  }

  /** Sends the frames that are due and have a slot. */
  #send(): void {
    const nowMs = performance.now();
    const { messagesPerFrame } = this.#options.shape;
    const { slots } = this.#ring;
    const done = this.#countsAcks
      ? this.#framesAcked
      : Math.floor(this.delivered / messagesPerFrame);
    let until = Math.min(this.#framesMax, done + this.#framesUnderWay, this.#framesAcked + slots);
    if (this.#framesPerMs > 0) {
      const dueFrames = Math.floor((nowMs - this.#openLoopStartMs) * this.#framesPerMs);
      until = Math.min(until, this.#openLoopFirstFrame + dueFrames);
    }
    while (this.#framesSent < until) {
      const slot = this.#framesSent % slots;
      const count = Math.min(until - this.#framesSent, slots - slot);
      for (let at = 0; at < count; at += 1) {
        const frame = this.#framesSent + at;
        this.#ring.fill(slot + at, frame * messagesPerFrame);
        this.#sentMs[frame % SENT_FRAMES] = this.#dueMs(frame, nowMs);
      }
      this.#publisher.write(this.#ring.frames(slot, count));
      this.#framesSent += count;
    }
  }

  /** When a frame should leave. */
  #dueMs(frame: number, nowMs: number): number {
    if (this.#framesPerMs === 0) return nowMs;
    return this.#openLoopStartMs + (frame + 1 - this.#openLoopFirstFrame) / this.#framesPerMs;
  }

  /** All is acknowledged and, if anyone consumes, delivered once. */
  async #drained(): Promise<void> {
    const { consume } = this.#options;
    await this.#until(
      () =>
        this.#framesSent === this.#framesMax &&
        this.#framesAcked === this.#framesSent &&
        (!consume || this.delivered >= this.published),
    );
    if (consume) this.#checkSum(this.published, sumBelow(this.published));
  }

  #checkSum(messages: number, sequenceSum: number): void {
    const { delivered } = this;
    if (delivered === messages && this.#scanner.sequenceSum === sequenceSum) return;
    throw new Error(`${messages} messages were published, ${delivered} delivered, or not the same`);
  }

  /** @param graceMs time in which nothing has to happen */
  async #until(reached: () => boolean, graceMs = 0): Promise<void> {
    let progressMs = performance.now() + graceMs;
    const timer = setInterval(() => {
      if (performance.now() - progressMs > STALL_MS) {
        const state = `${this.published} published, ${this.#framesAcked} frames acknowledged`;
        this.#failure ??= new Error(`no progress: ${state}, ${this.delivered} delivered`);
        this.#progressed?.();
      }
    }, 1000);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#progressed = () => {
          progressMs = Math.max(progressMs, performance.now());
          if (this.#failure !== undefined) reject(this.#failure);
          else if (reached()) resolve();
        };
        this.#progressed();
      });
    } finally {
      this.#progressed = undefined;
      clearInterval(timer);
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (this.#failure !== undefined) throw this.#failure;
  }

  #snapshot(serverPid: number): {
    readonly atMs: number;
    readonly delivered: number;
    readonly cpuUs: number;
    readonly server: ProcessTimes;
  } {
    const { user, system } = process.cpuUsage();
    const read = (path: string): string => readFileSync(`/proc/${serverPid}/${path}`, 'latin1');
    return {
      atMs: performance.now(),
      delivered: this.delivered,
      cpuUs: user + system,
      server: {
        processUs: parseProcessTimes(read('stat')),
        mainThreadUs: parseProcessTimes(read(`task/${serverPid}/stat`)),
      },
    };
  }
}

/** Bytes of an unsigned msgpack number below 2³², by its first. */
function uintBytes(head: number): number {
  if (head === 0xcc) return 2;
  if (head === 0xcd) return 3;
  return head === 0xce ? 5 : 1;
}

/** 0 + 1 + … + (count − 1). */
export function sumBelow(count: number): number {
  return (count * (count - 1)) / 2;
}
