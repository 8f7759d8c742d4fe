/**
 * How a server of the bench knows which message it has: its number stands as `#0001234#` somewhere in
 * what was sent, and nothing else there has that form.
 */

const HASH = 0x23;
const ZERO = 0x30;
const DIGITS = 7;
export const MARKER_BYTES = DIGITS + 2;
/** Numbers are below. */
export const MARKERS_MAX = 10 ** DIGITS;

export function markerText(sequence: number): string {
  return `#${String(sequence).padStart(DIGITS, '0')}#`;
}

/** The place of the next marker at or after `from`, or -1. */
export function nextMarker(bytes: Buffer, from: number): number {
  let at = bytes.indexOf(HASH, from);
  while (at !== -1 && !isMarker(bytes, at)) at = bytes.indexOf(HASH, at + 1);
  return at;
}

function isMarker(bytes: Buffer, at: number): boolean {
  if (bytes[at + MARKER_BYTES - 1] !== HASH) return false;
  for (let digit = at + 1; digit <= at + DIGITS; digit += 1) {
    const value = (bytes[digit] as number) - ZERO;
    if (value < 0 || value > 9) return false;
  }
  return true;
}

export function readMarker(bytes: Buffer, at: number): number {
  let sequence = 0;
  for (let digit = at + 1; digit <= at + DIGITS; digit += 1) {
    sequence = sequence * 10 + (bytes[digit] as number) - ZERO;
  }
  return sequence;
}

export function writeMarker(bytes: Buffer, at: number, sequence: number): void {
  let rest = sequence;
  for (let digit = at + DIGITS; digit > at; digit -= 1) {
    bytes[digit] = ZERO + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

/** Places of all markers, in order. */
export function markersOf(bytes: Buffer): number[] {
  const places: number[] = [];
  for (let at = nextMarker(bytes, 0); at !== -1; at = nextMarker(bytes, at + MARKER_BYTES)) {
    places.push(at);
  }
  return places;
}

/** A text of `bytes` ASCII characters, all of the GSM alphabet, that says which message it is. */
export function markedText(sequence: number, bytes: number): string {
  const filler = 'The quick brown fox jumps over the lazy dog. ';
  return (
    markerText(sequence) +
    filler.repeat(Math.ceil(bytes / filler.length)).slice(0, bytes - MARKER_BYTES)
  );
}
