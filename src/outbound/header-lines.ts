/**
 * Lines of header fields as RFC 9112, 5 writes them, read byte by byte: `name: value` with CR LF behind it,
 * up to the empty line. It keeps where names and values stand and copies nothing.
 *
 * Stricter than the RFC allows, since what two readers could take for different heads is none: no bare CR or
 * LF, no folded line, no space before the colon, no control character. It can stop behind any byte and go on.
 *
 * States: `first` (of a line) → `name` → `space` → `value` → `lineFeed` → `first`; `first` → `endFeed` → done.
 */

const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
const COLON = 0x3a;

const TOKEN = 1;
const TEXT = 2;

/** What each byte may be part of. */
const CLASSES = classes();

function classes(): Uint8Array {
  const all = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    const isText = byte === TAB || (byte >= SPACE && byte !== 0x7f);
    const isToken = /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(String.fromCharCode(byte));
    all[byte] = (isText ? TEXT : 0) | (isToken ? TOKEN : 0);
  }
  return all;
}

/** Whether a byte may stand in a value or a reason phrase. */
export function isText(byte: number): boolean {
  return ((CLASSES[byte] as number) & TEXT) !== 0;
}

const FIRST = 0;
const NAME = 1;
const SPACES = 2;
const VALUE = 3;
const LINE_FEED = 4;
const END_FEED = 5;

/** More bytes are needed. */
export const MORE = -1;
/** It is no head. */
export const BAD = -2;

export class HeaderLines {
  /**
   * Start and end of each name and value, four numbers a line. Not cleared but overwritten: `count` says
   * how many count.
   */
  readonly marks: number[] = [];
  count = 0;
  #state = FIRST;

  begin(): void {
    this.count = 0;
    this.#state = FIRST;
  }

  /**
   * Goes on at `at`. Returns where the bytes behind the empty line begin, MORE or BAD. Marks are offsets
   * in these bytes, so who needs them gives all bytes of a head in one piece each time.
   */
  read(bytes: Uint8Array, at: number, to: number): number {
    const { marks } = this;
    let state = this.#state;
    for (let from = at; from < to; from += 1) {
      let byte = bytes[from] as number;
      switch (state) {
        case FIRST:
          if (byte === CR) {
            state = END_FEED;
            break;
          }
          if (((CLASSES[byte] as number) & TOKEN) === 0) return BAD;
          marks[this.count] = from;
          state = NAME;
          break;
        case NAME:
          while (((CLASSES[byte] as number) & TOKEN) !== 0) {
            from += 1;
            if (from === to) break;
            byte = bytes[from] as number;
          }
          if (from === to) break;
          if (byte !== COLON) return BAD;
          marks[this.count + 1] = from;
          state = SPACES;
          break;
        case SPACES:
          if (byte === SPACE || byte === TAB) break;
          marks[this.count + 2] = from;
          state = VALUE;
          // The same byte once more, as part of the value.
          from -= 1;
          break;
        case VALUE:
          while (((CLASSES[byte] as number) & TEXT) !== 0) {
            from += 1;
            if (from === to) break;
            byte = bytes[from] as number;
          }
          if (from === to) break;
          if (byte !== CR) return BAD;
          marks[this.count + 3] = from;
          this.count += 4;
          state = LINE_FEED;
          break;
        case LINE_FEED:
          if (byte !== LF) return BAD;
          state = FIRST;
          break;
        default:
          this.#state = FIRST;
          return byte === LF ? from + 1 : BAD;
      }
    }
    this.#state = state;
    return MORE;
  }
}

/** Spaces and tabs at the end of a value are none of it. */
export function valueEnd(bytes: Uint8Array, start: number, end: number): number {
  let to = end;
  while (to > start && (bytes[to - 1] === SPACE || bytes[to - 1] === TAB)) to -= 1;
  return to;
}
