/**
 * The main thread's own end of the gate: gathers input, makes one step a turn of the event loop, and
 * releases the effects in order.
 *
 * `strict`: the effects of a step leave when its journal, and every one before, is flushed; a step
 * that wrote nothing waits for those before it, and not at all when there is none. Otherwise they
 * leave at once, but where the step itself asks for the flush. The flushes of several steps overlap.
 *
 * States: open → (close) → closing → closed; any of them → (fatal) → failed, which sends nothing more:
 * the process is about to end.
 */
import { FairleadError } from '../errors.ts';
import { SpareBuffers } from '../exchange/buffers.ts';
import { EffectsDispatcher } from '../exchange/effects.ts';
import { FlushHistogram } from '../exchange/flush-histogram.ts';
import type { FrameSink } from '../exchange/frame-sink.ts';
import { InputQueue, type Windows } from '../exchange/input-queue.ts';
import type { Journal } from '../exchange/journal.ts';
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
import { GATE_COUNTER_NAMES, type GateCounters } from '../protocol/gate-exchange.ts';
import type { GateMachine } from './machine.ts';

export interface GatePortOptions {
  readonly machine: GateMachine;
  readonly journal: Pick<Journal, 'stage'>;
  readonly strict: boolean;
  readonly nowUs: () => number;
  readonly sink: FrameSink;
  /** The wait of a caller of this process has ended; the bytes are valid during the call only. */
  readonly entered: (ticket: number, bytes: Uint8Array) => void;
  /** Called once: nothing of the gate can be trusted any more. */
  readonly onFatal: (error: Error) => void;
}

/** A step whose effects have not left. */
interface Held {
  /** Newest step whose journal has to be flushed first. */
  readonly behind: number;
  readonly output: Uint8Array<ArrayBuffer>;
  readonly windows: Windows;
}

interface Request {
  readonly resolve: (json: string) => void;
  readonly reject: (error: Error) => void;
}

/** A journal without entries is its count alone. */
const EMPTY_JOURNAL_BYTES = 4;
const OUTPUT_FIRST_BYTES = 4 * 1024;
const OUTPUTS_SPARE = 8;
const utf8 = new TextDecoder();

export class GatePort {
  /** How long steps that wrote something waited for their flush. */
  readonly flushes = new FlushHistogram();
  readonly #options: GatePortOptions;
  readonly #queue = new InputQueue(LIMITS.gateInputBytes);
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
  /** A step is due although nothing waits. */
  #wakeDue = false;
  #wakeTimer: NodeJS.Timeout | undefined;
  /** Effects header of the newest step. */
  readonly #header = emptyHeader();
  #state: 'open' | 'closing' | 'closed' | 'failed' = 'open';
  #closed: (() => void) | undefined;

  constructor(options: GatePortOptions) {
    this.#options = options;
    this.#dispatcher = new EffectsDispatcher(options.sink, (effects) => this.#take(effects));
  }

  /** Counters as they are after the next step; those of the newest one where no more is made. */
  async counters(): Promise<GateCounters> {
    if (this.#state === 'open') {
      const stepped = new Promise<void>((resolve) => this.#afterStep.push(resolve));
      this.stepSoon();
      await stepped;
    }
    return new EffectsReader(this.#header).countersOf(GATE_COUNTER_NAMES);
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
    if (this.#state !== 'open') return Promise.reject(new FairleadError('goingAway'));
    return new Promise((resolve, reject) => {
      this.#lastRequest += 1;
      this.#requests.set(this.#lastRequest, { resolve, reject });
      this.#append(op, this.#lastRequest, body);
    });
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

  #append(op: InputOp, connection: number, bytes?: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.#queue.append(op, connection, bytes);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stepScheduled || this.#unflushed >= LIMITS.gateStepsInFlight) return;
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
    const { buffer, bytes, windows } = this.#queue.next(step);
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
    this.#tellEntered(effects);
    const waits = this.#options.strict || made.flush;
    this.#held.push({ behind: waits ? this.#lastWritten : 0, output, windows });
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
    for (const { behind, output, windows } of this.#held) {
      if (behind > this.#flushed) break;
      released += 1;
      this.#dispatcher.dispatch(new EffectsReader(output), output);
      for (const [connection, bytes] of windows) {
        this.#options.sink.windowReleased(connection, bytes);
      }
      this.#queue.giveWindows(windows);
      this.#outputs.give(output.buffer, output.length);
    }
    if (released > 0) this.#held = this.#held.slice(released);
  }

  /** Callers of this process wait for no flush: their permits end with it. */
  #tellEntered(effects: EffectsReader): void {
    while (effects.next()) {
      if (effects.op !== EFFECT_OP.entered) continue;
      this.#options.entered(effects.connection, effects.entry());
    }
  }

  #take(effects: EffectsReader): void {
    if (effects.op === EFFECT_OP.entered) return;
    if (effects.op !== EFFECT_OP.reply) {
      throw new RangeError(`effects of the gate have an entry of unknown op ${effects.op}`);
    }
    const request = this.#requests.get(effects.connection);
    if (request === undefined) {
      throw new Error(`a reply to request ${effects.connection}, which nobody made`);
    }
    this.#requests.delete(effects.connection);
    request.resolve(utf8.decode(effects.entry()));
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
