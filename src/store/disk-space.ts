// Watches the free space of the data directory and tells when the reserve is reached and when it is whole again.
import { statfs } from 'node:fs/promises';
import type { Logger } from '../base/logger.ts';
import { LIMITS } from '../limits.ts';

export interface DiskSpaceOptions {
  directory: string;
  logger: Logger;
  /** Called at each change: true below the reserve, false when there is clearly more again. */
  onChange: (full: boolean) => void;
  reserveBytes?: number;
  intervalMs?: number;
  /** Free bytes of the file system that holds `directory`; tests pass their own. */
  freeBytes?: (directory: string) => Promise<number>;
}

/** Free space must pass the reserve by this factor before publishes are taken again. */
const AGAIN_FACTOR = 1.25;

export class DiskSpace {
  readonly #options: Required<DiskSpaceOptions>;
  #timer: NodeJS.Timeout | undefined;
  #full = false;
  #freeBytes = Number.NaN;
  #stopped = false;

  constructor(options: DiskSpaceOptions) {
    this.#options = {
      reserveBytes: LIMITS.diskReserveBytes,
      intervalMs: 1_000,
      freeBytes: freeBytesOf,
      ...options,
    };
  }

  /** Free bytes when last looked; NaN before the first look. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  get full(): boolean {
    return this.#full;
  }

  /** Looks once now and then every interval, until `stop`. */
  async start(): Promise<void> {
    await this.#look();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { directory, logger, freeBytes, intervalMs } = this.#options;
    try {
      this.#judge(await freeBytes(directory));
    } catch (error) {
      // Not knowing is no reason to refuse work: the last verdict stays.
      logger.warn({ err: error, directory }, 'free disk space cannot be read');
    }
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#look(), intervalMs).unref();
  }

  #judge(freeBytes: number): void {
    const { reserveBytes, logger, onChange } = this.#options;
    this.#freeBytes = freeBytes;
    const full = freeBytes < (this.#full ? reserveBytes * AGAIN_FACTOR : reserveBytes);
    if (full === this.#full || this.#stopped) return;
    this.#full = full;
    if (full) logger.error({ freeBytes, reserveBytes }, 'disk is full: publishes are refused');
    else logger.info({ freeBytes, reserveBytes }, 'disk has room again: publishes are taken');
    onChange(full);
  }
}

async function freeBytesOf(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
