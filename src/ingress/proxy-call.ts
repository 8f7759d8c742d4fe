/**
 * One request of the proxy as the network library gives it: copies its head, hands on the parts of its
 * body, and writes the parts of its answer with as few writes as they allow.
 *
 * States: open → ended (answered, cut, or the client has gone). Past open nothing touches the
 * response any more. An answer's head waits for the first part of its body, and the first part of a
 * body of unknown length for the next one or `flush`: an answer that came at once leaves at once, in
 * one write and with its length.
 */
import type uWS from 'uWebSockets.js';
import { STATUS_CODES } from 'node:http';
import { LIMITS } from '../limits.ts';
import type { CallListener, IncomingCall, WholeReply } from '../proxy/ports.ts';

/** A character beyond ASCII. */
const NOT_ASCII = /[\u0080-\uffff]/;
const REPLACED = '\ufffd';
const EMPTY = new Uint8Array(0);
/** Header lines, without the last line end, as the library can take them in one call. */
const PLAIN = /^(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e]*)*$/;
const IPV4_BYTES = 4;

interface AnswerHead {
  readonly status: number;
  readonly headers: readonly string[];
  readonly length: number | undefined;
}

export class ProxyCall implements IncomingCall {
  readonly method: string;
  readonly path: string;
  readonly query: string | undefined;
  readonly headers: readonly string[];
  readonly isMangled: boolean;
  readonly peer: string;
  readonly isSecure: boolean;
  readonly #response: uWS.HttpResponse;
  readonly #onEnd: () => void;
  #listener: CallListener | undefined;
  #isOpen = true;
  #isPaused = false;
  /** Of an answer that has begun. */
  #answer: AnswerHead | undefined;
  #isHeadWritten = false;
  /** The first part of a body of unknown length, while it waits. */
  #first: Uint8Array | undefined;
  /** What the socket did not take of a body of known length, and where that begins. */
  #rest: Uint8Array = EMPTY;
  #restOffset = 0;

  constructor(
    response: uWS.HttpResponse,
    request: uWS.HttpRequest,
    { isSecure, onEnd }: { readonly isSecure: boolean; readonly onEnd: () => void },
  ) {
    this.#response = response;
    this.#onEnd = onEnd;
    this.isSecure = isSecure;
    response.onAborted(() => {
      if (!this.#isOpen) return;
      this.#close();
      this.#listener?.gone();
    });
    this.method = request.getCaseSensitiveMethod();
    this.path = request.getUrl();
    this.query = request.getQuery();
    let isMangled = false;
    let hasBody = false;
    const headers: string[] = [];
    request.forEach((name, value) => {
      if (name === 'transfer-encoding' || (name === 'content-length' && value !== '0')) {
        hasBody = true;
      }
      // The library decodes UTF-8; bytes that are none are lost.
      const isPlain = !NOT_ASCII.test(value);
      if (!isPlain && value.includes(REPLACED)) isMangled = true;
      headers.push(name, isPlain ? value : Buffer.from(value).toString('latin1'));
    });
    this.headers = headers;
    this.isMangled = isMangled;
    if (hasBody) {
      response.onData((chunk, last) => {
        if (this.#isOpen) this.#listener?.bodyPart(new Uint8Array(chunk), last);
      });
    }
    this.peer = peerOf(response);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  listen(listener: CallListener): void {
    this.#listener = listener;
  }

  pause(): void {
    if (!this.#isOpen || this.#isPaused) return;
    this.#isPaused = true;
    this.#response.pause();
  }

  resume(): void {
    if (!this.#isOpen || !this.#isPaused) return;
    this.#isPaused = false;
    this.#response.resume();
  }

  answer(reply: WholeReply, close: boolean): void {
    if (!this.#isOpen) return;
    if (!close) {
      this.#answerNow(reply, false);
      return;
    }
    // Not while the library still reads: it would take what follows for the next request. Until the
    // answer is there it ends a connection that sends one.
    this.#listener = undefined;
    setImmediate(() => this.#answerNow(reply, true));
  }

  #answerNow({ status, headers, body }: WholeReply, close: boolean): void {
    if (!this.#isOpen) return;
    this.resume();
    const response = this.#response;
    const isHead = this.method === 'HEAD';
    this.#close();
    response.cork(() => {
      writeHead(response, status, headers);
      if (!isHead) {
        response.end(body, close);
        return;
      }
      response.writeHeader('content-length', `${Buffer.byteLength(body)}`);
      response.endWithoutBody();
    });
  }

  head(status: number, headers: readonly string[], length: number | undefined): void {
    if (!this.#isOpen) return;
    this.#answer = { status, headers, length };
  }

  write(chunk: Uint8Array): boolean {
    const answer = this.#answer;
    if (!this.#isOpen || answer === undefined) return true;
    if (answer.length !== undefined) return this.#writeMeasured(chunk, answer.length);
    if (!this.#isHeadWritten && this.#first === undefined) {
      this.#first = Buffer.from(chunk);
      return true;
    }
    this.flush();
    return this.#writeChunk(chunk);
  }

  end(): void {
    const answer = this.#answer;
    if (!this.#isOpen || answer === undefined) return;
    if (this.#isBodiless(answer)) {
      this.#endBodiless(answer);
    } else if (answer.length === undefined || answer.length === 0) {
      this.#endUnmeasured(answer);
    }
    // Otherwise it is complete with the last byte of its length.
  }

  cut(): void {
    if (!this.#isOpen) return;
    this.#close();
    this.#response.close();
  }

  flush(): void {
    const answer = this.#answer;
    if (!this.#isOpen || answer === undefined || this.#isBodiless(answer)) return;
    if (this.#first !== undefined) {
      const first = this.#first;
      this.#first = undefined;
      this.#writeChunk(first);
    } else if (answer.length !== undefined && answer.length > 0 && !this.#isHeadWritten) {
      this.#writeMeasured(EMPTY, answer.length);
    }
    // Of an answer without length the head leaves with its first byte: the library has no other way.
  }

  #writeChunk(chunk: Uint8Array): boolean {
    const response = this.#response;
    let hasRoom = true;
    response.cork(() => {
      this.#writeHeadOnce();
      hasRoom = response.write(chunk);
    });
    if (!hasRoom) response.onWritable(() => this.#drained());
    return hasRoom;
  }

  #drained(): boolean {
    if (this.#isOpen) this.#listener?.drained();
    return true;
  }

  #writeMeasured(chunk: Uint8Array, length: number): boolean {
    const response = this.#response;
    const offset = response.getWriteOffset();
    let hasRoom = true;
    let isDone = false;
    this.#resumeBeforeEnd(offset + chunk.byteLength, length);
    response.cork(() => {
      this.#writeHeadOnce();
      [hasRoom, isDone] = response.tryEnd(chunk, length);
    });
    if (isDone) {
      this.#close();
      return true;
    }
    if (!hasRoom) {
      this.#rest = Buffer.from(chunk);
      this.#restOffset = offset;
      response.onWritable((written) => this.#writeRest(written, length));
    }
    return hasRoom;
  }

  #writeRest(written: number, length: number): boolean {
    if (!this.#isOpen) return true;
    const response = this.#response;
    const rest = this.#rest.subarray(written - this.#restOffset);
    this.#rest = rest;
    this.#restOffset = written;
    let hasRoom = true;
    let isDone = false;
    this.#resumeBeforeEnd(written + rest.byteLength, length);
    response.cork(() => {
      [hasRoom, isDone] = response.tryEnd(rest, length);
    });
    if (isDone) this.#close();
    else if (hasRoom) {
      this.#rest = EMPTY;
      this.#listener?.drained();
    }
    return hasRoom;
  }

  /** A connection that is not read would never bring another request. */
  #resumeBeforeEnd(offset: number, length: number): void {
    if (offset >= length) this.resume();
  }

  #endBodiless({ status, length }: AnswerHead): void {
    const response = this.#response;
    this.resume();
    this.#close();
    response.cork(() => {
      this.#writeHeadOnce();
      if (length !== undefined && status !== 204) {
        // Given to the library itself, it would wait for that many bytes.
        response.writeHeader('content-length', `${length}`);
      }
      response.endWithoutBody();
    });
  }

  #endUnmeasured(answer: AnswerHead): void {
    const response = this.#response;
    const first = this.#first;
    this.#first = undefined;
    this.resume();
    this.#close();
    response.cork(() => {
      this.#writeHeadOnce();
      // With all of the body at once the library gives its length.
      if (first !== undefined) response.end(first);
      else if (answer.length === 0) response.end('');
      else response.end();
    });
  }

  #writeHeadOnce(): void {
    const answer = this.#answer;
    if (this.#isHeadWritten || answer === undefined) return;
    this.#isHeadWritten = true;
    writeHead(this.#response, answer.status, answer.headers);
  }

  #isBodiless({ status }: AnswerHead): boolean {
    return this.method === 'HEAD' || status === 204 || status === 304;
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onEnd();
  }
}

/** A call into the library costs more than all the characters: plain lines leave with the status, in one. */
function writeHead(response: uWS.HttpResponse, status: number, headers: readonly string[]): void {
  const first = `${status} ${STATUS_CODES[status] ?? 'Unknown'}`;
  let lines = '';
  for (let index = 0; index < headers.length; index += 2) {
    lines += `\r\n${headers[index]}: ${headers[index + 1]}`;
  }
  if (PLAIN.test(lines)) response.writeStatus(`${first}${lines}`);
  else writeEach(response.writeStatus(first), headers);
}

function writeEach(response: uWS.HttpResponse, headers: readonly string[]): void {
  for (let index = 0; index < headers.length; index += 2) {
    const value = headers[index + 1] as string;
    // Bytes above ASCII leave as they came; the library would make UTF-8 of them.
    const bytes = NOT_ASCII.test(value) ? Buffer.from(value, 'latin1') : value;
    response.writeHeader(headers[index] as string, bytes);
  }
}

/** Addresses of IPv4 as text, by their four bytes; bounded, because clients have them. */
const addresses = new Map<number, string>();

/** As text; the library makes one with each call, which costs more than to find the one it made before. */
function peerOf(response: uWS.HttpResponse): string {
  const bytes = response.getRemoteAddress();
  if (bytes.byteLength !== IPV4_BYTES) return peerText(response);
  const number = new DataView(bytes).getUint32(0);
  let text = addresses.get(number);
  if (text === undefined) {
    text = peerText(response);
    if (addresses.size >= LIMITS.proxyAddresses) addresses.clear();
    addresses.set(number, text);
  }
  return text;
}

function peerText(response: uWS.HttpResponse): string {
  return Buffer.from(response.getRemoteAddressAsText()).toString('latin1');
}
