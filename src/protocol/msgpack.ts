// msgpackr with the settings that the protocol needs. Only for trusted bytes: frames of clients are
// decoded by the native core.
import { Packr } from 'msgpackr';

/** No records (a msgpackr extension), `undefined` as nil, 64-bit integers as numbers. */
const packr = new Packr({
  useRecords: false,
  encodeUndefinedAsNil: true,
  int64AsType: 'number',
  variableMapSize: true,
});

/** Encodes a value. Integers above 2³² become float 64, which the core takes as whole numbers. */
export function pack(value: unknown): Uint8Array<ArrayBuffer> {
  return packr.pack(value) as Uint8Array<ArrayBuffer>;
}

/**
 * Decodes one value; binary values are views of `bytes`, not copies.
 *
 * @throws Error if the bytes are no msgpack, or more than one value
 */
export function unpack(bytes: Uint8Array): unknown {
  return packr.unpack(bytes);
}

/** Decodes values that stand one after another. */
export function unpackAll(bytes: Uint8Array): unknown[] {
  return packr.unpackMultiple(bytes);
}
