/**
 * What waits for its exchange with a shard or the gate: inputs of at most 1 MiB each, the last of them open.
 *
 * With each input it keeps how many bytes of client frames each connection has in it, so that
 * their window is given back when they are answered.
 */
import { LIMITS } from '../limits.ts';
import { ENTRY_HEADER_BYTES, INPUT_OP, InputBuffer, type InputOp } from '../protocol/exchange.ts';
import { SpareBuffers } from './buffers.ts';

const FIRST_BYTES = 64 * 1024;

/** Bytes of frames of each connection in one input. */
export type Windows = Map<number, number>;

/** One exchange's input, complete. */
export interface ReadyInput {
  buffer: ArrayBuffer;
  bytes: number;
  windows: Windows;
  entries: number;
}

interface Waiting {
  input: InputBuffer;
  windows: Windows;
}

export class InputQueue {
  readonly #bytesMax: number;
  readonly #spares = new SpareBuffers({
    bytesMin: FIRST_BYTES,
    spareMax: LIMITS.exchangesInFlight + 1,
  });
  /** Full inputs, oldest first. */
  #full: Waiting[] = [];
  #open: Waiting = { input: new InputBuffer(FIRST_BYTES), windows: new Map() };
  /** Bytes and entries of `#full`. */
  #fullBytes = 0;
  #fullEntries = 0;
  #spareWindows: Windows[] = [];

  /** `bytesMax`: of all that waits; past it frames are not taken. */
  constructor(bytesMax: number = LIMITS.inputBytes) {
    this.#bytesMax = bytesMax;
  }

  get isEmpty(): boolean {
    return this.#full.length === 0 && this.#open.input.entries === 0;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#fullBytes + this.#open.input.bytes;
  }

  /** Entries that wait. */
  get entries(): number {
    return this.#fullEntries + this.#open.input.entries;
  }

  /** Whether an entry of that many bytes fits below the bound. */
  hasRoom(bytes: number): boolean {
    return this.bytes + ENTRY_HEADER_BYTES + bytes <= this.#bytesMax;
  }

  append(op: InputOp, connection: number, bytes?: Uint8Array): void {
    const { input } = this.#open;
    const more = ENTRY_HEADER_BYTES + (bytes?.length ?? 0);
    if (input.bytes + more > LIMITS.exchangeInputBytes && input.entries > 0) this.#close();
    this.#open.input.append(op, connection, bytes);
  }

  /** A client frame; false when too much waits, then nothing was taken. */
  appendFrame(connection: number, frame: Uint8Array): boolean {
    if (!this.hasRoom(frame.length)) return false;
    this.append(INPUT_OP.frame, connection, frame);
    const { windows } = this.#open;
    windows.set(connection, (windows.get(connection) ?? 0) + frame.length);
    return true;
  }

  /** The oldest input as exchange `exchange`; without entries when nothing waits. */
  next(exchange: number): ReadyInput {
    const full = this.#full.shift();
    const { input, windows } = full ?? this.#open;
    const { entries } = input;
    if (full !== undefined) {
      this.#fullBytes -= full.input.bytes;
      this.#fullEntries -= entries;
    }
    const { buffer, bytes } = input.finish(exchange);
    if (full === undefined) this.#open = this.#newOpen(input);
    return { buffer, bytes, windows, entries };
  }

  /** Takes the buffer and the map of an input back when its exchange is over. */
  giveBack({ buffer, bytes, windows }: Omit<ReadyInput, 'entries'>): void {
    this.giveBuffer(buffer, bytes);
    this.giveWindows(windows);
  }

  giveBuffer(buffer: ArrayBuffer, usedBytes: number): void {
    this.#spares.give(buffer, usedBytes);
  }

  giveWindows(windows: Windows): void {
    windows.clear();
    if (this.#spareWindows.length <= LIMITS.exchangesInFlight) this.#spareWindows.push(windows);
  }

  #close(): void {
    this.#full.push(this.#open);
    this.#fullBytes += this.#open.input.bytes;
    this.#fullEntries += this.#open.input.entries;
    this.#open = this.#newOpen(new InputBuffer(FIRST_BYTES));
  }

  /**
   * Begins with a buffer of the size that inputs have had lately: one that grows from small leaves
   * buffers twice its size behind.
   */
  #newOpen(input: InputBuffer): Waiting {
    input.reuse(this.#spares.take());
    return { input, windows: this.#spareWindows.pop() ?? new Map() };
  }
}
