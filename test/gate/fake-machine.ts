// A machine that the test plays: each step answers what was laid ready, and writes down what it was given.
import { ANSWER, ENTERED, type GateMachine, type GateStep } from '../../src/gate/machine.ts';
import {
  EFFECTS_HEADER_BYTES,
  EFFECTS_MAGIC,
  INPUT_HEADER_BYTES,
} from '../../src/protocol/exchange.ts';

export interface FakeEffect {
  readonly op: number;
  readonly connection: number;
  readonly bytes: Uint8Array;
}

export interface FakeStep {
  readonly effects?: readonly FakeEffect[];
  /** Keys that the journal puts, one byte each. */
  readonly puts?: readonly number[];
  readonly flush?: boolean;
  readonly wakeAfterMs?: number;
}

/** What an `enter` writes, by names. */
export interface Entered {
  readonly kind: number;
  readonly number: number;
  readonly code: number;
  readonly retryAfterMs: number;
  readonly used: number;
  readonly limit?: number | undefined;
  readonly position: number;
  readonly estimateMs?: number | undefined;
  readonly key?: number;
  readonly serial?: number;
}

export class FakeMachine implements GateMachine {
  /** Operations of each step, as `op connection`. */
  readonly steps: string[][] = [];
  readonly calls: string[] = [];
  /** What the next steps do; one that is not here does nothing. */
  readonly ready: FakeStep[] = [];
  entered: Entered[] = [];
  wantsStep = false;
  failure: Error | undefined;
  #effects = new Uint8Array(0);
  #journal = new Uint8Array(0);

  configure(): void {}
  recover(): void {}
  recoverFinish(): void {}

  step(_: number, input: Uint8Array): GateStep {
    if (this.failure !== undefined) throw this.failure;
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    this.steps.push(operationsOf(view));
    const {
      effects = [],
      puts = [],
      flush = false,
      wakeAfterMs = 60_000,
    } = this.ready.shift() ?? {};
    this.#effects = effectsOf(effects, { exchange: view.getUint32(8, true), wakeAfterMs });
    this.#journal = journalOf(puts);
    return { effectsBytes: this.#effects.length, journalBytes: this.#journal.length, flush };
  }

  takeEffects(output: Uint8Array): void {
    output.set(this.#effects);
  }

  takeJournal(output: Uint8Array): void {
    output.set(this.#journal);
  }

  enter(
    answer: Float64Array,
    resource: string,
    tenant: string,
    seats: number,
    waitMs: number,
  ): number {
    this.calls.push(`enter ${resource} ${tenant} ${seats} ${waitMs}`);
    const entered = this.#next();
    write(answer, entered);
    answer[ANSWER.key] = entered.key ?? 0;
    answer[ANSWER.serial] = entered.serial ?? 0;
    return entered.kind;
  }

  enterKey(
    answer: Float64Array,
    key: number,
    serial: number,
    seats: number,
    waitMs: number,
  ): number {
    this.calls.push(`enterKey ${key} ${serial} ${seats} ${waitMs}`);
    const entered = this.#next();
    if (entered.kind !== ENTERED.notOpen) write(answer, entered);
    return entered.kind;
  }

  #next(): Entered {
    const entered = this.entered.shift();
    if (entered === undefined) throw new Error('nothing lies ready');
    return entered;
  }

  leave(permit: number, ok: boolean | undefined): boolean {
    this.calls.push(`leave ${permit} ${ok}`);
    return this.wantsStep;
  }

  giveUp(ticket: number): boolean {
    this.calls.push(`giveUp ${ticket}`);
    return this.wantsStep;
  }
}

function write(answer: Float64Array, entered: Entered): void {
  for (const name of ['number', 'used', 'code', 'retryAfterMs', 'position'] as const) {
    answer[ANSWER[name]] = entered[name];
  }
  for (const name of ['limit', 'estimateMs'] as const) answer[ANSWER[name]] = entered[name] ?? -1;
}

function operationsOf(view: DataView): string[] {
  const operations: string[] = [];
  let at = INPUT_HEADER_BYTES;
  for (let left = view.getUint32(4, true); left > 0; left -= 1) {
    operations.push(`${view.getUint8(at)} ${view.getUint32(at + 4, true)}`);
    at += 12 + view.getUint32(at + 8, true);
  }
  return operations;
}

function effectsOf(
  effects: readonly FakeEffect[],
  { exchange, wakeAfterMs }: { exchange: number; wakeAfterMs: number },
): Uint8Array<ArrayBuffer> {
  const length = effects.reduce((sum, { bytes }) => sum + 12 + bytes.length, EFFECTS_HEADER_BYTES);
  const output = new Uint8Array(length);
  const view = new DataView(output.buffer);
  view.setUint32(0, EFFECTS_MAGIC, true);
  view.setUint32(4, effects.length, true);
  view.setUint32(8, exchange, true);
  view.setUint32(20, wakeAfterMs, true);
  let at = EFFECTS_HEADER_BYTES;
  for (const { op, connection, bytes } of effects) {
    view.setUint8(at, op);
    view.setUint32(at + 4, connection, true);
    view.setUint32(at + 8, bytes.length, true);
    output.set(bytes, at + 12);
    at += 12 + bytes.length;
  }
  return output;
}

function journalOf(puts: readonly number[]): Uint8Array<ArrayBuffer> {
  const entries = puts.flatMap((key) => [1, 2, 0, 0, 1, 0, 0, 0, 9, key, key]);
  return Uint8Array.of(puts.length, 0, 0, 0, ...entries);
}
