/**
 * A machine of the main thread whose step has two phases: it first says which records it wants, which
 * are read from its store in the same turn, and goes on with them.
 */
import type { Environment } from '../store/environment.ts';
import type { MainMachine, MainStep } from './main-machine.ts';

export interface TwoPhaseMachine {
  /**
   * `committedStep`: the newest step whose journal can be read.
   *
   * @returns bytes that `takeWants` writes; 0: it wants nothing
   */
  step(nowUs: number, committedStep: number, input: Uint8Array): { readonly wantsBytes: number };
  /** u32 n, then for each: u8 kind (0 one key, 1 a range) · u16 length · key [· u16 length · key behind]. */
  takeWants(output: Uint8Array): void;
  /** Puts in the form of a journal, in the order of the wants; an empty put ends each want. */
  give(records: Uint8Array): MainStep;
  takeEffects(output: Uint8Array): void;
  takeJournal(output: Uint8Array): void;
}

export interface WantingMachineOptions {
  readonly machine: TwoPhaseMachine;
  readonly environment: Pick<Environment, 'get' | 'range' | 'refresh'>;
  /** Newest step whose transaction can be read. */
  readonly committed: () => number;
}

const NOTHING = new Uint8Array(4);
const ROOM_FIRST_BYTES = 64 * 1024;
/** A larger answer is not kept. */
const ROOM_KEPT_BYTES = 4 * 1024 * 1024;
const ENTRY_HEADER_BYTES = 8;
const PUT = 1;
const RANGE = 1;
const NO_BYTES = new Uint8Array(0);

export class WantingMachine implements MainMachine {
  readonly #options: WantingMachineOptions;
  #room = new Uint8Array(ROOM_FIRST_BYTES);
  #used = 0;
  #entries = 0;

  constructor(options: WantingMachineOptions) {
    this.#options = options;
  }

  step(nowUs: number, input: Uint8Array): MainStep {
    const { machine, committed } = this.#options;
    const { wantsBytes } = machine.step(nowUs, committed(), input);
    if (wantsBytes === 0) return machine.give(NOTHING);
    const wants = new Uint8Array(wantsBytes);
    machine.takeWants(wants);
    const made = machine.give(this.#read(wants));
    if (this.#room.length > ROOM_KEPT_BYTES) this.#room = new Uint8Array(ROOM_FIRST_BYTES);
    return made;
  }

  takeEffects(output: Uint8Array): void {
    this.#options.machine.takeEffects(output);
  }

  takeJournal(output: Uint8Array): void {
    this.#options.machine.takeJournal(output);
  }

  #read(wants: Uint8Array): Uint8Array {
    const { environment } = this.#options;
    environment.refresh();
    this.#used = 4;
    this.#entries = 0;
    const view = new DataView(wants.buffer, wants.byteOffset, wants.length);
    let at = 4;
    const key = (): Uint8Array => {
      const start = at + 2;
      at = start + view.getUint16(at, true);
      return wants.subarray(start, at);
    };
    for (let left = view.getUint32(0, true); left > 0; left -= 1) {
      const kind = wants[at];
      at += 1;
      const first = key();
      if (kind === RANGE) {
        for (const entry of environment.range(first, key())) this.#put(entry.key, entry.value);
      } else {
        const value = environment.get(first);
        if (value !== undefined) this.#put(first, value);
      }
      this.#put(NO_BYTES, NO_BYTES);
    }
    new DataView(this.#room.buffer).setUint32(0, this.#entries, true);
    return this.#room.subarray(0, this.#used);
  }

  #put(key: Uint8Array, value: Uint8Array): void {
    const at = this.#used;
    const end = at + ENTRY_HEADER_BYTES + key.length + value.length;
    if (end > this.#room.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#room.length));
      larger.set(this.#room.subarray(0, at));
      this.#room = larger;
    }
    this.#room.set([PUT, key.length & 0xff, key.length >> 8, 0], at);
    new DataView(this.#room.buffer).setUint32(at + 4, value.length, true);
    this.#room.set(key, at + ENTRY_HEADER_BYTES);
    this.#room.set(value, at + ENTRY_HEADER_BYTES + key.length);
    this.#used = end;
    this.#entries += 1;
  }
}
