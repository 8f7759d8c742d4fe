// Reads log records, versions 1 and 2, by the tables of docs/exchange.md.
import { RecordBytes } from './record-bytes.ts';
import { damaged, RecordError, readContent, times } from './record-header.ts';

const TAG = { returns: 1, settled: 2, handedOut: 3, handedTo: 4, scores: 5 } as const;

/** Where a message lives within its shard. */
export interface MessagePlace {
  readonly batch: number;
  readonly index: number;
}

/** Messages with consecutive indexes. */
export interface Run extends MessagePlace {
  readonly length: number;
}

export interface Return extends MessagePlace {
  readonly reason: number;
  readonly attempts: number;
  readonly dueMs: number;
  readonly flags: number;
}

/** Consecutive messages of the handed-out list that went to one subscription. */
export interface HandedTo {
  readonly count: number;
  readonly connection: number;
  readonly subscription: number;
}

export interface LogRecord {
  /** Wall clock of the exchange, ms since the epoch; 0 (unknown) in version 1. */
  readonly atMs: number;
  readonly returns: readonly Return[];
  readonly settled: readonly { readonly outcome: number; readonly runs: readonly Run[] }[];
  readonly handedOut: readonly Run[];
  /** Whom the handed-out messages went to, in their order; empty: not recorded. */
  readonly handedTo: readonly HandedTo[];
  /** Score of each handed-out message, cost units; empty: not recorded. */
  readonly scores: readonly bigint[];
}

/** Reads a log record. @throws RecordError */
export function decodeLogRecord(value: Uint8Array): LogRecord {
  const { version, bytes } = readContent(value, ['log']);
  const atMs = version === 1 ? 0 : Number(bytes.u64());
  const sections = readSections(bytes, version === 1 ? TAG.handedOut : TAG.scores);
  const read = <T>(tag: number, readSection: (section: RecordBytes) => T[]): T[] => {
    const section = sections.get(tag);
    if (section === undefined) return [];
    const list = readSection(section);
    section.end();
    return list;
  };
  const record = {
    atMs,
    returns: read(TAG.returns, readReturns),
    settled: read(TAG.settled, readSettled),
    handedOut: read(TAG.handedOut, readRuns),
    handedTo: read(TAG.handedTo, readHandedTo),
    scores: read(TAG.scores, readScores),
  };
  checkHandedOut(record);
  return record;
}

/** Splits into sections by tag, which ascend. */
function readSections(bytes: RecordBytes, tagMax: number): Map<number, RecordBytes> {
  const sections = new Map<number, RecordBytes>();
  for (let before = 0; bytes.left > 0; ) {
    const tag = bytes.u8();
    const section = bytes.take(bytes.varint());
    if (tag <= before || tag > tagMax || section.length === 0) {
      throw new RecordError('damaged', `section ${tag} of a log record`);
    }
    before = tag;
    sections.set(tag, new RecordBytes(section, damaged));
  }
  return sections;
}

/** What is said of the handed-out messages covers all of them, or nothing is said. */
function checkHandedOut({ handedOut, handedTo, scores }: LogRecord): void {
  const count = handedOut.reduce((sum, run) => sum + run.length, 0);
  const covered = handedTo.reduce((sum, group) => sum + group.count, 0);
  const isSound = [0, count].includes(covered) && [0, count].includes(scores.length);
  if (!isSound || handedTo.some((group) => group.count === 0)) {
    throw new RecordError('damaged', `${covered} and ${scores.length} of ${count} handed out`);
  }
}

function readSettled(section: RecordBytes): LogRecord['settled'][number][] {
  return times(section.varint(), () => ({ outcome: section.u8(), runs: readRuns(section) }));
}

function readHandedTo(section: RecordBytes): HandedTo[] {
  return times(section.varint(), () => {
    const [count, connection] = [section.varint(), section.varint()];
    return { count, connection, subscription: section.varint() };
  });
}

function readScores(section: RecordBytes): bigint[] {
  const scores: bigint[] = [];
  while (section.left > 0) scores.push(section.zigzag());
  return scores;
}

function readReturns(section: RecordBytes): Return[] {
  let expected = 0n;
  return times(section.varint(), () => {
    const key = section.key(expected);
    expected = key + 1n;
    const [reason, attempts] = [section.u8(), section.varint()];
    return { ...place(key), reason, attempts, dueMs: section.varint(), flags: section.u8() };
  });
}

function readRuns(section: RecordBytes): Run[] {
  let expected = 0n;
  return times(section.varint(), () => {
    const key = section.key(expected);
    const length = section.varint();
    expected = key + BigInt(length);
    return { ...place(key), length };
  });
}

function place(key: bigint): MessagePlace {
  return { batch: Number(key >> 16n), index: Number(key & 0xffffn) };
}
