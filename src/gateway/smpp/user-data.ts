/** User data of messages from phones: its header (3GPP TS 23.040 §9.2.3.24) and its text. Pure. */
import { decodeGsm7, decodeUcs2 } from '../../protocol/sms-text.ts';

export interface Concatenation {
  readonly reference: number;
  readonly count: number;
  /** 1 to `count`. */
  readonly number: number;
}

export interface UserData {
  readonly body: Uint8Array;
  readonly concatenation: Concatenation | undefined;
  /** The other elements, without the length octet before them; null where there are none. */
  readonly header: Uint8Array | null;
}

const CONCATENATION_8 = 0x00;
const CONCATENATION_16 = 0x08;

/** Takes octets that begin with a header apart. A header that is longer than the octets is none: all is body. */
export function readUserData(octets: Uint8Array): UserData {
  const end = 1 + (octets[0] ?? 0);
  if (end > octets.length) return { body: octets, concatenation: undefined, header: null };
  let concatenation: Concatenation | undefined;
  const others: number[] = [];
  let at = 1;
  while (at + 2 <= end) {
    const next = at + 2 + (octets[at + 1] as number);
    if (next > end) break;
    const found = concatenationOf(octets.subarray(at, next));
    if (found === undefined) others.push(...octets.subarray(at, next));
    else concatenation = found;
    at = next;
  }
  const header = others.length === 0 ? null : Uint8Array.from(others);
  return { body: octets.subarray(end), concatenation, header };
}

function concatenationOf(element: Uint8Array): Concatenation | undefined {
  const [id, length, a = 0, b = 0, c = 0, d = 0] = element;
  if (id === CONCATENATION_8 && length === 3) return concatenation(a, b, c);
  if (id === CONCATENATION_16 && length === 4) return concatenation((a << 8) | b, c, d);
  return undefined;
}

/** Undefined where the numbers name no part. A message of one part needs no joining. */
export function concatenation(
  reference: number,
  count: number,
  number: number,
): Concatenation | undefined {
  return count > 1 && number >= 1 && number <= count ? { reference, count, number } : undefined;
}

const decodeLatin1 = (octets: Uint8Array): string => Buffer.from(octets).toString('latin1');

/** The text of octets by their data_coding (SMPP 3.4 §5.2.19); null where it is not text that is known here. */
export function textOf(octets: Uint8Array, dataCoding: number): string | null {
  // GSM message class control: the alphabet is in one bit.
  if ((dataCoding & 0xf4) === 0xf0 || dataCoding === 0) return decodeGsm7(octets);
  if (dataCoding === 1 || dataCoding === 3) return decodeLatin1(octets);
  return dataCoding === 8 ? decodeUcs2(octets) : null;
}
