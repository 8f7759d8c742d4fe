/** Resident memory of a process while it is loaded, and when it rests. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseProcessMemory } from '../../../bench/process-times.ts';

const SAMPLE_MS = 250;
/** Rest before a sample counts as one at rest. */
const REST_MS = 1000;

export class MemoryWatch {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peakMiB = 0;
  readonly atRestMiB: number[] = [];

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  get peakMiB(): number {
    return this.#peakMiB;
  }

  /** To be called when nothing is under way. */
  async rest(): Promise<void> {
    await sleep(REST_MS);
    this.atRestMiB.push(this.#sample());
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Without files in the page cache: the store's map is no use of memory. */
  #sample(): number {
    const { rssAnonMiB } = parseProcessMemory(readFileSync(`/proc/${this.#pid}/status`, 'utf8'));
    this.#peakMiB = Math.max(this.#peakMiB, Math.round(rssAnonMiB));
    return Math.round(rssAnonMiB);
  }
}
