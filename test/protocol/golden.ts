// The golden files of test/golden, which the native core reads too.
import { readFileSync } from 'node:fs';

/** Reads one golden file; the caller knows its shape. */
export function golden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../golden/${name}`, import.meta.url), 'utf8')) as T;
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** What JSON can hold of a value: bytes as hex, absent as null, bigint as number. */
export function plain(value: unknown): unknown {
  const replace = (_: string, part: unknown): unknown => {
    if (part === undefined) return null;
    return typeof part === 'bigint' ? Number(part) : part;
  };
  const hexed = (part: unknown): unknown => {
    if (part instanceof Uint8Array) return hexOf(part);
    if (Array.isArray(part)) return part.map(hexed);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, hexed(inner)]));
  };
  return JSON.parse(JSON.stringify(hexed(value), replace) ?? 'null');
}
