/**
 * Takes answers `100 Continue` that nobody asked for out of what a peer says. The HTTP library ends a
 * connection at one, as if the request had no answer; they mean nothing (RFC 9110, 15.2.1).
 *
 * Only what comes before the head of an answer is looked at: from a write until the first bytes that
 * are no such answer. A request is written in whole before it is answered, and requests of one
 * connection go one after another.
 */
import type { Socket } from 'node:net';

/** Longest head of a 1xx that is taken out; a longer one is the library's to refuse. */
const HEAD_BYTES_MAX = 16 * 1024;
const CONTINUE = /^HTTP\/1\.[01] 100[ \r]/;
/** As many bytes say whether it is one. */
const PREFIX_BYTES = 13;
const END = '\r\n\r\n';

/** The same socket, whose `read` leaves them out. */
export function withoutContinue<S extends Pick<Socket, 'read' | 'bytesWritten'>>(socket: S): S {
  const read = socket.read.bind(socket);
  let written: number | undefined;
  let awaitsHead = false;
  let held: Buffer | undefined;
  socket.read = (size?: number): Buffer | null => {
    const chunk = read(size) as Buffer | null;
    if (chunk === null) return null;
    if (socket.bytesWritten !== written) {
      written = socket.bytesWritten;
      awaitsHead = true;
    }
    if (!awaitsHead) return chunk;
    const rest = headOf(held === undefined ? chunk : Buffer.concat([held, chunk]));
    held = rest.isWhole ? undefined : rest.bytes;
    if (held !== undefined) return null;
    awaitsHead = false;
    return rest.bytes;
  };
  return socket;
}

/** What is left of the first bytes of an answer; not `isWhole`: more of them are needed to know. */
function headOf(bytes: Buffer): { readonly bytes: Buffer; readonly isWhole: boolean } {
  let rest = bytes;
  for (;;) {
    const start = rest.toString('latin1', 0, PREFIX_BYTES);
    if (rest.length < PREFIX_BYTES) return { bytes: rest, isWhole: !isBeginning(start) };
    if (!CONTINUE.test(start)) return { bytes: rest, isWhole: true };
    const end = rest.indexOf(END, 0, 'latin1');
    if (end < 0) return { bytes: rest, isWhole: rest.length > HEAD_BYTES_MAX };
    rest = rest.subarray(end + END.length);
  }
}

/** Whether more bytes could make it a `100 Continue`. */
function isBeginning(start: string): boolean {
  const sample = start.startsWith('HTTP/1.0') ? 'HTTP/1.0 100 ' : 'HTTP/1.1 100 ';
  return sample.startsWith(start);
}
