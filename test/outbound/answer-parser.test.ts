// Answers byte by byte: what each one says, that it does not matter how its bytes are cut, and that what is none is none.
import fc from 'fast-check';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { AnswerParser } from '../../src/outbound/answer-parser.ts';
import { badAnswers, type GoodAnswer, goodAnswers } from '../support/answer-corpus.ts';

interface Read {
  readonly status: number;
  readonly headers: readonly string[];
  readonly length: number | undefined;
  readonly body: string;
  readonly isDone: boolean;
  readonly stays: boolean;
  readonly fault: string | undefined;
}

/** Reads the bytes, cut at these places; stops where a connection would. */
function read(
  parser: AnswerParser,
  { raw, isHead = false, ends = false }: Pick<GoodAnswer, 'raw' | 'isHead' | 'ends'>,
  cuts: readonly number[] = [],
): Read {
  const bytes = Buffer.from(raw, 'latin1');
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const body: string[] = [];
  parser.begin(isHead);
  let at = 0;
  for (const place of [...places, bytes.length]) {
    // In a buffer with more in it than was read, as that of a connection.
    const piece = Buffer.concat([bytes.subarray(at, place), Buffer.from('\r\nHTTP/1.1 666')]);
    parser.take(piece, place - at);
    body.push(piece.toString('latin1', parser.partStart, parser.partEnd));
    at = place;
    if (parser.fault !== undefined) break;
  }
  if (ends) parser.end();
  const { status, headers, framing, isDone, isReusable, fault } = parser;
  const length = framing?.length;
  return { status, headers, length, body: body.join(''), isDone, stays: isReusable, fault };
}

const cuts = fc.array(fc.nat(40_000), { maxLength: 30 });

for (const [name, answer] of Object.entries(goodAnswers)) {
  t.test(name, async (t) => {
    const { status, headers, length, body, stays = true } = answer;
    const expected = { status, length, body, isDone: true, stays, fault: undefined };
    const parser = new AnswerParser();
    const whole = read(parser, answer);
    t.match(whole, expected);
    t.equal(whole.length, length);
    if (headers !== undefined) t.strictSame(whole.headers, headers);
    // The same parser for all: what one answer leaves behind may not matter to the next.
    fc.assert(fc.property(cuts, (cuts) => t.strictSame(read(parser, answer, cuts), whole)));
    const bytes = Array.from(answer.raw, (_, index) => index);
    t.strictSame(read(parser, answer, bytes), whole, 'byte by byte');
  });
}

for (const [name, answer] of Object.entries(badAnswers)) {
  t.test(name, async (t) => {
    const parser = new AnswerParser();
    const isNone = (cuts?: readonly number[]): boolean => {
      const { isDone, stays, fault } = read(parser, answer, cuts);
      return !isDone && !stays && (answer.ends === true || fault !== undefined);
    };
    t.ok(isNone());
    t.ok(isNone(Array.from(answer.raw, (_, index) => index)), 'byte by byte');
    fc.assert(fc.property(cuts, (cuts) => isNone(cuts)));
    const good = goodAnswers.chunks as GoodAnswer;
    t.match(read(parser, good), { isDone: true, body: good.body, stays: true });
  });
}

t.test('heads that are too long have their own fault', async (t) => {
  const parser = new AnswerParser();
  const faultOf = (name: string): string | undefined =>
    read(parser, badAnswers[name] as GoodAnswer, [100]).fault;
  for (const name of ['a head past any', 'trailers past any', 'interim answers past any']) {
    t.equal(faultOf(name), 'tooLarge', name);
  }
  t.equal(faultOf('two lengths'), 'badAnswer');
});

t.test('an answer that is cut anywhere is not complete', async (t) => {
  const parser = new AnswerParser();
  for (const { raw, isHead = false, ends = false, stays = true } of Object.values(goodAnswers)) {
    if (ends || !stays || raw.length > 1000) continue;
    for (let bytes = 0; bytes < raw.length; bytes += 1) {
      const { isDone } = read(parser, { raw: raw.slice(0, bytes), isHead, ends: true });
      if (isDone) t.fail(`${JSON.stringify(raw)} after ${bytes} bytes`);
    }
  }
});

t.test('any bytes: never more than a fault, and what is read was there', async (t) => {
  const part = fc.oneof(
    fc.constantFrom(
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.1 ',
      '200',
      'Content-Length: 3\r\n',
      '\r\n',
      '\r',
      '\n',
    ),
    fc.constantFrom(
      'Transfer-Encoding: chunked\r\n',
      '3\r\nabc\r\n',
      '0\r\n',
      'A: b',
      ': ',
      ' ',
      '\0',
      'abc',
    ),
  );
  const parser = new AnswerParser();
  fc.assert(
    fc.property(fc.array(part, { maxLength: 14 }), cuts, fc.boolean(), (parts, cuts, isHead) => {
      const raw = parts.join('');
      const whole = read(parser, { raw, isHead });
      const pieces = read(parser, { raw, isHead }, cuts);
      // Parts of a body that came before a fault are passed on when they come.
      const { body: _, ...of } = whole;
      const { body: __, ...other } = pieces;
      t.strictSame(other, of);
      if (whole.fault === undefined) t.equal(pieces.body, whole.body);
      t.ok(whole.body.length <= raw.length);
    }),
    { numRuns: 3_000 },
  );
});

t.test('a body of its bound and one past it', async (t) => {
  const parser = new AnswerParser();
  const size = 'f'.repeat(LIMITS.outboundChunkDigits);
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
  t.equal(read(parser, { raw: `${head}${size}\r\nabc` }).body, 'abc');
  t.equal(read(parser, { raw: `${head}0${size}\r\nabc` }).fault, 'badAnswer');
});
