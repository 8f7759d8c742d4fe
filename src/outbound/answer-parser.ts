/**
 * Reads answers of HTTP/1.1 from the bytes of one connection, one at a time, and takes nothing for an answer
 * that another reader could take for something else (RFC 9112, 11.1). Wherever the bytes are cut, the
 * same comes out.
 *
 * `take` reads all bytes it is given and leaves what they brought in its fields; the parts of a body that came
 * in chunks are moved together in the same bytes, so a read gives one part at most. Interim answers and
 * trailers are read and dropped; heads, interim ones included, and trailers are bounded.
 *
 * States: `line` → `lines` → a body (none, `length`, `chunked`, `close`) → done; any of them → failed.
 */
import { LIMITS } from '../limits.ts';
import { BODY, type Framing, framingOf } from './answer-framing.ts';
import { BAD, CR, HeaderLines, isText, LF, MORE, SPACE, valueEnd } from './header-lines.ts';

const LINE = 0;
const LINES = 1;
const LENGTH = 2;
const CLOSE = 3;
const SIZE_FIRST = 4;
const SIZE = 5;
const SIZE_FEED = 6;
const DATA = 7;
const DATA_RETURN = 8;
const DATA_FEED = 9;
const TRAILERS = 10;
const DONE = 11;
const FAILED = 12;

const ZERO = 0x30;
const ONE = 0x31;
const VERSION = Buffer.from('HTTP/1.');
/** `HTTP/1.1 200` */
const LINE_BYTES_MIN = 12;
const NONE: readonly string[] = [];

/** `badAnswer`: it is none, or could be read in two ways. */
export type AnswerFault = 'badAnswer' | 'tooLarge';

export class AnswerParser {
  status = 0;
  /** Name, value, name, value … as they came, in latin1. */
  headers: readonly string[] = NONE;
  framing: Framing | undefined;
  fault: AnswerFault | undefined;
  /** A byte has come since `begin`. */
  hasBegun = false;
  /** What the bytes taken last hold of the body; empty where both are equal. */
  partStart = 0;
  partEnd = 0;
  /** Bytes followed the end. */
  #hasSurplus = false;
  readonly #lines = new HeaderLines();
  #isHead = false;
  #state = DONE;
  /** Of the heads, or of the trailers, that were read. */
  #headBytes = 0;
  /** A head that did not come in one piece; its first bytes. */
  #held: Buffer | undefined;
  #heldBytes = 0;
  /** Bytes of the body, or of a chunk, that are missing. */
  #left = 0;
  #digits = 0;

  /** For the next answer; `isHead`: to a request with HEAD. */
  begin(isHead: boolean): void {
    this.status = 0;
    this.headers = NONE;
    this.framing = undefined;
    this.fault = undefined;
    this.hasBegun = false;
    this.#hasSurplus = false;
    this.#isHead = isHead;
    this.#headBytes = 0;
    this.#beginHead();
  }

  get isDone(): boolean {
    return this.#state === DONE;
  }

  /** Whether its connection may carry another request; known when it is done. */
  get isReusable(): boolean {
    return this.#state === DONE && this.framing?.isReusable === true && !this.#hasSurplus;
  }

  /** Reads the bytes up to `to`, in which it may move parts of the body. */
  take(bytes: Buffer, to: number): void {
    this.partStart = 0;
    this.partEnd = 0;
    if (to > 0) this.hasBegun = true;
    let at = 0;
    while (at < to && this.#state < DONE) {
      at = this.#state <= LINES ? this.#takeHead(bytes, at, to) : this.#takeBody(bytes, at, to);
    }
    if (at < to) this.#hasSurplus = true;
  }

  /** The peer sends no more. Whether the answer ends with that. */
  end(): boolean {
    if (this.#state === CLOSE) this.#state = DONE;
    return this.#state === DONE;
  }

  #fail(fault: AnswerFault): number {
    this.#state = FAILED;
    this.fault = fault;
    return 0;
  }

  #beginHead(): void {
    this.#state = LINE;
    this.#heldBytes = 0;
    this.#held = undefined;
    this.#lines.begin();
  }

  // Heads.

  /** Returns where to go on in the bytes. */
  #takeHead(bytes: Buffer, at: number, to: number): number {
    if (this.#heldBytes === 0) {
      const next = this.#readHead(bytes, at, at, to);
      if (next !== MORE) return next;
      if (!this.#hold(bytes, at, to)) return this.#fail('tooLarge');
      if (at > 0) this.#readAgain();
      return to;
    }
    const before = this.#heldBytes;
    const isAllHeld = this.#hold(bytes, at, to);
    const next = this.#readHead(this.#held as Buffer, 0, before, this.#heldBytes);
    if (next !== MORE) return at + next - before;
    return isAllHeld ? to : this.#fail('tooLarge');
  }

  /** What is held stands at another place than where it was read. */
  #readAgain(): void {
    this.#state = LINE;
    this.#lines.begin();
    this.#readHead(this.#held as Buffer, 0, 0, this.#heldBytes);
  }

  /** Keeps a copy of a part of a head, as far as heads may be long; false: that was not all. */
  #hold(bytes: Buffer, at: number, to: number): boolean {
    this.#held ??= Buffer.allocUnsafeSlow(LIMITS.outboundHeadBytes);
    const room = LIMITS.outboundHeadBytes - this.#headBytes - this.#heldBytes;
    const end = Math.min(to, at + room);
    bytes.copy(this.#held, this.#heldBytes, at, end);
    this.#heldBytes += end - at;
    return end === to;
  }

  /** A head that begins at `start`, of which the bytes before `at` were read. Returns where it ends, or MORE. */
  #readHead(bytes: Buffer, start: number, at: number, to: number): number {
    let from = at;
    if (this.#state === LINE) {
      from = readLine(bytes, start, to);
      if (from === MORE) return MORE;
      if (from === BAD) return this.#fail('badAnswer');
      this.#state = LINES;
    }
    const next = this.#lines.read(bytes, from, to);
    if (next === MORE) return MORE;
    if (next === BAD) return this.#fail('badAnswer');
    this.#headBytes += next - start;
    if (this.#headBytes > LIMITS.outboundHeadBytes) return this.#fail('tooLarge');
    this.#headEnds(bytes, start);
    return next;
  }

  #headEnds(bytes: Buffer, start: number): void {
    const status = digitsAt(bytes, start + 9);
    // Another protocol was not asked for, and classes above 5 are none.
    if (status < 100 || status === 101 || status > 599) {
      this.#fail('badAnswer');
      return;
    }
    if (status < 200) {
      this.#beginHead();
      return;
    }
    const isOld = bytes[start + VERSION.length] === ZERO;
    const headers = this.#texts(bytes);
    const framing = framingOf({ status, isOld, isHead: this.#isHead }, headers);
    if (framing === undefined) {
      this.#fail('badAnswer');
      return;
    }
    this.status = status;
    this.headers = headers;
    this.framing = framing;
    this.#left = framing.length ?? 0;
    this.#digits = 0;
    this.#heldBytes = 0;
    this.#held = undefined;
    this.#state = STATE_OF_BODY[framing.body];
  }

  #texts(bytes: Buffer): string[] {
    const { marks, count } = this.#lines;
    const texts: string[] = [];
    if (count === 0) return texts;
    // One string of all of them costs less than one for each.
    const first = marks[0] as number;
    const all = bytes.toString('latin1', first, marks[count - 1]);
    for (let index = 0; index < count; index += 4) {
      const start = marks[index + 2] as number;
      const end = valueEnd(bytes, start, marks[index + 3] as number);
      texts.push(
        all.slice((marks[index] as number) - first, (marks[index + 1] as number) - first),
        all.slice(start - first, end - first),
      );
    }
    return texts;
  }

  // Bodies.

  /** Returns where to go on in the bytes. */
  #takeBody(bytes: Buffer, at: number, to: number): number {
    if (this.#state === LENGTH || this.#state === DATA) return this.#takePart(bytes, at, to);
    if (this.#state === CLOSE) {
      this.#addPart(bytes, at, to);
      return to;
    }
    return this.#state === TRAILERS
      ? this.#takeTrailers(bytes, at, to)
      : this.#takeSize(bytes[at] as number, at);
  }

  #takePart(bytes: Buffer, at: number, to: number): number {
    const end = Math.min(to, at + this.#left);
    this.#addPart(bytes, at, end);
    this.#left -= end - at;
    if (this.#left === 0) this.#state = this.#state === LENGTH ? DONE : DATA_RETURN;
    return end;
  }

  #addPart(bytes: Buffer, from: number, to: number): void {
    if (this.partEnd === this.partStart) {
      this.partStart = from;
      this.partEnd = to;
      return;
    }
    bytes.copyWithin(this.partEnd, from, to);
    this.partEnd += to - from;
  }

  /** One byte of what stands around chunks. */
  #takeSize(byte: number, at: number): number {
    switch (this.#state) {
      case SIZE_FIRST:
      case SIZE: {
        const digit = hexDigit(byte);
        if (digit >= 0) {
          this.#left = this.#left * 16 + digit;
          this.#digits += 1;
          this.#state = SIZE;
          if (this.#digits > LIMITS.outboundChunkDigits) return this.#fail('badAnswer');
        } else if (byte === CR && this.#state === SIZE) this.#state = SIZE_FEED;
        else return this.#fail('badAnswer');
        break;
      }
      case SIZE_FEED:
        if (byte !== LF) return this.#fail('badAnswer');
        this.#sizeEnds();
        break;
      case DATA_RETURN:
        if (byte !== CR) return this.#fail('badAnswer');
        this.#state = DATA_FEED;
        break;
      default:
        if (byte !== LF) return this.#fail('badAnswer');
        this.#beginSize();
    }
    return at + 1;
  }

  #beginSize(): void {
    this.#state = SIZE_FIRST;
    this.#digits = 0;
    this.#left = 0;
  }

  #sizeEnds(): void {
    if (this.#left > 0) {
      this.#state = DATA;
      return;
    }
    this.#state = TRAILERS;
    this.#headBytes = 0;
    this.#lines.begin();
  }

  #takeTrailers(bytes: Buffer, at: number, to: number): number {
    const next = this.#lines.read(bytes, at, to);
    if (next === BAD) return this.#fail('badAnswer');
    this.#headBytes += (next === MORE ? to : next) - at;
    if (this.#headBytes > LIMITS.outboundHeadBytes) return this.#fail('tooLarge');
    if (next === MORE) return to;
    this.#state = DONE;
    return next;
  }
}

const STATE_OF_BODY = {
  [BODY.none]: DONE,
  [BODY.length]: LENGTH,
  [BODY.chunked]: SIZE_FIRST,
  [BODY.close]: CLOSE,
};

/** `HTTP/1.1 200 reason`; the reason, and the space before it, may be missing. Returns where it ends, MORE or BAD. */
function readLine(bytes: Buffer, start: number, to: number): number {
  for (let index = 0; index < VERSION.length; index += 1) {
    if (start + index === to) return MORE;
    if (bytes[start + index] !== VERSION[index]) return BAD;
  }
  const end = Math.min(to, start + LINE_BYTES_MIN);
  for (let at = start + VERSION.length; at < end; at += 1) {
    if (!isOfLine(bytes[at] as number, at - start)) return BAD;
  }
  let at = start + LINE_BYTES_MIN;
  if (at >= to) return MORE;
  if (bytes[at] !== SPACE && bytes[at] !== CR) return BAD;
  while (at < to && isText(bytes[at] as number)) at += 1;
  if (at === to) return MORE;
  if (bytes[at] !== CR) return BAD;
  if (at + 1 === to) return MORE;
  return bytes[at + 1] === LF ? at + 2 : BAD;
}

/** The byte at this place of a status line, behind `HTTP/1.`. */
function isOfLine(byte: number, place: number): boolean {
  if (place === 7) return byte === ONE || byte === ZERO;
  if (place === 8) return byte === SPACE;
  return byte >= ZERO && byte <= ZERO + 9;
}

function digitsAt(bytes: Buffer, at: number): number {
  const digit = (index: number): number => (bytes[at + index] as number) - ZERO;
  return digit(0) * 100 + digit(1) * 10 + digit(2);
}

function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= ZERO + 9) return byte - ZERO;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
