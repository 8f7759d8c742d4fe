// The journal buffer that a native step hands to the worker: puts and deletes of one transaction.

/** One entry; key and value are views of the journal. */
export interface JournalEntry {
  /** False: a delete, whose value is empty. */
  readonly put: boolean;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const HEADER_BYTES = 8;
/** The length of a key is the byte behind the operation and, above it, the next two. */
const KEY_HIGH = 256;

/**
 * Iterates over a journal.
 *
 * @throws RangeError at bytes that are no journal
 */
export function* readJournal(bytes: Uint8Array): Generator<JournalEntry, void, undefined> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 4) throw damaged(0);
  let at = 4;
  for (let left = view.getUint32(0, true); left > 0; left -= 1) {
    if (at + HEADER_BYTES > bytes.length) throw damaged(at);
    const op = bytes[at];
    const key = at + HEADER_BYTES;
    const value = key + (bytes[at + 1] as number) + KEY_HIGH * view.getUint16(at + 2, true);
    const end = value + view.getUint32(at + 4, true);
    const isWhole = end <= bytes.length;
    if (!isWhole || !(op === 1 || (op === 2 && end === value))) throw damaged(at);
    yield { put: op === 1, key: bytes.subarray(key, value), value: bytes.subarray(value, end) };
    at = end;
  }
  if (at !== bytes.length) throw damaged(at);
}

function damaged(at: number): RangeError {
  return new RangeError(`the journal is damaged at byte ${at}`);
}
