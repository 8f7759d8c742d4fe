/**
 * One request of the streaming client: `waiting` for a connection, `connecting`, `sent`, `answering`, `done`
 * (the connection is given back). A connection is given back for another request only if both
 * messages are complete and nothing of either is in doubt.
 */
import type { Link, LinkUser } from './http1-link.ts';
import { OutboundError, outboundErrorOf } from './outbound-error.ts';
import type { Slot, SocketPool, Waiter } from './socket-pool.ts';
import type { Exchange, StreamHandler, StreamRequest } from './stream-client.ts';
import { requestHead } from './stream-head.ts';
import { UploadBody } from './upload-body.ts';

export class StreamCall implements Waiter<Link>, Exchange, LinkUser {
  readonly #pool: SocketPool<Link>;
  readonly #request: StreamRequest;
  readonly #handler: StreamHandler;
  /** Undefined: its body does not stream. */
  readonly #upload: UploadBody | undefined;
  #slot: Slot<Link> | undefined;
  #isSent = false;
  #isAnswered = false;
  #isRepeated = false;
  #isReused = false;
  #isDone = false;

  constructor(pool: SocketPool<Link>, request: StreamRequest, handler: StreamHandler) {
    this.#pool = pool;
    this.#request = request;
    this.#handler = handler;
    if (request.body === 'stream') this.#upload = new UploadBody(request.length);
  }

  // The pool's side.

  start(slot: Slot<Link>): void {
    if (this.#isDone) {
      this.#pool.release(slot, false);
      return;
    }
    this.#slot = slot;
    slot.client.use(this);
  }

  fail(error: OutboundError): void {
    this.#fail(error);
  }

  // The exchange.

  write(chunk: Uint8Array): boolean {
    const upload = this.#upload;
    if (this.#isDone || upload === undefined) return true;
    if (upload.add(chunk)) return upload.hasRoom;
    this.#fail(this.#wrongLength('longer'));
    return true;
  }

  finish(): void {
    if (this.#isDone || this.#upload === undefined) return;
    if (!this.#upload.finish()) {
      this.#fail(this.#wrongLength('shorter'));
    }
  }

  resume(): void {
    this.#slot?.client.resume();
  }

  abort(): void {
    if (this.#isDone) return;
    if (this.#slot === undefined) this.#pool.cancel(this.#request.origin, this);
    this.#end(false);
  }

  // The connection's side.

  ready(isReused: boolean): void {
    const { client } = this.#slot as Slot<Link>;
    const { body, method } = this.#request;
    const head = requestHead(this.#request, client.hostLine);
    if (head === undefined) {
      this.#fail(new OutboundError('badUrl', 'The head of a request holds what no head holds.'));
      return;
    }
    this.#isReused = isReused;
    this.#isSent = true;
    client.parser.begin(method === 'HEAD');
    if (body === undefined) {
      client.write(head);
      return;
    }
    client.cork();
    client.write(head);
    if (this.#upload === undefined) {
      client.writeBytes(body as Uint8Array);
      client.uncork();
      return;
    }
    // What its owner gives in this turn leaves with the head.
    process.nextTick(() => client.uncork());
    if (this.#upload.open(client)) this.#handler.room();
  }

  unreachable(error: unknown): void {
    this.#fail(outboundErrorOf(error, false));
  }

  bytes(bytes: Buffer, to: number): boolean {
    const { parser } = (this.#slot as Slot<Link>).client;
    parser.take(bytes, to);
    if (parser.fault !== undefined) {
      const message = 'What came is no answer of HTTP/1.1, or could be read in two ways.';
      this.#fail(new OutboundError(parser.fault, message, { sentMaybe: true }));
      return true;
    }
    const { framing, partStart, partEnd } = parser;
    if (framing === undefined) return true;
    const handler = this.#handler;
    if (!this.#isAnswered) {
      this.#isAnswered = true;
      handler.head(parser.status, parser.headers, framing.length);
    }
    let hasRoom = true;
    if (partEnd > partStart && !this.#isDone) {
      // A view of the plain kind: making a Buffer takes several times as long.
      const { buffer, byteOffset } = bytes;
      hasRoom = handler.data(new Uint8Array(buffer, byteOffset + partStart, partEnd - partStart));
    }
    if (this.#isDone) return true;
    if (parser.isDone) {
      this.#end(parser.isReusable);
      handler.end();
      return true;
    }
    handler.paused();
    return hasRoom;
  }

  ended(): void {
    const { parser } = (this.#slot as Slot<Link>).client;
    if (parser.end()) {
      this.#end(false);
      this.#handler.end();
    } else this.broken(new OutboundError('reset', 'The connection ended before the answer did.'));
  }

  broken(error: unknown): void {
    const slot = this.#slot as Slot<Link>;
    if (this.#mayRepeat(slot.client, error)) {
      this.#isRepeated = true;
      this.#isSent = false;
      // The one before has ended, so this makes a new one.
      slot.client.use(this);
      return;
    }
    this.#fail(outboundErrorOf(error, this.#isSent));
  }

  drained(): void {
    if (!this.#isDone) this.#handler.room();
  }

  #mayRepeat(link: Link, error: unknown): boolean {
    const { idempotent, body } = this.#request;
    if (!idempotent || body !== undefined || this.#isRepeated || !this.#isReused) return false;
    if (link.parser.hasBegun || link.isDestroyed) return false;
    return outboundErrorOf(error, true).kind === 'reset';
  }

  #wrongLength(how: string): OutboundError {
    const message = `The body of a request is ${how} than it was said to be.`;
    return new OutboundError('badUrl', message, { sentMaybe: this.#isSent });
  }

  #fail(error: OutboundError): void {
    if (this.#isDone) return;
    this.#end(false);
    this.#handler.failed(error);
  }

  /** `mayStay`: the answer leaves its connection where another may begin. */
  #end(mayStay: boolean): void {
    this.#isDone = true;
    const slot = this.#slot;
    this.#slot = undefined;
    if (slot === undefined) return;
    const { client } = slot;
    // A backend that answers before it has read all leaves a connection nobody can use.
    const isRead = this.#upload?.isComplete !== false && client.waitingBytes === 0;
    const stays = mayStay && isRead && client.free(client.parser.framing?.keepMs);
    this.#pool.release(slot, stays);
  }
}
