/**
 * What a disk may hold after the power fails, from the shim's log.
 *
 * A write becomes durable when a sync that began after it had ended ends, or when it ended itself on
 * a descriptor of O_DSYNC. Of every other write, finished or not, each sector of 512 bytes may be
 * there or not; of several writes to one sector, any.
 */
import { below, type Random } from './traffic.ts';

const SECTOR_BYTES = 512;
const MAGIC = 0x54554346;
const HEADER_BYTES = 24;
export const LOG_KIND = {
  open: 1,
  write: 2,
  written: 3,
  sync: 4,
  synced: 5,
  truncate: 6,
  failed: 7,
  mapped: 8,
} as const;
const KIND = LOG_KIND;
const FLAG_SYNCHRONOUS = 1;

export interface LogRecord {
  readonly number: number;
  readonly kind: number;
  readonly synchronous: boolean;
  readonly file: number;
  readonly of: number;
  readonly offset: number;
  /** A view of the log. */
  readonly bytes: Buffer;
}

/** The last record may be cut: the process was killed. */
export function readLog(log: Buffer): LogRecord[] {
  const records: LogRecord[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= log.length) {
    if (log.readUInt32LE(at) !== MAGIC) throw new Error(`the shim's log is damaged at ${at}`);
    const start = at + HEADER_BYTES;
    const end = start + log.readUInt32LE(at + 12);
    if (end > log.length) break;
    records.push({
      number: records.length,
      kind: log[at + 4] as number,
      synchronous: ((log[at + 5] as number) & FLAG_SYNCHRONOUS) !== 0,
      file: log.readUInt16LE(at + 6),
      of: log.readUInt32LE(at + 8),
      offset: Number(log.readBigUInt64LE(at + 16)),
      bytes: log.subarray(start, end),
    });
    at = end;
  }
  return records;
}

/** A write's content of one sector, all bytes of it. */
interface Version {
  readonly write: number;
  readonly bytes: Buffer;
}

/** How much of what was not synced is on the disk. */
export type Fate = 'none' | 'all' | 'some';

export class DiskFile {
  /** Bytes that are on the disk whatever happens. */
  #durable = Buffer.alloc(1024 * 1024);
  #durableBytes = 0;
  /** By sector: what was written and is not durable, oldest first. */
  readonly #pending = new Map<number, Version[]>();
  /** Sectors of each write that is not durable. */
  readonly #sectorsOf = new Map<number, number[]>();
  readonly #ended = new Set<number>();
  /** By the number of a sync under way: writes that it makes durable. */
  readonly #syncs = new Map<number, number[]>();

  take(record: LogRecord): void {
    if (record.kind === KIND.write) this.#write(record);
    else if (record.kind === KIND.written) {
      if (record.synchronous) this.#settle([record.of]);
      else this.#ended.add(record.of);
    } else if (record.kind === KIND.sync) {
      const covered = [...this.#sectorsOf.keys()].filter((write) => this.#ended.has(write));
      this.#syncs.set(record.number, covered);
    } else if (record.kind === KIND.synced) {
      this.#settle(this.#syncs.get(record.of) ?? []);
      this.#syncs.delete(record.of);
    } else if (record.kind === KIND.truncate || record.kind === KIND.failed) {
      throw new Error('the model knows no truncation and no failed write of a data file');
    }
  }

  get pendingSectors(): number {
    return this.#pending.size;
  }

  image(fate: Fate, random: Random): Buffer {
    const last = fate === 'none' ? 0 : Math.max(0, ...this.#pending.keys()) + 1;
    const image = Buffer.alloc(Math.max(this.#durableBytes, last * SECTOR_BYTES));
    this.#durable.copy(image, 0, 0, this.#durableBytes);
    if (fate === 'none') return image;
    const share = random();
    for (const [sector, versions] of this.#pending) {
      if (fate === 'some' && random() >= share) continue;
      const at = fate === 'all' ? versions.length - 1 : below(random, versions.length);
      versions[at]?.bytes.copy(image, sector * SECTOR_BYTES);
    }
    return image;
  }

  #write({ number, offset, bytes }: LogRecord): void {
    const sectors: number[] = [];
    const end = offset + bytes.length;
    for (let at = offset; at < end; ) {
      const sector = Math.floor(at / SECTOR_BYTES);
      const start = sector * SECTOR_BYTES;
      const upTo = Math.min(end, start + SECTOR_BYTES);
      const content = this.#seen(sector);
      bytes.copy(content, at - start, at - offset, upTo - offset);
      const versions = this.#pending.get(sector);
      if (versions === undefined) this.#pending.set(sector, [{ write: number, bytes: content }]);
      else versions.push({ write: number, bytes: content });
      sectors.push(sector);
      at = upTo;
    }
    this.#sectorsOf.set(number, sectors);
  }

  /** A copy of what a read of the sector would give. */
  #seen(sector: number): Buffer {
    const newest = this.#pending.get(sector)?.at(-1);
    if (newest !== undefined) return Buffer.from(newest.bytes);
    const content = Buffer.alloc(SECTOR_BYTES);
    const start = sector * SECTOR_BYTES;
    // A sector after the end of what is durable was never written.
    const end = Math.min(start + SECTOR_BYTES, this.#durableBytes);
    if (start < end) this.#durable.copy(content, 0, start, end);
    return content;
  }

  #settle(writes: readonly number[]): void {
    for (const write of writes) {
      for (const sector of this.#sectorsOf.get(write) ?? []) this.#settleSector(sector, write);
      this.#sectorsOf.delete(write);
      this.#ended.delete(write);
    }
  }

  /** What was written to it before is gone, what came later still may be there or not. */
  #settleSector(sector: number, write: number): void {
    const versions = this.#pending.get(sector) ?? [];
    const at = versions.findIndex((version) => version.write === write);
    if (at < 0) return;
    const end = (sector + 1) * SECTOR_BYTES;
    while (end > this.#durable.length) {
      this.#durable = Buffer.concat([this.#durable, Buffer.alloc(this.#durable.length)]);
    }
    versions[at]?.bytes.copy(this.#durable, sector * SECTOR_BYTES);
    this.#durableBytes = Math.max(this.#durableBytes, end);
    const later = versions.slice(at + 1);
    if (later.length === 0) this.#pending.delete(sector);
    else this.#pending.set(sector, later);
  }
}
