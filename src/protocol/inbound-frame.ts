// The frame with which a gateway hands over what it received, kind 8, and its answer. Peers write
// these bytes: every length is checked, and nothing is allocated from an unchecked number.
import { HeaderReader } from './header-reader.ts';
import { KIND } from './kinds.ts';
import { pack } from './msgpack.ts';

export interface InboundEntry {
  readonly from: string;
  readonly to: string;
  readonly payload: Uint8Array;
  /** When it came in, ms since the epoch. */
  readonly atMs: number;
  /** The same key within a day: the same message. */
  readonly eventKey: string | undefined;
}

export interface RefusedInbound {
  /** Position in the frame. */
  readonly index: number;
  readonly code: number;
  readonly retryAfterMs: number | undefined;
}

export interface InboundResult {
  /** Taken, those that were here before included. */
  readonly taken: number;
  readonly refused: readonly RefusedInbound[];
}

export interface InboundBounds {
  readonly entries: number;
  readonly nameBytes: number;
  readonly payloadBytes: number;
  readonly keyBytes: number;
}

/** What is wrong with a frame: the name of an error, and what of it. */
export interface InboundFault {
  readonly error: 'malformedFrame' | 'wrongType' | 'tooManyMessages' | 'invalidValue';
  readonly message: string;
}

const FIELDS_MIN = 4;

/** Reads a whole frame of kind 8, or tells what is wrong with it. */
export function decodeInbound(
  bytes: Uint8Array,
  bounds: InboundBounds,
): readonly InboundEntry[] | InboundFault {
  const reader = new HeaderReader();
  reader.begin(bytes);
  const fields = reader.arrayLength();
  if (fields < 3 || reader.uint32() !== KIND.inbound || reader.uint32() < 0) {
    return { error: 'malformedFrame', message: 'it does not begin as an inbound frame' };
  }
  const count = reader.arrayLength();
  if (count < 0) return { error: 'wrongType', message: 'messages is no list' };
  if (count > bounds.entries) {
    return {
      error: 'tooManyMessages',
      message: `at most ${bounds.entries} messages, got ${count}`,
    };
  }
  const entries: InboundEntry[] = [];
  for (let index = 0; index < count; index += 1) {
    const entry = readEntry(reader, bounds);
    if (typeof entry === 'string') {
      return { error: 'invalidValue', message: `message ${index}: ${entry}` };
    }
    entries.push(entry);
  }
  for (let field = 3; field < fields; field += 1) {
    if (!reader.skip()) return { error: 'malformedFrame', message: 'it ends early' };
  }
  if (reader.at === bytes.length) return entries;
  return { error: 'malformedFrame', message: 'there are bytes after it' };
}

/** Bytes of such a frame. */
export function encodeInbound({
  id,
  messages,
}: {
  readonly id: number;
  readonly messages: readonly InboundEntry[];
}): Uint8Array<ArrayBuffer> {
  const entries = messages.map(({ from, to, payload, atMs, eventKey }) => {
    return [from, to, payload, atMs, eventKey ?? null];
  });
  return pack([KIND.inbound, id, entries]);
}

export function encodeInboundOk({
  id,
  taken,
  refused,
}: InboundResult & { readonly id: number }): Uint8Array<ArrayBuffer> {
  const entries = refused.map(({ index, code, retryAfterMs }) => [
    index,
    code,
    retryAfterMs ?? null,
  ]);
  return pack([KIND.ok, id, taken, refused.length === 0 ? null : entries]);
}

function readEntry(reader: HeaderReader, bounds: InboundBounds): InboundEntry | string {
  const fields = reader.arrayLength();
  if (fields < FIELDS_MIN) return 'it is no list of from, to, payload, at';
  const from = reader.text(bounds.nameBytes);
  if (from === undefined || from === '') return `from is a text of 1 to ${bounds.nameBytes} bytes`;
  const to = reader.text(bounds.nameBytes);
  if (to === undefined || to === '') return `to is a text of 1 to ${bounds.nameBytes} bytes`;
  const payload = reader.binary(bounds.payloadBytes);
  if (payload === undefined) return `payload is at most ${bounds.payloadBytes} bytes`;
  const atMs = reader.integer();
  if (atMs === undefined) return 'at is a whole number';
  let eventKey: string | undefined;
  if (fields > FIELDS_MIN && !reader.nil()) {
    eventKey = reader.text(bounds.keyBytes);
    if (eventKey === undefined || eventKey === '') {
      return `event key is a text of 1 to ${bounds.keyBytes} bytes`;
    }
  }
  for (let field = FIELDS_MIN + 1; field < fields; field += 1) {
    if (!reader.skip()) return 'it ends early';
  }
  return { from, to, payload, atMs, eventKey };
}
