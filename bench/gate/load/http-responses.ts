/** Splits what a connection reads into responses of a known body length. */

const HEAD_END = Buffer.from('\r\n\r\n');
const OK = 'HTTP/1.1 200';

export class HttpResponses {
  readonly #bodyBytes: number;
  #rest: Buffer = Buffer.alloc(0);

  constructor(bodyBytes: number) {
    this.#bodyBytes = bodyBytes;
  }

  /**
   * @returns responses that ended with these bytes
   * @throws Error at an answer that is no 200 with such a body
   */
  take(chunk: Buffer): number {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let [at, count] = [0, 0];
    for (;;) {
      const end = bytes.indexOf(HEAD_END, at);
      if (end < 0) break;
      const next = end + HEAD_END.length + this.#bodyBytes;
      if (next > bytes.length) break;
      const head = bytes.toString('latin1', at, end);
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
      if (!head.startsWith(OK) || Number(length) !== this.#bodyBytes) {
        throw new Error(`the answer was ${JSON.stringify(head.slice(0, 300))}`);
      }
      count += 1;
      at = next;
    }
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
    return count;
  }
}
