/**
 * The main thread's end of one shard: gathers input, keeps up to K exchanges under way, releases
 * their effects strictly in order.
 *
 * States: open → (close) → draining → closed; any of them → (fatal) → failed, which sends nothing
 * more and never comes back: the process is about to end.
 */
import { FairleadError } from '../errors.ts';
import { SpareBuffers } from '../exchange/buffers.ts';
import { EffectsDispatcher } from '../exchange/effects.ts';
import { FlushHistogram } from '../exchange/flush-histogram.ts';
import { InputQueue, type Windows } from '../exchange/input-queue.ts';
import { LIMITS } from '../limits.ts';
import {
  type Counters,
  EFFECT_OP,
  EFFECTS_HEADER_BYTES,
  EFFECTS_MAGIC,
  EffectsReader,
  encodeConnect,
  encodeDiskFull,
  encodeTaken,
  INPUT_OP,
  type InputOp,
} from '../protocol/exchange.ts';
import { DELTAS_AGAIN } from '../protocol/usage-exchange.ts';
import type { ShardSink } from './shard-sink.ts';
import type { ExchangeResult, ExchangeTask } from './tasks.ts';

export interface ShardPortOptions {
  shard: number;
  bootId: number;
  sink: ShardSink;
  /** Hands a task to the worker; its buffers are transferred. */
  run: (task: ExchangeTask) => Promise<ExchangeResult>;
  /** Called once: nothing of this shard can be trusted any more. */
  onFatal: (error: Error) => void;
  /** An exchange that takes longer is fatal. */
  exchangeTimeoutMs: number;
}

/** An exchange that was sent and whose effects are not yet released. */
interface UnderWay {
  sentAtMs: number;
  inputBytes: number;
  windows: Windows;
  result: ExchangeResult | undefined;
}

/** A reply is JSON text or one daemon frame. */
type ReplyOp = typeof EFFECT_OP.reply | typeof EFFECT_OP.replyFrame;

interface Request {
  /** How it is answered. */
  op: ReplyOp;
  /** Takes a view that is valid during the call only. */
  resolve: (bytes: Uint8Array) => void;
  reject: (error: Error) => void;
}

const OUTPUT_FIRST_BYTES = 256 * 1024;
/** Told to a caller that met a full input. */
const RETRY_AFTER_MS = 200;
/** The core tells calls from connections by the highest bit. */
const REQUEST_ID_MAX = 0x7fff_ffff;
/** Before the events of an entry, or its deltas. */
const SEQUENCE_BYTES = 8;
const utf8 = new TextDecoder();

export class ShardPort {
  /** How long exchanges waited for their flush. */
  readonly flushes = new FlushHistogram();
  readonly shard: number;
  readonly #options: ShardPortOptions;
  readonly #queue = new InputQueue();
  readonly #outputs = new SpareBuffers({
    bytesMin: OUTPUT_FIRST_BYTES,
    spareMax: LIMITS.exchangesInFlight + 1,
  });
  readonly #dispatcher: EffectsDispatcher;
  readonly #requests = new Map<number, Request>();
  #nextRequest = 1;
  readonly #underWay = new Map<number, UnderWay>();
  #lastSent = 0;
  #lastReleased = 0;
  #pumpScheduled = false;
  /** An exchange is due although nothing waits. */
  #wakeDue = false;
  #wakeTimer: NodeJS.Timeout | undefined;
  #watchTimer: NodeJS.Timeout | undefined;
  /** Effects header of the newest exchange. */
  readonly #header = emptyHeader();
  #state: 'open' | 'draining' | 'closed' | 'failed' = 'open';
  #drained: (() => void) | undefined;

  constructor(options: ShardPortOptions) {
    this.shard = options.shard;
    this.#options = options;
    this.#dispatcher = new EffectsDispatcher(options.sink, (effects) => this.#take(effects));
  }

  /** Counters of the newest exchange. */
  get counters(): Counters {
    return new EffectsReader(this.#header).counters();
  }

  /** Exchanges sent so far. */
  get exchanges(): number {
    return this.#lastSent;
  }

  /** Bytes that wait to be sent. */
  get inputBytes(): number {
    return this.#queue.bytes;
  }

  connect(connection: number, scopes: number, tenant: string): void {
    this.#append(INPUT_OP.connect, connection, encodeConnect(scopes, tenant));
  }

  disconnect(connection: number): void {
    this.#append(INPUT_OP.disconnect, connection);
  }

  park(connection: number): void {
    this.#append(INPUT_OP.park, connection);
  }

  unpark(connection: number): void {
    this.#append(INPUT_OP.unpark, connection);
  }

  /** Publishes are refused while the disk is full. */
  diskFull(full: boolean): void {
    this.#append(INPUT_OP.diskFull, 0, encodeDiskFull(full));
  }

  /** The records of status events up to this one are kept elsewhere: the shard forgets them. */
  eventsTaken(sequence: number): void {
    this.#append(INPUT_OP.eventsTaken, 0, encodeTaken(sequence));
  }

  /** What was counted up to this record is kept elsewhere: the shard forgets it. */
  usageTaken(sequence: number): void {
    this.#append(INPUT_OP.usageTaken, 0, encodeTaken(sequence));
  }

  /** Copies a client frame into the open input; false when too much waits: nothing was taken. */
  frame(connection: number, frame: Uint8Array): boolean {
    if (this.#state !== 'open' || !this.#queue.appendFrame(connection, frame)) return false;
    this.#schedule();
    return true;
  }

  /**
   * One of the operations that are answered with JSON text.
   *
   * @throws FairleadError goingAway when the port is closed before or meanwhile
   */
  request(op: number, body: Uint8Array): Promise<string> {
    return this.#ask(op, body, EFFECT_OP.reply, (json) => utf8.decode(json));
  }

  /**
   * One of the operations that are answered with a daemon frame; resolves with a copy of its bytes.
   *
   * @throws FairleadError overloaded when too much waits: nothing was taken; goingAway when the port
   *   is closed before or meanwhile
   */
  call(op: number, body: Uint8Array): Promise<Uint8Array> {
    if (!this.#queue.hasRoom(body.length)) return Promise.reject(inputFull());
    return this.#ask(op, body, EFFECT_OP.replyFrame, (frame) => frame.slice());
  }

  /** Takes no more input; resolves when all that was taken is answered. */
  close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'draining';
    clearTimeout(this.#wakeTimer);
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#endIfDrained();
    });
  }

  /** Ends it at once: what is under way is lost. */
  fail(error: Error): void {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    this.#stop('failed');
    this.#options.onFatal(error);
  }

  #ask<T>(
    op: number,
    body: Uint8Array,
    answer: ReplyOp,
    read: (bytes: Uint8Array) => T,
  ): Promise<T> {
    if (this.#state !== 'open') return Promise.reject(new FairleadError('goingAway'));
    return new Promise((resolve, reject) => {
      const id = this.#freeRequestId();
      this.#requests.set(id, { op: answer, resolve: (bytes) => resolve(read(bytes)), reject });
      this.#append(op as InputOp, id, body);
    });
  }

  #append(op: InputOp, connection: number, bytes?: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.#queue.append(op, connection, bytes);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#pumpScheduled || this.#underWay.size >= LIMITS.exchangesInFlight) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#state !== 'open' && this.#state !== 'draining') return;
    while (
      (this.#wakeDue || !this.#queue.isEmpty) &&
      this.#underWay.size < LIMITS.exchangesInFlight
    ) {
      this.#send();
    }
  }

  #send(): void {
    clearTimeout(this.#wakeTimer);
    this.#wakeDue = false;
    this.#lastSent += 1;
    const exchange = this.#lastSent;
    const { buffer, bytes, windows } = this.#queue.next(exchange);
    const sentAtMs = performance.now();
    this.#underWay.set(exchange, { sentAtMs, inputBytes: bytes, windows, result: undefined });
    this.#watchTimer ??= this.#watchAfter(this.#options.exchangeTimeoutMs);
    const output = this.#outputs.take();
    this.#options
      .run({ kind: 'exchange', exchange, input: buffer, inputBytes: bytes, output })
      .then((result) => this.#arrived(result))
      .catch((error: unknown) => this.fail(asError(error)));
  }

  /** Results may come in another order than they were sent. */
  #arrived(result: ExchangeResult): void {
    if (this.#state === 'failed') return;
    const underWay = this.#underWay.get(result.exchange);
    if (underWay === undefined || underWay.result !== undefined) {
      throw new Error(`a result of exchange ${result.exchange}, which is not under way`);
    }
    if (result.bootId !== this.#options.bootId) {
      throw new Error(`a result of start ${result.bootId}, this is ${this.#options.bootId}`);
    }
    underWay.result = result;
    for (;;) {
      const next = this.#underWay.get(this.#lastReleased + 1);
      if (next?.result === undefined) break;
      this.#release(next, next.result);
    }
    if (!this.#queue.isEmpty || this.#wakeDue) this.#schedule();
    this.#endIfDrained();
  }

  #release({ inputBytes, windows }: UnderWay, result: ExchangeResult): void {
    const { exchange, input, output, outputBytes, flushMs } = result;
    this.flushes.observe(flushMs / 1_000);
    const bytes = new Uint8Array(output, 0, outputBytes);
    const effects = new EffectsReader(bytes);
    if (effects.exchange !== exchange || effects.bootId !== this.#options.bootId) {
      throw new Error(`effects of exchange ${effects.exchange} came as those of ${exchange}`);
    }
    this.#header.set(bytes.subarray(0, EFFECTS_HEADER_BYTES));
    this.#underWay.delete(exchange);
    this.#lastReleased = exchange;
    this.#dispatcher.dispatch(effects, bytes);
    for (const [connection, taken] of windows) {
      this.#options.sink.windowReleased(connection, taken);
    }
    this.#queue.giveBack({ buffer: input, bytes: inputBytes, windows });
    this.#outputs.give(output, outputBytes);
    if (exchange === this.#lastSent) this.#wakeAfter(effects.wakeAfterMs, flushMs);
  }

  /**
   * Only the newest exchange knows when the shard wants to go on, counted from its step: the flush
   * since then is part of the wait, or a slow disk would take its time from every rate.
   */
  #wakeAfter(wakeAfterMs: number, flushMs: number): void {
    if (this.#state !== 'open') return;
    const delayMs = Math.ceil(Math.min(wakeAfterMs, LIMITS.wakeAfterMsMax) - flushMs);
    clearTimeout(this.#wakeTimer);
    if (delayMs <= 0) {
      this.#wakeDue = true;
      return;
    }
    this.#wakeTimer = setTimeout(() => {
      this.#wakeDue = true;
      this.#schedule();
    }, delayMs).unref();
  }

  #watchAfter(delayMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#watch(), delayMs).unref();
  }

  /** The oldest exchange under way must not be older than a flush may take. */
  #watch(): void {
    this.#watchTimer = undefined;
    const [oldest] = this.#underWay.values();
    if (oldest === undefined) return;
    const { exchangeTimeoutMs } = this.#options;
    const leftMs = oldest.sentAtMs + exchangeTimeoutMs - performance.now();
    if (leftMs <= 0 && oldest.result === undefined) {
      this.fail(new Error(`an exchange was not stored within ${exchangeTimeoutMs} ms`));
      return;
    }
    this.#watchTimer = this.#watchAfter(Math.max(leftMs, 1));
  }

  #take(effects: EffectsReader): void {
    const { op } = effects;
    if (op === EFFECT_OP.reply || op === EFFECT_OP.replyFrame) {
      this.#reply(effects.connection, op, effects.entry());
    } else if (op === EFFECT_OP.statusEvents) {
      const events = effects.entry().subarray(SEQUENCE_BYTES);
      this.#options.sink.statusEvents(this.shard, effects.toldSequence(), events);
    } else if (op === EFFECT_OP.usage) {
      const again = (effects.connection & DELTAS_AGAIN) !== 0;
      const deltas = effects.entry().subarray(SEQUENCE_BYTES);
      this.#options.sink.usage(this.shard, { again, sequence: effects.toldSequence(), deltas });
    } else {
      throw new RangeError(`effects have an entry of unknown op ${op}`);
    }
  }

  #reply(id: number, op: ReplyOp, bytes: Uint8Array): void {
    const request = this.#requests.get(id);
    if (request === undefined) throw new Error(`a reply to request ${id}, which nobody made`);
    if (request.op !== op) throw new Error(`request ${id} is answered by op ${op}`);
    this.#requests.delete(id);
    request.resolve(bytes);
  }

  #freeRequestId(): number {
    while (this.#requests.has(this.#nextRequest)) this.#advanceRequestId();
    const id = this.#nextRequest;
    this.#advanceRequestId();
    return id;
  }

  #advanceRequestId(): void {
    this.#nextRequest = this.#nextRequest === REQUEST_ID_MAX ? 1 : this.#nextRequest + 1;
  }

  #endIfDrained(): void {
    if (this.#drained === undefined) return;
    const isDone = this.#underWay.size === 0 && this.#queue.isEmpty;
    if (this.#state === 'draining' && isDone) this.#stop('closed');
    if (this.#state === 'closed' || this.#state === 'failed') this.#drained();
  }

  #stop(state: 'closed' | 'failed'): void {
    this.#state = state;
    clearTimeout(this.#wakeTimer);
    clearTimeout(this.#watchTimer);
    for (const { reject } of this.#requests.values()) reject(new FairleadError('goingAway'));
    this.#requests.clear();
    if (state === 'failed') this.#drained?.();
  }
}

/** A header without an exchange: all counters 0. */
function emptyHeader(): Uint8Array {
  const header = new Uint8Array(EFFECTS_HEADER_BYTES);
  new DataView(header.buffer).setUint32(0, EFFECTS_MAGIC, true);
  return header;
}

function inputFull(): FairleadError {
  const details = { retryAfterMs: RETRY_AFTER_MS };
  return new FairleadError('overloaded', 'The shard has too much unread input.', details);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
