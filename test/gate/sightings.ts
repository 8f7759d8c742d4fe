/**
 * What the guarded service saw: who came with a permit and who left, on the clock that all processes of
 * a host share. A holder is noted after it has its permit and before it gives it back, so that two who
 * were noted at once did hold at once.
 *
 * A record is 24 bytes, little-endian: time f64 · asked f64 · seats i32 · key u32; times in ns of the
 * monotonic clock, seats below 0 of one who left.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';

const RECORD_BYTES = 24;
const BUFFER_RECORDS = 20_000;

/** Exact below 2⁵³: 104 days after the host's start. */
export function nowNs(): number {
  const [seconds, ns] = process.hrtime();
  return seconds * 1e9 + ns;
}

export interface Sighting {
  readonly timeNs: number;
  readonly askedNs: number;
  readonly seats: number;
  readonly key: number;
}

/** The log of one process, in the order of its clock. */
export class SightingLog {
  readonly #file: number;
  readonly #bytes = Buffer.alloc(BUFFER_RECORDS * RECORD_BYTES);
  #at = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  came(key: number, seats: number, askedNs: number): void {
    this.#add(key, seats, askedNs);
  }

  left(key: number, seats: number): void {
    this.#add(key, -seats, 0);
  }

  flush(): void {
    writeSync(this.#file, this.#bytes, 0, this.#at);
    this.#at = 0;
  }

  #add(key: number, seats: number, askedNs: number): void {
    const bytes = this.#bytes;
    bytes.writeDoubleLE(nowNs(), this.#at);
    bytes.writeDoubleLE(askedNs, this.#at + 8);
    bytes.writeInt32LE(seats, this.#at + 16);
    bytes.writeUInt32LE(key, this.#at + 20);
    this.#at += RECORD_BYTES;
    if (this.#at === bytes.length) this.flush();
  }
}

/** All logs as one, in the order of the clock. */
export function* sightings(paths: readonly string[]): Generator<Sighting> {
  const readers = paths.map((path) => read(path));
  const heads = readers.map((reader) => reader.next().value as Sighting | undefined);
  for (;;) {
    let first = -1;
    heads.forEach((head, at) => {
      const best = heads[first];
      if (head !== undefined && (best === undefined || head.timeNs < best.timeNs)) first = at;
    });
    const head = heads[first];
    if (head === undefined) return;
    yield head;
    heads[first] = readers[first]?.next().value as Sighting | undefined;
  }
}

function* read(path: string): Generator<Sighting> {
  const file = openSync(path, 'r');
  const bytes = Buffer.alloc(BUFFER_RECORDS * RECORD_BYTES);
  try {
    for (;;) {
      const length = readSync(file, bytes);
      if (length === 0) return;
      for (let at = 0; at < length; at += RECORD_BYTES) {
        yield {
          timeNs: bytes.readDoubleLE(at),
          askedNs: bytes.readDoubleLE(at + 8),
          seats: bytes.readInt32LE(at + 16),
          key: bytes.readUInt32LE(at + 20),
        };
      }
    }
  } finally {
    closeSync(file);
  }
}
