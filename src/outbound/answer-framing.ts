/**
 * Where the body of an answer ends (RFC 9112, 6.3), and whether its connection may carry another request. Pure.
 *
 * What is in doubt is no answer: two lengths, also equal ones, a length beside an encoding, any encoding but
 * `chunked`, an encoding in HTTP/1.0.
 */
import { LIMITS } from '../limits.ts';

export const BODY = { none: 0, length: 1, chunked: 2, close: 3 } as const;
export type BodyKind = (typeof BODY)[keyof typeof BODY];

export interface Framing {
  readonly body: BodyKind;
  /** As the answer says it, also where it has no body; undefined: it does not. */
  readonly length: number | undefined;
  readonly isReusable: boolean;
  /** How long the peer says it keeps the connection; undefined: it does not say. */
  readonly keepMs: number | undefined;
}

export interface AnswerLine {
  readonly status: number;
  /** HTTP/1.0. */
  readonly isOld: boolean;
  /** Of a request with HEAD. */
  readonly isHead: boolean;
}

const LENGTH = new RegExp(`^\\d{1,${LIMITS.outboundLengthDigits}}$`);
const CLOSE = /(?:^|[ \t,])close(?:$|[ \t,])/i;
const KEEP = /(?:^|[ \t,])timeout *= *(\d{1,6})(?:$|[ \t,])/i;

/** `headers`: name, value, name, value … Undefined: in doubt. */
export function framingOf(
  { status, isOld, isHead }: AnswerLine,
  headers: readonly string[],
): Framing | undefined {
  let length: number | undefined;
  let isChunked = false;
  let isReusable = !isOld;
  let keepMs: number | undefined;
  for (let index = 0; index < headers.length; index += 2) {
    const value = headers[index + 1] as string;
    const kind = kindOf(headers[index] as string);
    if (kind === undefined) continue;
    if (kind === 'content-length') {
      if (length !== undefined || !LENGTH.test(value)) return undefined;
      length = Number(value);
    } else if (kind === 'transfer-encoding') {
      if (isChunked || isOld || value.toLowerCase() !== 'chunked') return undefined;
      isChunked = true;
    } else if (kind === 'connection') {
      if (CLOSE.test(value)) isReusable = false;
    } else {
      const sec = KEEP.exec(value)?.[1];
      if (sec !== undefined) keepMs = Number(sec) * 1000;
    }
  }
  if (isChunked && length !== undefined) return undefined;
  if (isHead || status === 304) return { body: BODY.none, length, isReusable, keepMs };
  if (status === 204) {
    // One that tells of a body may send it: what follows would be taken for the next answer.
    isReusable &&= !isChunked && (length ?? 0) === 0;
    return { body: BODY.none, length, isReusable, keepMs };
  }
  if (isChunked) return { body: BODY.chunked, length, isReusable, keepMs };
  if (length === undefined) return { body: BODY.close, length, isReusable: false, keepMs };
  return { body: length === 0 ? BODY.none : BODY.length, length, isReusable, keepMs };
}

type FramingHeader = 'content-length' | 'transfer-encoding' | 'connection' | 'keep-alive';

/** By its length first: most names are none of them. */
function kindOf(name: string): FramingHeader | undefined {
  const { length } = name;
  if (length !== 10 && length !== 14 && length !== 17) return undefined;
  const lower = name.toLowerCase();
  if (lower === 'content-length' || lower === 'transfer-encoding') return lower;
  return lower === 'connection' || lower === 'keep-alive' ? lower : undefined;
}
