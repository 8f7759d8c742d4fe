/** Whether the callbacks of each message come in the order of its statuses, each once. */

const STATUS_KEY = Buffer.from('"status":"');
const QUOTE = 0x22;

/** The status in the body of a callback; empty: there is none. */
export function callbackText(body: Buffer): string {
  const at = body.indexOf(STATUS_KEY);
  if (at === -1) return '';
  const start = at + STATUS_KEY.length;
  return body.toString('latin1', start, body.indexOf(QUOTE, start));
}

export class StatusOrder {
  readonly #statuses: readonly string[];
  /** Place of the status that comes next, for each message. */
  readonly #next: Uint8Array;

  constructor(messages: number, statuses: readonly string[]) {
    this.#statuses = statuses;
    this.#next = new Uint8Array(messages);
  }

  /** @returns the callback's number among all, or what is wrong with it */
  take(message: number, status: string): number | string {
    const next = this.#next[message];
    if (next === undefined) return `a callback of message ${message}, which there is not`;
    const wanted = this.#statuses[next];
    if (status !== wanted) {
      return `message ${message} was told ${status}, ${wanted ?? 'nothing more'} was to come`;
    }
    this.#next[message] = next + 1;
    return message * this.#statuses.length + next;
  }
}
