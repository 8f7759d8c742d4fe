/**
 * The end of a state machine that runs on the main thread (the gate, usage): gathers input, makes one
 * step a turn of the event loop, and releases the effects in order.
 *
 * `strict`: the effects of a step leave when its journal, and every one before, is flushed; a step
 * that wrote nothing waits for those before it, and not at all when there is none. Otherwise they
 * leave at once, but where the step itself asks for the flush. The flushes of several steps overlap.
 *
 * States: open → (close) → closing → closed; any of them → (fatal) → failed, which sends nothing more:
 * the process is about to end.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import {
  EFFECT_OP,
  EFFECTS_HEADER_BYTES,
  EFFECTS_MAGIC,
  EffectsReader,
  encodeConnect,
  INPUT_OP,
  type InputOp,
} from '../protocol/exchange.ts';
import { SpareBuffers } from './buffers.ts';
import { EffectsDispatcher } from './effects.ts';
import { FlushHistogram } from './flush-histogram.ts';
import type { FrameSink } from './frame-sink.ts';
import { InputQueue, type Windows } from './input-queue.ts';
import type { Journal } from './journal.ts';
import type { MainMachine } from './main-machine.ts';

/** Takes one entry of the effects; the bytes are valid during the call only. */
export type TakeEntry = (connection: number, bytes: Uint8Array) => void;

/** Operations of effects, and who takes their entries. */
export type EffectHooks = Readonly<Record<number, TakeEntry>>;

export interface MainPortOptions<N extends string> {
  readonly machine: MainMachine;
  readonly journal: Pick<Journal, 'stage'>;
  readonly strict: boolean;
  readonly nowUs: () => number;
  readonly sink: FrameSink;
  /** Counters of the effects header, in its order. */
  readonly counterNames: readonly N[];
  /** Bytes of input that may wait; past it frames are not taken. */
  readonly inputBytesMax: number;
  /** Steps whose flush is awaited; past it input waits for the oldest. */
  readonly stepsInFlightMax: number;
  /** Entries that are taken in the step itself, before any flush. */
  readonly atOnce?: EffectHooks;
  /** Entries of further operations, taken as frames leave. */
  readonly behindFlush?: EffectHooks;
  /** Called once: nothing of the machine can be trusted any more. */
  readonly onFatal: (error: Error) => void;
}

/** A step whose effects have not left. */
interface Held {
  /** Newest step whose journal has to be flushed first. */
  readonly behind: number;
  readonly output: Uint8Array<ArrayBuffer>;
  readonly windows: Windows;
  /** Told when they leave. */
  readonly after: readonly (() => void)[];
}

interface Request {
  /** How it is answered: JSON text, or one daemon frame. */
  readonly op: typeof EFFECT_OP.reply | typeof EFFECT_OP.replyFrame;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** A journal without entries is its count alone. */
const EMPTY_JOURNAL_BYTES = 4;
const OUTPUT_FIRST_BYTES = 4 * 1024;
const OUTPUTS_SPARE = 8;
/** Told to a caller that met a full input. */
const RETRY_AFTER_MS = 200;
const NO_HOOKS: EffectHooks = {};
const utf8 = new TextDecoder();

export class MainPort<N extends string> {
  /** How long steps that wrote something waited for their flush. */
  readonly flushes = new FlushHistogram();
  readonly #options: MainPortOptions<N>;
  readonly #queue: InputQueue;
  readonly #outputs = new SpareBuffers({ bytesMin: OUTPUT_FIRST_BYTES, spareMax: OUTPUTS_SPARE });
  readonly #dispatcher: EffectsDispatcher;
  readonly #requests = new Map<number, Request>();
  #lastRequest = 0;
  #lastStep = 0;
  /** Newest step that wrote something, and newest of which all is flushed. */
  #lastWritten = 0;
  #flushed = 0;
  /** Journals whose flush is awaited. */
  #unflushed = 0;
  #held: Held[] = [];
  #stepScheduled = false;
  /** Callers that want to hear of the next step. */
  #afterStep: (() => void)[] = [];
  /** Entries that were given to steps, and those whose release somebody waits for, by their number. */
  #entriesGiven = 0;
  #awaited: { readonly entry: number; readonly released: () => void }[] = [];
  /** A step is due although nothing waits. */
  #wakeDue = false;
  #wakeTimer: NodeJS.Timeout | undefined;
  /** Effects header of the newest step. */
  readonly #header = emptyHeader();
  #state: 'open' | 'closing' | 'closed' | 'failed' = 'open';
  #closed: (() => void) | undefined;

  constructor(options: MainPortOptions<N>) {
    this.#options = options;
    this.#queue = new InputQueue(options.inputBytesMax);
    this.#dispatcher = new EffectsDispatcher(options.sink, (effects) => this.#take(effects));
  }

  /** Counters as they are after the next step; those of the newest one where no more is made. */
  async counters(): Promise<Record<N, number>> {
    if (this.#state === 'open') {
      const stepped = new Promise<void>((resolve) => this.#afterStep.push(resolve));
      this.stepSoon();
      await stepped;
    }
    return new EffectsReader(this.#header).countersOf(this.#options.counterNames);
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  connect(connection: number, scopes: number, tenant: string): void {
    this.#append(INPUT_OP.connect, connection, encodeConnect(scopes, tenant));
  }

  disconnect(connection: number): void {
    this.#append(INPUT_OP.disconnect, connection);
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
  request(op: InputOp, body: Uint8Array): Promise<string> {
    return this.#ask(op, body, EFFECT_OP.reply, (json) => utf8.decode(json));
  }

  /**
   * One client frame of somebody without a connection, as `encodeCall` makes it; resolves with a copy
   * of the daemon frame that answers it.
   *
   * @throws FairleadError overloaded when too much waits: nothing was taken; goingAway when the port
   *   is closed before or meanwhile
   */
  call(body: Uint8Array): Promise<Uint8Array> {
    if (!this.#queue.hasRoom(body.length)) {
      const details = { retryAfterMs: RETRY_AFTER_MS };
      return Promise.reject(new FairleadError('overloaded', undefined, details));
    }
    return this.#ask(INPUT_OP.call, body, EFFECT_OP.replyFrame, (frame) => frame.slice());
  }

  /**
   * Tells the machine something that has no answer; `released` is called when what came of it leaves:
   * when it is flushed. Nothing is told any more once the port is closing.
   */
  tell(op: InputOp, source: number, bytes: Uint8Array, released?: () => void): void {
    if (this.#state !== 'open') return;
    this.#append(op, source, bytes);
    if (released === undefined) return;
    this.#awaited.push({ entry: this.#entriesGiven + this.#queue.entries, released });
  }

  /** Makes a step in this turn, also without input. */
  stepSoon(): void {
    if (this.#state !== 'open') return;
    this.#wakeDue = true;
    this.#schedule();
  }

  /** Takes no more input; resolves when all that was taken is flushed and answered. */
  close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closing';
    clearTimeout(this.#wakeTimer);
    this.#wakeDue = false;
    return new Promise((resolve) => {
      this.#closed = resolve;
      this.#endIfDone();
    });
  }

  /** Ends it at once: what has not left is lost. */
  fail(error: Error): void {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    this.#stop('failed');
    this.#options.onFatal(error);
  }

  #ask<T>(
    op: InputOp,
    body: Uint8Array,
    answer: Request['op'],
    read: (bytes: Uint8Array) => T,
  ): Promise<T> {
    if (this.#state !== 'open') return Promise.reject(new FairleadError('goingAway'));
    return new Promise((resolve, reject) => {
      this.#lastRequest += 1;
      const request = { op: answer, resolve: (bytes: Uint8Array) => resolve(read(bytes)), reject };
      this.#requests.set(this.#lastRequest, request);
      this.#append(op, this.#lastRequest, body);
    });
  }

  #append(op: InputOp, connection: number, bytes?: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.#queue.append(op, connection, bytes);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stepScheduled || this.#unflushed >= this.#options.stepsInFlightMax) return;
    this.#stepScheduled = true;
    setImmediate(() => {
      this.#stepScheduled = false;
      if (this.#state !== 'open' && this.#state !== 'closing') return;
      try {
        if (this.#wakeDue || !this.#queue.isEmpty) this.#step();
        if (this.#wakeDue || !this.#queue.isEmpty) this.#schedule();
      } catch (error) {
        this.fail(asError(error));
      }
      this.#endIfDone();
    });
  }

  #step(): void {
    clearTimeout(this.#wakeTimer);
    this.#wakeDue = false;
    this.#lastStep += 1;
    const step = this.#lastStep;
    const { machine, nowUs } = this.#options;
    const { buffer, bytes, windows, entries } = this.#queue.next(step);
    const after = this.#takeAwaited(entries);
    const made = machine.step(nowUs(), new Uint8Array(buffer, 0, bytes));
    this.#queue.giveBuffer(buffer, bytes);
    const output = this.#room(made.effectsBytes);
    machine.takeEffects(output);
    this.#write(step, made.journalBytes);
    const effects = new EffectsReader(output);
    if (effects.exchange !== step) {
      throw new Error(`effects of step ${effects.exchange} came as those of ${step}`);
    }
    this.#header.set(output.subarray(0, EFFECTS_HEADER_BYTES));
    for (const hear of this.#afterStep.splice(0)) hear();
    this.#wakeAfter(effects.wakeAfterMs);
    this.#takeAtOnce(effects);
    const waits = this.#options.strict || made.flush;
    this.#held.push({ behind: waits ? this.#lastWritten : 0, output, windows, after });
    this.#release();
  }

  #write(step: number, bytes: number): void {
    const { machine, journal } = this.#options;
    const durable = journal.stage(step, bytes, (room) => machine.takeJournal(room));
    if (bytes <= EMPTY_JOURNAL_BYTES) return;
    this.#lastWritten = step;
    this.#unflushed += 1;
    const startMs = performance.now();
    durable.then(
      () => {
        this.#unflushed -= 1;
        // One that was staged later is durable later.
        this.#flushed = step;
        this.flushes.observe((performance.now() - startMs) / 1_000);
        this.#afterFlush();
      },
      (error: unknown) => this.fail(asError(error)),
    );
  }

  #afterFlush(): void {
    if (this.#state !== 'open' && this.#state !== 'closing') return;
    try {
      this.#release();
    } catch (error) {
      this.fail(asError(error));
    }
    if (this.#wakeDue || !this.#queue.isEmpty) this.#schedule();
    this.#endIfDone();
  }

  /** Sends what waits for no flush any more. */
  #release(): void {
    let released = 0;
    for (const { behind, output, windows, after } of this.#held) {
      if (behind > this.#flushed) break;
      released += 1;
      this.#dispatcher.dispatch(new EffectsReader(output), output);
      for (const [connection, bytes] of windows) {
        this.#options.sink.windowReleased(connection, bytes);
      }
      for (const released of after) released();
      this.#queue.giveWindows(windows);
      this.#outputs.give(output.buffer, output.length);
    }
    if (released > 0) this.#held = this.#held.slice(released);
  }

  /** Those who wait for entries that this step was given. */
  #takeAwaited(entries: number): readonly (() => void)[] {
    this.#entriesGiven += entries;
    const given = this.#awaited.findIndex(({ entry }) => entry > this.#entriesGiven);
    const taken = this.#awaited.splice(0, given < 0 ? this.#awaited.length : given);
    return taken.map(({ released }) => released);
  }

  #takeAtOnce(effects: EffectsReader): void {
    const { atOnce } = this.#options;
    if (atOnce === undefined) return;
    while (effects.next()) atOnce[effects.op]?.(effects.connection, effects.entry());
  }

  #take(effects: EffectsReader): void {
    const { op, connection } = effects;
    const { atOnce = NO_HOOKS, behindFlush = NO_HOOKS } = this.#options;
    if (atOnce[op] !== undefined) return;
    const hook = behindFlush[op];
    if (hook !== undefined) hook(connection, effects.entry());
    else if (op === EFFECT_OP.reply || op === EFFECT_OP.replyFrame) this.#reply(effects, op);
    else throw new RangeError(`effects of a step have an entry of unknown op ${op}`);
  }

  #reply(effects: EffectsReader, op: Request['op']): void {
    const { connection } = effects;
    const request = this.#requests.get(connection);
    if (request === undefined)
      throw new Error(`a reply to request ${connection}, which nobody made`);
    if (request.op !== op) throw new Error(`request ${connection} is answered by op ${op}`);
    this.#requests.delete(connection);
    request.resolve(effects.entry());
  }

  #room(bytes: number): Uint8Array<ArrayBuffer> {
    const spare = this.#outputs.take();
    const buffer = spare.byteLength >= bytes ? spare : new ArrayBuffer(bytes);
    return new Uint8Array(buffer, 0, bytes);
  }

  #wakeAfter(wakeAfterMs: number): void {
    if (this.#state !== 'open') return;
    if (wakeAfterMs === 0) {
      this.#wakeDue = true;
      return;
    }
    const delayMs = Math.min(wakeAfterMs, LIMITS.wakeAfterMsMax);
    this.#wakeTimer = setTimeout(() => this.stepSoon(), delayMs).unref();
  }

  #endIfDone(): void {
    if (this.#closed === undefined) return;
    const isDone = this.#queue.isEmpty && this.#held.length === 0 && this.#unflushed === 0;
    if (this.#state === 'closing' && isDone) this.#stop('closed');
    if (this.#state === 'closed' || this.#state === 'failed') this.#closed();
  }

  #stop(state: 'closed' | 'failed'): void {
    this.#state = state;
    clearTimeout(this.#wakeTimer);
    for (const { reject } of this.#requests.values()) reject(new FairleadError('goingAway'));
    this.#requests.clear();
    for (const hear of this.#afterStep.splice(0)) hear();
    if (state === 'failed') this.#closed?.();
  }
}

/** A header without a step: all counters 0. */
function emptyHeader(): Uint8Array {
  const header = new Uint8Array(EFFECTS_HEADER_BYTES);
  new DataView(header.buffer).setUint32(0, EFFECTS_MAGIC, true);
  return header;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
