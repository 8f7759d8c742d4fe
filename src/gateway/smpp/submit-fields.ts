/** Turns a message into the fields of its submit_sm PDUs: addresses, coding, parts, validity. Pure. */
import { LIMITS } from '../../limits.ts';
import { SMS_PARTS_MAX, SMS_UNITS, segmentsOf, splitText } from '../../protocol/sms-text.ts';
import type { SubmitFields } from './submit-codec.ts';
import { INVALID_DESTINATION, INVALID_LENGTH, INVALID_SOURCE } from './submit-status.ts';
import type { SmppMessage } from './types.ts';

/** The fields of each part in order, or the command_status of what cannot be written. */
export type SubmitParts = { readonly parts: readonly SubmitFields[] } | { readonly code: number };

export interface Address {
  /** Type of number and numbering plan (SMPP 3.4 §5.2.5, §5.2.6). */
  readonly ton: number;
  readonly npi: number;
  readonly address: string;
}

const UDH_INDICATOR = 0x40;
const CODING_BINARY = 4;
const CODING_UCS2 = 8;
/** Octets of one short message, and of a part with a header of 6. */
const BINARY_SINGLE = 140;
const BINARY_PART = 134;

const international = /^\+([1-9][0-9]{0,14})$/;
const digits = /^[0-9]{1,20}$/;
const alphanumeric = /^[\x20-\x7e]{1,11}$/;
/** Digits of a short code at most; more digits are a number in a form that only the peer knows. */
const SHORT_DIGITS = 8;

/**
 * A number by its form: `+` and digits is international (1/1); 3 to 8 digits are a short code, network
 * specific (3/0); other digits go out as they are (0/1). Undefined for anything else.
 */
export function numberAddress(text: string): Address | undefined {
  const e164 = international.exec(text)?.[1];
  if (e164 !== undefined) return { ton: 1, npi: 1, address: e164 };
  if (!digits.test(text)) return undefined;
  const short = text.length >= 3 && text.length <= SHORT_DIGITS;
  return short ? { ton: 3, npi: 0, address: text } : { ton: 0, npi: 1, address: text };
}

/** A sender: a number, '' (0/0, the peer chooses), or 1 to 11 printable ASCII characters (5/0). */
export function senderAddress(text: string): Address | undefined {
  if (text === '') return { ton: 0, npi: 0, address: '' };
  const number = numberAddress(text);
  if (number !== undefined) return number;
  return alphanumeric.test(text) ? { ton: 5, npi: 0, address: text } : undefined;
}

/** The form of an address that came in: `+` before an international one, else as it is. */
export function addressText(ton: number, address: string): string {
  return ton === 1 && address !== '' && !address.startsWith('+') ? `+${address}` : address;
}

/** Relative time of SMPP 3.4 §7.1.1.2, whole seconds rounded up; days carry it, so no month is guessed. */
export function relativeTime(ms: number): string {
  const seconds = Math.max(1, Math.ceil(Math.min(ms, LIMITS.validityMsMax) / 1_000));
  const two = (value: number): string => String(value).padStart(2, '0');
  const [days, rest] = [Math.floor(seconds / 86_400), seconds % 86_400];
  const clock =
    two(Math.floor(rest / 3_600)) + two(Math.floor((rest % 3_600) / 60)) + two(rest % 60);
  return `0000${two(days)}${clock}000R`;
}

export function submitParts(
  message: SmppMessage,
  reference: number,
  defaultDataCoding: number,
): SubmitParts {
  const source = senderAddress(message.from);
  if (source === undefined) return { code: INVALID_SOURCE };
  const destination = numberAddress(message.to);
  if (destination === undefined) return { code: INVALID_DESTINATION };
  const split =
    typeof message.content === 'string'
      ? textParts(message.content, reference, defaultDataCoding)
      : binaryParts(message.content, reference);
  if (split === undefined) return { code: INVALID_LENGTH };
  const parts = split.bodies.map((short_message) => ({
    source_addr_ton: source.ton,
    source_addr_npi: source.npi,
    source_addr: source.address,
    dest_addr_ton: destination.ton,
    dest_addr_npi: destination.npi,
    destination_addr: destination.address,
    esm_class: split.bodies.length === 1 ? 0 : UDH_INDICATOR,
    priority_flag: message.priority,
    validity_period: message.validityMs === null ? '' : relativeTime(message.validityMs),
    registered_delivery: message.receipt ? 1 : 0,
    data_coding: split.coding,
    short_message,
  }));
  return { parts };
}

interface Split {
  readonly coding: number;
  /** Each with its header. */
  readonly bodies: readonly Buffer[];
}

function textParts(text: string, reference: number, defaultDataCoding: number): Split | undefined {
  const isShort = text.length <= SMS_UNITS.gsm7.single;
  if (!isShort && segmentsOf(text).segments > SMS_PARTS_MAX) return undefined;
  const { encoding, parts } = splitText(text, reference);
  const coding = encoding === 'ucs2' ? CODING_UCS2 : defaultDataCoding;
  return { coding, bodies: parts.map(({ header, body }) => joined(header, body)) };
}

function binaryParts(octets: Uint8Array, reference: number): Split | undefined {
  if (octets.length <= BINARY_SINGLE)
    return { coding: CODING_BINARY, bodies: [joined(null, octets)] };
  const count = Math.ceil(octets.length / BINARY_PART);
  if (count > SMS_PARTS_MAX) return undefined;
  const bodies = Array.from({ length: count }, (_, index) => {
    const header = Uint8Array.of(5, 0, 3, reference, count, index + 1);
    return joined(header, octets.subarray(index * BINARY_PART, (index + 1) * BINARY_PART));
  });
  return { coding: CODING_BINARY, bodies };
}

const joined = (header: Uint8Array | null, body: Uint8Array): Buffer =>
  header === null
    ? Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    : Buffer.concat([header, body]);
