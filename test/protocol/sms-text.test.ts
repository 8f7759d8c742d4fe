import fc from 'fast-check';
import smpp from 'smpp';
import t from 'tap';
import {
  decodeGsm7,
  decodeUcs2,
  encodeGsm7,
  encodeUcs2,
  encodingOf,
  SMS_PARTS_MAX,
  SMS_UNITS,
  segmentsOf,
  splitText,
} from '../../src/protocol/sms-text.ts';

const basic =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?' +
  '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
const extension = '\f^{}\\[~]|€';

const gsmText = (maxLength: number) =>
  fc
    .array(fc.constantFrom(...basic, ...extension), { maxLength })
    .map((characters) => characters.join(''));
/** UTF-16 units with many pairs; lone surrogates too, since a text from outside may have them. */
const anyText = (maxLength: number) => fc.string({ unit: 'binary', maxLength });

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');

t.test('octets of known texts', async (t) => {
  t.equal(hex(encodeGsm7('hello')), '68656c6c6f');
  t.equal(hex(encodeGsm7('@£$¥èéùìòÇ')), '00010203040506070809');
  t.equal(hex(encodeGsm7('Å_Ω ÄÖÑÜ§ äöñüà')), '0e1115205b5c5d5e5f207b7c7d7e7f');
  t.equal(hex(encodeGsm7(extension)), '1b0a1b141b281b291b2f1b3c1b3d1b3e1b401b65');
  t.equal(hex(encodeUcs2('Привет')), '041f04400438043204350442');
  t.equal(hex(encodeUcs2('😀')), 'd83dde00');
});

t.test('octets are those of another implementation', async (t) => {
  const property = fc.property(
    gsmText(200),
    (text) => hex(encodeGsm7(text)) === hex(smpp.gsmCoder.encode(text, 0)),
  );
  t.doesNotThrow(() => fc.assert(property));
});

t.test('the alphabet of a text', async (t) => {
  t.equal(encodingOf(''), 'gsm7');
  t.equal(encodingOf(basic + extension), 'gsm7');
  // The small c with cedilla, the backquote and the escape itself are in no table.
  for (const text of ['ç', '`', '\u001b', '\t', 'ё', '“', '😀', '\uffff', '\u0000', 'Ω\u0301']) {
    t.equal(encodingOf(text), 'ucs2', JSON.stringify(text));
  }
  t.throws(() => encodeGsm7('naïve'), { name: 'RangeError', message: /at 2/ });
});

t.test('decoding gives the text back', async (t) => {
  const gsm = fc.property(gsmText(400), (text) => decodeGsm7(encodeGsm7(text)) === text);
  const ucs2 = fc.property(anyText(400), (text) => decodeUcs2(encodeUcs2(text)) === text);
  t.doesNotThrow(() => fc.assert(gsm));
  t.doesNotThrow(() => fc.assert(ucs2));
});

t.test('octets that no text has', async (t) => {
  t.equal(decodeGsm7(Uint8Array.of(0x61, 0x80, 0xff)), 'a\uFFFD\uFFFD');
  t.equal(decodeGsm7(Uint8Array.of(0x61, 0x1b)), 'a ', 'an escape at the end');
  t.equal(decodeGsm7(Uint8Array.of(0x1b, 0x1b, 0x65)), ' e', 'a doubled escape');
  t.equal(decodeGsm7(Uint8Array.of(0x1b, 0x61)), 'a', 'an escape before another character');
  t.equal(decodeUcs2(Uint8Array.of(0x04, 0x1f, 0x04)), 'П\uFFFD');
  const total = fc.property(fc.uint8Array({ maxLength: 300 }), (octets) => {
    return decodeGsm7(octets).length <= octets.length && decodeUcs2(octets).length <= octets.length;
  });
  t.doesNotThrow(() => fc.assert(total));
});

t.test('segments at the bounds', async (t) => {
  const of = (text: string) => {
    const { encoding, segments, units } = segmentsOf(text);
    return [encoding, segments, units];
  };
  t.strictSame(of(''), ['gsm7', 1, 0]);
  t.strictSame(of('a'.repeat(160)), ['gsm7', 1, 160]);
  t.strictSame(of('a'.repeat(161)), ['gsm7', 2, 161]);
  t.strictSame(of('a'.repeat(306)), ['gsm7', 2, 306]);
  t.strictSame(of('a'.repeat(307)), ['gsm7', 3, 307]);
  t.strictSame(of('€'.repeat(80)), ['gsm7', 1, 160]);
  t.strictSame(of('€'.repeat(81)), ['gsm7', 2, 162]);
  // 153 is odd: an extension character that would cross the cut goes to the next part.
  t.strictSame(of('€'.repeat(76 * 2)), ['gsm7', 2, 304]);
  t.strictSame(of('€'.repeat(76 * 2 + 1)), ['gsm7', 3, 306]);
  t.strictSame(of('я'.repeat(70)), ['ucs2', 1, 70]);
  t.strictSame(of('я'.repeat(71)), ['ucs2', 2, 71]);
  t.strictSame(of('я'.repeat(134)), ['ucs2', 2, 134]);
  t.strictSame(of('😀'.repeat(35)), ['ucs2', 1, 70]);
  // 67 is odd too: 33 pairs a part.
  t.strictSame(of('😀'.repeat(66)), ['ucs2', 2, 132]);
  t.strictSame(of('😀'.repeat(67)), ['ucs2', 3, 134]);
});

t.test('a split text is whole, in bounds, and cut between characters', async (t) => {
  const texts = fc.oneof(gsmText(1_500), anyText(600));
  const property = fc.property(texts, fc.integer({ min: 0, max: 255 }), (text, reference) => {
    const { encoding, parts } = splitText(text, reference);
    const { segments } = segmentsOf(text);
    const decode = encoding === 'gsm7' ? decodeGsm7 : decodeUcs2;
    const unitsMax = SMS_UNITS[encoding][parts.length === 1 ? 'single' : 'part'];
    const octetsMax = encoding === 'gsm7' ? unitsMax : unitsMax * 2;
    const headers = parts.every(({ header }, index) =>
      parts.length === 1
        ? header === null
        : header !== null &&
          hex(header) === hex(Uint8Array.of(5, 0, 3, reference, segments, index + 1)),
    );
    const bodies = parts.map(({ body }) => decode(body));
    return (
      parts.length === segments &&
      headers &&
      bodies.join('') === text &&
      parts.every(({ body }) => body.length <= octetsMax) &&
      bodies.every((body, index) => index === 0 || !cutsPair(bodies[index - 1] as string, body)) &&
      (encoding === 'ucs2' || parts.every(({ body }) => body.at(-1) !== 0x1b))
    );
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }));
});

t.test('what no header can count is refused', async (t) => {
  const longest = SMS_PARTS_MAX * SMS_UNITS.gsm7.part;
  t.equal(splitText('a'.repeat(longest), 0).parts.length, SMS_PARTS_MAX);
  t.throws(() => splitText('a'.repeat(longest + 1), 0), {
    name: 'RangeError',
    message: /256 parts/,
  });
  t.equal(
    segmentsOf('a'.repeat(longest + 1)).segments,
    SMS_PARTS_MAX + 1,
    'it can be told all the same',
  );
  for (const reference of [-1, 256, 1.5, Number.NaN]) {
    t.throws(() => splitText('a', reference), RangeError);
  }
});

const cutsPair = (before: string, after: string): boolean =>
  ((before.at(-1) ?? '') + (after[0] ?? '')).codePointAt(0)! > 0xffff;
