/**
 * Text of short messages: which alphabet a text needs, how many segments it takes, its octets.
 *
 * GSM 7-bit default alphabet with its extension table (3GPP TS 23.038 §6.2.1), else UCS-2; parts of a
 * long text carry a concatenation header with an 8-bit reference (3GPP TS 23.040 §9.2.3.24.1). Octets
 * are unpacked, one a septet, as SMPP carries them. No national shift tables, no other characters put
 * in place of those that the alphabet lacks: text arrives as it was written.
 */

/** `gsm7`: septets of the default alphabet, an extension character takes two. `ucs2`: UTF-16 units. */
export type SmsEncoding = 'gsm7' | 'ucs2';

/** What a text takes. */
export interface SmsSegments {
  readonly encoding: SmsEncoding;
  /** Short messages on the air, at least 1. */
  readonly segments: number;
  /** Septets or UTF-16 units of the text, headers not counted. */
  readonly units: number;
}

/** One short message of a text. */
export interface SmsPart {
  /** The user data header with its length octet, 6 octets; null where the text is one message. */
  readonly header: Uint8Array | null;
  /** The text of this part, encoded, without the header. */
  readonly body: Uint8Array;
}

export interface SmsSplit {
  readonly encoding: SmsEncoding;
  readonly parts: readonly SmsPart[];
}

/** Units of a text that is one message, and of each part of a longer one (its header takes the rest). */
export const SMS_UNITS = {
  gsm7: { single: 160, part: 153 },
  ucs2: { single: 70, part: 67 },
} as const;

/** Parts of one text: the header counts them in one octet. */
export const SMS_PARTS_MAX = 255;

const ESCAPE = 0x1b;
/** Stands for an octet without a character. */
const REPLACEMENT = '\uFFFD';

/** Index = septet. The escape's own place holds what a lone escape is shown as: a space. */
const BASIC =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?' +
  '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';

/** Septet after the escape → character. */
const EXTENSION: ReadonlyMap<number, string> = new Map([
  [0x0a, '\f'],
  [0x14, '^'],
  [0x28, '{'],
  [0x29, '}'],
  [0x2f, '\\'],
  [0x3c, '['],
  [0x3d, '~'],
  [0x3e, ']'],
  [0x40, '|'],
  [0x65, '€'],
]);

const NO_SEPTET = 0xffff;
const EXTENDED = 0x100;
/** UTF-16 unit → septet, with EXTENDED where an escape precedes it. Past the euro sign there is none. */
const septets = (() => {
  const table = new Uint16Array(0x20ad).fill(NO_SEPTET);
  for (let septet = 0; septet < 128; septet += 1) {
    if (septet !== ESCAPE) table[BASIC.charCodeAt(septet)] = septet;
  }
  for (const [septet, char] of EXTENSION) table[char.charCodeAt(0)] = EXTENDED | septet;
  return table;
})();

const septetOf = (unit: number): number => septets[unit] ?? NO_SEPTET;

/** The alphabet that `text` needs: GSM 7-bit where it has every character, else UCS-2. */
export function encodingOf(text: string): SmsEncoding {
  for (let index = 0; index < text.length; index += 1) {
    if (septetOf(text.charCodeAt(index)) === NO_SEPTET) return 'ucs2';
  }
  return 'gsm7';
}

/** Encoding, segments and units of `text`, without encoding it. An empty text is one empty message. */
export function segmentsOf(text: string): SmsSegments {
  const encoding = encodingOf(text);
  const units = encoding === 'ucs2' ? text.length : septetCount(text);
  const segments = units <= SMS_UNITS[encoding].single ? 1 : cuts(text, encoding).length;
  return { encoding, segments, units };
}

/**
 * The messages of `text`, in order. Neither an extension character nor a surrogate pair is cut in two.
 * `reference` (0…255) tells a phone which parts belong together. Throws RangeError where the text takes
 * more than SMS_PARTS_MAX parts or the reference is outside its octet.
 */
export function splitText(text: string, reference: number): SmsSplit {
  if (!Number.isInteger(reference) || reference < 0 || reference > 255) {
    throw new RangeError(`The reference is not an integer from 0 to 255: ${reference}`);
  }
  const basic = text.length <= SMS_UNITS.gsm7.single ? encodeBasic(text) : undefined;
  if (basic !== undefined) return { encoding: 'gsm7', parts: [{ header: null, body: basic }] };
  const { encoding, segments } = segmentsOf(text);
  if (segments > SMS_PARTS_MAX) {
    throw new RangeError(`The text takes ${segments} parts, at most ${SMS_PARTS_MAX}`);
  }
  const encode = encoding === 'gsm7' ? encodeGsm7 : encodeUcs2;
  if (segments === 1) return { encoding, parts: [{ header: null, body: encode(text) }] };
  let from = 0;
  const parts = cuts(text, encoding).map((to, index) => {
    const body = encode(text.slice(from, to));
    from = to;
    return { header: Uint8Array.of(5, 0, 3, reference, segments, index + 1), body };
  });
  return { encoding, parts };
}

/** Octets of a text of the default alphabet without extensions, in one pass; undefined: it is none. */
function encodeBasic(text: string): Uint8Array | undefined {
  const octets = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) {
    const septet = septetOf(text.charCodeAt(index));
    if (septet >= EXTENDED) return undefined;
    octets[index] = septet;
  }
  return octets;
}

/** Index in `text` after each part. */
function cuts(text: string, encoding: SmsEncoding): number[] {
  const unitsMax = SMS_UNITS[encoding].part;
  const ends: number[] = [];
  let units = 0;
  let index = 0;
  while (index < text.length) {
    const length = encoding === 'ucs2' && isPair(text, index) ? 2 : 1;
    const taken = encoding === 'ucs2' ? length : width(text.charCodeAt(index));
    if (units + taken > unitsMax) {
      ends.push(index);
      units = 0;
    }
    units += taken;
    index += length;
  }
  ends.push(text.length);
  return ends;
}

const isPair = (text: string, index: number): boolean => (text.codePointAt(index) ?? 0) > 0xffff;

const width = (unit: number): number => (septetOf(unit) & EXTENDED ? 2 : 1);

function septetCount(text: string): number {
  let count = text.length;
  for (let index = 0; index < text.length; index += 1) {
    if (width(text.charCodeAt(index)) === 2) count += 1;
  }
  return count;
}

/** Octets of `text`, one a septet. Throws RangeError on a character that the alphabet lacks. */
export function encodeGsm7(text: string): Uint8Array {
  const octets = new Uint8Array(septetCount(text));
  let at = 0;
  for (let index = 0; index < text.length; index += 1) {
    const septet = septetOf(text.charCodeAt(index));
    if (septet === NO_SEPTET) {
      throw new RangeError(`No character of the GSM 7-bit alphabet at ${index}`);
    }
    if (septet & EXTENDED) {
      octets[at] = ESCAPE;
      at += 1;
    }
    octets[at] = septet & 0x7f;
    at += 1;
  }
  return octets;
}

/**
 * Text of unpacked octets. An escape before a septet outside the extension table is shown as that
 * septet's own character, a lone or a doubled escape as a space; an octet above 127 as U+FFFD.
 */
export function decodeGsm7(octets: Uint8Array): string {
  let text = '';
  for (let index = 0; index < octets.length; index += 1) {
    const octet = octets[index] as number;
    if (octet !== ESCAPE) {
      text += BASIC[octet] ?? REPLACEMENT;
      continue;
    }
    const next = octets[index + 1];
    const extended = next === undefined ? undefined : EXTENSION.get(next);
    if (extended !== undefined) text += extended;
    else if (next === undefined || next === ESCAPE) text += ' ';
    else continue;
    index += 1;
  }
  return text;
}

/** Octets of `text`, big endian, two a UTF-16 unit. */
export function encodeUcs2(text: string): Uint8Array {
  const octets = new Uint8Array(text.length * 2);
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    octets[index * 2] = unit >>> 8;
    octets[index * 2 + 1] = unit & 0xff;
  }
  return octets;
}

/** Text of big-endian octets; an odd last octet is shown as U+FFFD. */
export function decodeUcs2(octets: Uint8Array): string {
  let text = '';
  for (let index = 0; index + 1 < octets.length; index += 2) {
    text += String.fromCharCode(((octets[index] as number) << 8) | (octets[index + 1] as number));
  }
  return octets.length % 2 === 0 ? text : text + REPLACEMENT;
}
