// Checks the type of each field of a daemon's frame: the daemon is trusted, its version is not.
import { MESSAGE_ID_BYTES } from './message-id.ts';

/** The bytes are no frame of a daemon that speaks version 1. */
export class BadFrameError extends Error {
  override readonly name = 'BadFrameError';
}

export function uint(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong(value, field, 'an unsigned integer');
}

export function text(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  throw wrong(value, field, 'a string');
}

export function binary(value: unknown, field: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw wrong(value, field, 'bytes');
}

export function messageId(value: unknown, field: string): Uint8Array {
  const id = binary(value, field);
  if (id.length === MESSAGE_ID_BYTES) return id;
  throw wrong(value, field, `${MESSAGE_ID_BYTES} bytes`);
}

export function array(value: unknown, field: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw wrong(value, field, 'an array');
}

export function map(value: unknown, field: string): Record<string, unknown> {
  const isMap =
    typeof value === 'object' &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
  if (isMap) return value as Record<string, unknown>;
  throw wrong(value, field, 'a map');
}

export function optional<T>(
  value: unknown,
  field: string,
  read: (value: unknown, field: string) => T,
): T | undefined {
  return value === null || value === undefined ? undefined : read(value, field);
}

function wrong(value: unknown, field: string, expected: string): BadFrameError {
  const received = value === null ? 'nil' : Array.isArray(value) ? 'an array' : typeof value;
  return new BadFrameError(`${field} is not ${expected}; received ${received}`);
}
