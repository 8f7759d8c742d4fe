// Answers of HTTP/1.1 as bytes: those that are one, and those that are none or could be read in two ways.
import { LIMITS } from '../../src/limits.ts';

export interface GoodAnswer {
  readonly raw: string;
  /** The request was one with HEAD. */
  readonly isHead?: boolean;
  /** It ends with its connection. */
  readonly ends?: boolean;
  readonly status: number;
  /** Left out: not looked at. */
  readonly headers?: readonly string[];
  readonly length?: number;
  readonly body: string;
  /** False: its connection may not carry another request. True unless given. */
  readonly stays?: boolean;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const measured = (lines: string, body = 'ab'): string => `${OK}${lines}\r\n${body}`;

export const goodAnswers: Readonly<Record<string, GoodAnswer>> = {
  'a length': {
    raw: `${OK}Content-Length: 2\r\nX-A: b\r\n\r\nab`,
    status: 200,
    headers: ['Content-Length', '2', 'X-A', 'b'],
    length: 2,
    body: 'ab',
  },
  'no body': { raw: `${OK}Content-Length: 0\r\n\r\n`, status: 200, length: 0, body: '' },
  'no reason': {
    raw: 'HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n',
    status: 404,
    length: 0,
    body: '',
  },
  'no space for a reason': {
    raw: 'HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n',
    status: 500,
    length: 0,
    body: '',
  },
  'a reason in latin1': {
    raw: 'HTTP/1.1 299 d\xe9j\xe0 vu\r\ncontent-length: 0\r\n\r\n',
    status: 299,
    length: 0,
    body: '',
  },
  'spaces around values': {
    raw: `${OK}A:b\r\nC: \t d e\t \r\nE:\r\nF:   \r\nG: \xe9\r\nCONTENT-LENGTH:2\r\n\r\nab`,
    status: 200,
    headers: ['A', 'b', 'C', 'd e', 'E', '', 'F', '', 'G', '\xe9', 'CONTENT-LENGTH', '2'],
    length: 2,
    body: 'ab',
  },
  'zeros before a length': {
    raw: measured('Content-Length: 002\r\n'),
    status: 200,
    length: 2,
    body: 'ab',
  },
  chunks: {
    raw: `${CHUNKED}3\r\nabc\r\n00A\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n`,
    status: 200,
    body: 'abc0123456789!',
  },
  'many small chunks': {
    raw: `${CHUNKED}${'2\r\nxy\r\n'.repeat(300)}0\r\n\r\n`,
    status: 200,
    body: 'xy'.repeat(300),
  },
  'a chunk that looks like framing': {
    raw: `${CHUNKED}7\r\n0\r\n\r\n0\r\r\n0\r\n\r\n`,
    status: 200,
    body: '0\r\n\r\n0\r',
  },
  'no chunk': { raw: `${CHUNKED}000\r\n\r\n`, status: 200, body: '' },
  trailers: { raw: `${CHUNKED}1\r\na\r\n0\r\nX-T: late\r\nY: z\r\n\r\n`, status: 200, body: 'a' },
  'until its connection ends': {
    raw: `${OK}\r\nabc`,
    ends: true,
    status: 200,
    body: 'abc',
    stays: false,
  },
  'nothing until its connection ends': {
    raw: `${OK}\r\n`,
    ends: true,
    status: 200,
    body: '',
    stays: false,
  },
  'the version before': {
    raw: 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nab',
    status: 200,
    length: 2,
    body: 'ab',
    stays: false,
  },
  'the version before, until its end': {
    raw: 'HTTP/1.0 200 OK\r\n\r\nab',
    ends: true,
    status: 200,
    body: 'ab',
    stays: false,
  },
  'a last answer': {
    raw: measured('Connection: x, Close\r\nContent-Length: 2\r\n'),
    status: 200,
    length: 2,
    body: 'ab',
    stays: false,
  },
  'an answer to HEAD': {
    raw: `${OK}Content-Length: 500\r\n\r\n`,
    isHead: true,
    status: 200,
    length: 500,
    body: '',
  },
  'an answer to HEAD, in chunks': { raw: CHUNKED, isHead: true, status: 200, body: '' },
  '204': { raw: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204, body: '' },
  '204 with a length': {
    raw: 'HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n',
    status: 204,
    length: 2,
    body: '',
    stays: false,
  },
  '204 in chunks': {
    raw: 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n',
    status: 204,
    body: '',
    stays: false,
  },
  '304 with a length': {
    raw: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n',
    status: 304,
    length: 99,
    body: '',
  },
  'interim answers before it': {
    raw: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${OK}Content-Length: 2\r\nB: c\r\n\r\nab`,
    status: 200,
    headers: ['Content-Length', '2', 'B', 'c'],
    length: 2,
    body: 'ab',
  },
  'a second answer behind it': {
    raw: `${OK}Content-Length: 2\r\n\r\nab${OK}Content-Length: 4\r\n\r\nevil`,
    status: 200,
    length: 2,
    body: 'ab',
    stays: false,
  },
  'a byte behind it': {
    raw: `${OK}Content-Length: 2\r\n\r\nab\r`,
    status: 200,
    length: 2,
    body: 'ab',
    stays: false,
  },
  'a byte behind its chunks': {
    raw: `${CHUNKED}1\r\na\r\n0\r\n\r\n\n`,
    status: 200,
    body: 'a',
    stays: false,
  },
  'a head as long as may be': {
    raw: `${OK}Content-Length: 0\r\nX-A: ${'a'.repeat(LIMITS.outboundHeadBytes - 45)}\r\n\r\n`,
    status: 200,
    length: 0,
    body: '',
  },
};

/** `ends`: the connection ends behind it. */
export const badAnswers: Readonly<
  Record<string, { readonly raw: string; readonly ends?: boolean }>
> = {
  'no answer': { raw: 'what?\r\n\r\n' },
  'a request': { raw: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' },
  'an empty line first': { raw: `\r\n${OK}Content-Length: 0\r\n\r\n` },
  'a space first': { raw: ` ${OK}Content-Length: 0\r\n\r\n` },
  'another protocol': { raw: 'ICY 200 OK\r\nContent-Length: 0\r\n\r\n' },
  'small letters': { raw: 'http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' },
  'version 2': { raw: 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n' },
  'version 1.2': { raw: 'HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n' },
  'version 1.10': { raw: 'HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n' },
  'two spaces before the status': { raw: 'HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n' },
  'a tab before the status': { raw: 'HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n' },
  'a status of two digits': { raw: 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n' },
  'a status of four digits': { raw: 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n' },
  'a status of letters': { raw: 'HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n' },
  'a status that is too small': { raw: 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n' },
  'a status that is too large': { raw: 'HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n' },
  'another protocol from here': {
    raw: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  },
  'a control character in the reason': { raw: 'HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n' },
  'bare line feeds': { raw: 'HTTP/1.1 200 OK\nContent-Length: 2\n\nab' },
  'a bare line feed behind the line': { raw: 'HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nab' },
  'a bare line feed behind a header': { raw: measured('A: b\nContent-Length: 2\r\n') },
  'a bare line feed behind the head': { raw: `${OK}Content-Length: 2\r\n\nab` },
  'a bare carriage return': { raw: measured('A: b\rC: d\r\nContent-Length: 2\r\n') },
  'two carriage returns': { raw: measured('A: b\r\r\nContent-Length: 2\r\n') },
  'a folded header': { raw: measured('A: b\r\n c\r\nContent-Length: 2\r\n') },
  'a folded header first': { raw: `${OK} A: b\r\nContent-Length: 2\r\n\r\nab` },
  'a space before the colon': { raw: measured('Content-Length : 2\r\n') },
  'a tab before the colon': { raw: measured('Content-Length\t: 2\r\n') },
  'no colon': { raw: measured('nothing\r\nContent-Length: 2\r\n') },
  'no name': { raw: measured(': b\r\nContent-Length: 2\r\n') },
  'a name that is none': { raw: measured('A(b): c\r\nContent-Length: 2\r\n') },
  'a name beyond ASCII': { raw: measured('\xe9: c\r\nContent-Length: 2\r\n') },
  'a zero byte': { raw: measured('A: b\0\r\nContent-Length: 2\r\n') },
  'a control character': { raw: measured('A: b\x01c\r\nContent-Length: 2\r\n') },
  'a delete character': { raw: measured('A: b\x7f\r\nContent-Length: 2\r\n') },
  'two lengths': { raw: measured('Content-Length: 1\r\nContent-Length: 2\r\n') },
  'two equal lengths': { raw: measured('Content-Length: 2\r\ncontent-length: 2\r\n') },
  'lengths in a list': { raw: measured('Content-Length: 2, 2\r\n') },
  'a length with a sign': { raw: measured('Content-Length: +2\r\n') },
  'a negative length': { raw: measured('Content-Length: -2\r\n') },
  'a length in hexadecimal': { raw: measured('Content-Length: 0x2\r\n') },
  'a length with a point': { raw: measured('Content-Length: 2.0\r\n') },
  'a length with a space in it': { raw: measured('Content-Length: 2 2\r\n') },
  'an empty length': { raw: measured('Content-Length:\r\n') },
  'a length past any': { raw: measured('Content-Length: 9007199254740993\r\n') },
  'length and encoding': {
    raw: measured('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  },
  'encoding and length': {
    raw: measured('Transfer-Encoding: chunked\r\nContent-Length: 2\r\n', '0\r\n\r\n'),
  },
  'another encoding': { raw: measured('Transfer-Encoding: gzip\r\n'), ends: true },
  'encodings in a list': { raw: measured('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n') },
  'two encodings': {
    raw: measured('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  },
  identity: { raw: measured('Transfer-Encoding: identity\r\n'), ends: true },
  'an encoding with a parameter': {
    raw: measured('Transfer-Encoding: chunked;q=1\r\n', '0\r\n\r\n'),
  },
  'an encoding in the version before': {
    raw: 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  },
  'a chunk without a size': { raw: `${CHUNKED}\r\nab\r\n0\r\n\r\n` },
  'a chunk size that is none': { raw: `${CHUNKED}Z\r\nab\r\n0\r\n\r\n` },
  'a chunk size with 0x': { raw: `${CHUNKED}0x2\r\nab\r\n0\r\n\r\n` },
  'a negative chunk size': { raw: `${CHUNKED}-2\r\nab\r\n0\r\n\r\n` },
  'a chunk size behind a space': { raw: `${CHUNKED} 2\r\nab\r\n0\r\n\r\n` },
  'a chunk size before a space': { raw: `${CHUNKED}2 \r\nab\r\n0\r\n\r\n` },
  'a chunk size past any': { raw: `${CHUNKED}FFFFFFFFFFFFFFFFF\r\nab\r\n0\r\n\r\n` },
  'a chunk size that wraps around': { raw: `${CHUNKED}10000000000000002\r\nab\r\n0\r\n\r\n` },
  'a chunk extension': { raw: `${CHUNKED}2;a=b\r\nab\r\n0\r\n\r\n` },
  'an extension of the last chunk': { raw: `${CHUNKED}0;a\r\n\r\n` },
  'a bare line feed behind a size': { raw: `${CHUNKED}2\nab\r\n0\r\n\r\n` },
  'a bare line feed behind a chunk': { raw: `${CHUNKED}2\r\nab\n0\r\n\r\n` },
  'a chunk that is longer than it says': { raw: `${CHUNKED}2\r\nabc\r\n0\r\n\r\n` },
  'a chunk that is shorter than it says': { raw: `${CHUNKED}3\r\nab\r\n0\r\n\r\n` },
  'a trailer that is none': { raw: `${CHUNKED}0\r\nnothing\r\n\r\n` },
  'a bare line feed behind trailers': { raw: `${CHUNKED}0\r\nA: b\r\n\n` },
  'trailers past any': { raw: `${CHUNKED}0\r\nA: ${'b'.repeat(LIMITS.outboundHeadBytes)}\r\n\r\n` },
  'a head past any': { raw: measured(`A: ${'b'.repeat(LIMITS.outboundHeadBytes)}\r\n`) },
  'interim answers past any': {
    raw: `HTTP/1.1 103 Early Hints\r\nA: ${'b'.repeat(1000)}\r\n\r\n`.repeat(17),
  },
  'an interim answer that is none': {
    raw: `HTTP/1.1 103 x\r\nA\r\n\r\n${OK}Content-Length: 0\r\n\r\n`,
  },
  'nothing at all': { raw: '', ends: true },
  'half a line': { raw: 'HTTP/1.1 2', ends: true },
  'half a head': { raw: `${OK}Content-Length: 2\r\n`, ends: true },
  'an interim answer and nothing': { raw: 'HTTP/1.1 100 Continue\r\n\r\n', ends: true },
};
