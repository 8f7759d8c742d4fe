// An environment in memory that can lose what it did not flush: a transaction is on the disk some
// turns after it was queued, and a crash takes those that are not there yet.
import type { Entry, Writes } from '../../src/store/environment.ts';

type Step = readonly [key: string, value: Uint8Array | undefined];

const textOf = (key: Uint8Array): string => Buffer.from(key).toString('latin1');
const keyOf = (text: string): Uint8Array => Buffer.from(text, 'latin1');

export class CrashingEnvironment {
  readonly #disk: Map<string, Uint8Array>;
  readonly #random: () => number;
  #open: { steps: Step[]; done: Promise<void> } | undefined;
  #last: Promise<void> = Promise.resolve();
  #isCrashed = false;
  commits = 0;

  constructor(random: () => number, disk = new Map<string, Uint8Array>()) {
    this.#random = random;
    this.#disk = disk;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#disk.get(textOf(key));
  }

  refresh(): void {}

  *range(start: Uint8Array, end: Uint8Array): Generator<Entry, void> {
    const [from, to] = [textOf(start), textOf(end)];
    const keys = [...this.#disk.keys()].filter((key) => key >= from && key < to).sort();
    for (const key of keys) yield { key: keyOf(key), value: this.#disk.get(key) as Uint8Array };
  }

  count(start: Uint8Array, end: Uint8Array): number {
    return [...this.range(start, end)].length;
  }

  /** All of one turn are one transaction. */
  async commitQueued(write: (writes: Writes) => void): Promise<void> {
    this.#open ??= this.#begin();
    const { steps, done } = this.#open;
    write({
      put: (key, value) => steps.push([textOf(key), Buffer.from(value)]),
      remove: (key) => steps.push([textOf(key), undefined]),
    });
    await done;
  }

  /** What is on the disk, for the next process; this one hears nothing any more. */
  crash(): CrashingEnvironment {
    this.#isCrashed = true;
    return new CrashingEnvironment(this.#random, new Map(this.#disk));
  }

  #begin(): { steps: Step[]; done: Promise<void> } {
    const steps: Step[] = [];
    const before = this.#last;
    const done = (async () => {
      await new Promise((resolve) => setImmediate(resolve));
      this.#open = undefined;
      await before;
      await this.#turns();
      if (this.#isCrashed) return await new Promise<never>(() => {});
      for (const [key, value] of steps) {
        if (value === undefined) this.#disk.delete(key);
        else this.#disk.set(key, value);
      }
      this.commits += 1;
      // On the disk, and nobody knows yet.
      await this.#turns();
      if (this.#isCrashed) return await new Promise<never>(() => {});
    })();
    this.#last = done;
    return { steps, done };
  }

  async #turns(): Promise<void> {
    const turns = Math.floor(this.#random() * 4);
    for (let turn = 0; turn < turns; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
