/** Commands of the Redis side, encoded once (RESP2), and its answers as places in the bytes. */
import { type ScriptHashes, setName } from '../redis-scripts.ts';
import { type PairShape, tenantAt } from './pair-loop.ts';

const CR = 0x0d;
const LF = 0x0a;
const INTEGER = 0x3a;
const ARRAY = 0x2a;
const MINUS = 0x2d;
/** As long as the daemon's. */
const PERMIT_BYTES = 16;

export type Arguments = readonly (string | number)[];

/** Of each slot. */
export interface PairCommands<T> {
  readonly acquires: readonly T[];
  readonly releases: readonly T[];
}

/** The first argument is the command. */
export function pairCommands(shape: PairShape, scripts: ScriptHashes): PairCommands<Arguments> {
  const { slots, list, limit, leaseMs, resource, tenants } = shape;
  const acquires: Arguments[] = [];
  const releases: Arguments[] = [];
  for (let slot = 0; slot < slots; slot += 1) {
    const entries = Array.from({ length: list }, (_, entry) => entry);
    const keys = entries.map((entry) =>
      setName(resource, tenants[tenantAt(shape, slot, entry)] as string),
    );
    const permits = entries.map((entry) => `${slot}.${entry}.`.padEnd(PERMIT_BYTES, 'x'));
    const acquire = list === 1 ? scripts.acquireOne : scripts.acquireList;
    acquires.push(['EVALSHA', acquire, list, ...keys, limit, leaseMs, ...permits]);
    releases.push(
      list === 1
        ? ['ZREM', ...keys, ...permits]
        : ['EVALSHA', scripts.releaseList, list, ...keys, ...permits],
    );
  }
  return { acquires, releases };
}

export function encodeCommands(commands: PairCommands<Arguments>): PairCommands<Buffer> {
  const { acquires, releases } = commands;
  return { acquires: acquires.map(encodeCommand), releases: releases.map(encodeCommand) };
}

export function encodeCommand(args: Arguments): Buffer {
  const parts = args.map((arg) => `$${Buffer.byteLength(String(arg))}\r\n${arg}\r\n`);
  return Buffer.from(`*${args.length}\r\n${parts.join('')}`);
}

/** Reads answers that are whole numbers, or lists of them. */
export class RedisAnswers {
  /** Begin of the next answer. */
  at = 0;
  /** Of the answer read last: its numbers' smallest and largest, and how many there were. */
  smallest = 0;
  largest = 0;
  count = 0;

  /** False when the rest is no complete answer. @throws Error at an error of Redis */
  next(bytes: Buffer, filled: number): boolean {
    const head = bytes[this.at];
    if (this.at >= filled) return false;
    let [left, at] = [1, this.at];
    if (head === ARRAY) {
      at = endOfLine(bytes, at, filled);
      if (at < 0) return false;
      left = lineNumber(bytes, this.at, at);
    }
    let [smallest, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    this.count = left;
    for (; left > 0; left -= 1) {
      const end = endOfLine(bytes, at, filled);
      if (end < 0) return false;
      if (bytes[at] !== INTEGER) throw new Error(bytes.toString('utf8', at, end - 2));
      const value = lineNumber(bytes, at, end);
      if (value < smallest) smallest = value;
      if (value > largest) largest = value;
      at = end;
    }
    this.smallest = smallest;
    this.largest = largest;
    this.at = at;
    return true;
  }
}

/** Behind the line's end; −1: it is not there yet. */
function endOfLine(bytes: Buffer, from: number, filled: number): number {
  for (let at = from + 1; at < filled; at += 1) {
    if (bytes[at] === LF && bytes[at - 1] === CR) return at + 1;
  }
  return -1;
}

/** The number between a line's first byte and its end. */
function lineNumber(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  const isNegative = bytes[start + 1] === MINUS;
  for (let at = start + (isNegative ? 2 : 1); at < end - 2; at += 1) {
    value = value * 10 + ((bytes[at] as number) - 0x30);
  }
  return isNegative ? -value : value;
}
