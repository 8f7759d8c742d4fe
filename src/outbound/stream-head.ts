// The head of a request as it is sent: the one place where it becomes bytes, so what it may hold is checked here.
import type { StreamRequest } from './stream-client.ts';

const METHOD = /^[A-Z][A-Z-]*$/;
const TARGET = /^\/[!-~]*$/;
const HOST = /^[!-~]+$/;
/** Of the whole head, since its lines are looked at where they stand in it: it ends with an empty line and holds no other. */
const HEAD =
  /^[A-Z-]+ [!-~]+ HTTP\/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)+\r\n$/;
/** Methods whose requests have a body by their meaning: that there is none is said (RFC 9110, 8.6). */
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH']);

/** In latin1; undefined: something in it would make it another head. */
export function requestHead(request: StreamRequest, hostLine: string): string | undefined {
  const { method, target, host, lines } = request;
  if (!TARGET.test(target) || !METHOD.test(method)) return undefined;
  if (host !== undefined && !HOST.test(host)) return undefined;
  const named = host === undefined ? hostLine : `host: ${host}\r\n`;
  // The lines of others come last: what they leave open has nothing behind it that could be swallowed.
  const head = `${method} ${target} HTTP/1.1\r\n${named}connection: keep-alive\r\n${framingLine(request)}${lines}\r\n`;
  return HEAD.test(head) ? head : undefined;
}

function framingLine({ body, length, method }: StreamRequest): string {
  if (body === undefined) return WITH_BODY.has(method) ? 'content-length: 0\r\n' : '';
  if (body !== 'stream') return `content-length: ${body.byteLength}\r\n`;
  return length === undefined ? 'transfer-encoding: chunked\r\n' : `content-length: ${length}\r\n`;
}
