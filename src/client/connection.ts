/**
 * One socket from opening to close: requests and their answers, deliveries, signs of life.
 *
 * opening → open (hello came) → closed. A closed connection is never used again; whatever had no
 * answer by then fails with `connectionLost`. It knows nothing of reconnecting.
 */
import {
  type DaemonFrame,
  type Delivery,
  decodeDaemonFrame,
  type EventFrame,
  encodeStatus,
  type HelloFrame,
  type OkFrame,
} from '../protocol/frames.ts';
import { FairleadClientError } from './error.ts';
import type { WebSocketLike } from './socket.ts';
import type { DaemonLimits } from './types.ts';
import { errorFrom, limitsFrom } from './wire.ts';

/** What becomes of one request: `ok` or `failed`, once; `failed` also when `ok` cannot read its answer. */
export interface Reply {
  ok(answer: OkFrame): void;
  failed(error: FairleadClientError): void;
}

export interface ConnectionEvents {
  hello(frame: HelloFrame): void;
  deliver(subscription: number, deliveries: readonly Delivery[]): void;
  /** May throw when it cannot be read. */
  event(frame: EventFrame): void;
  goAway(reason: string, retryAfterMs: number): void;
  /** An error that answers no request. */
  error(error: FairleadClientError): void;
  closed(code: number, reason: string): void;
}

export interface ConnectionOptions {
  readonly openTimeoutMs: number;
  readonly heartbeatMs: number;
}

/** How long a peer may take to answer a close. */
const CLOSE_TIMEOUT_MS = 2000;
const REQUEST_ID_MAX = 0xffff_ffff;

export class Connection {
  readonly #socket: WebSocketLike;
  readonly #events: ConnectionEvents;
  readonly #replies = new Map<number, Reply>();
  readonly #openTimer: ReturnType<typeof setTimeout>;
  readonly #lifeTimer: ReturnType<typeof setInterval>;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  #limits: DaemonLimits | undefined;
  #lastId = 0;
  #closed = false;
  #fault = '';
  /** Beats of the life timer since a frame came. */
  #silentBeats = 0;

  constructor(socket: WebSocketLike, options: ConnectionOptions, events: ConnectionEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => this.#ended(code, reason || this.#fault);
    // A close always follows; where the host says what is wrong, that becomes its reason.
    socket.onerror = ({ message }) => {
      this.#fault = message ?? '';
    };
    this.#openTimer = setTimeout(() => this.drop('connectTimeout'), options.openTimeoutMs);
    this.#lifeTimer = setInterval(() => this.#beat(), options.heartbeatMs);
  }

  /** The daemon's bounds; only an open connection has them. */
  get limits(): DaemonLimits {
    if (this.#limits === undefined) throw new Error('the daemon has not said hello yet');
    return this.#limits;
  }

  get isOpen(): boolean {
    return this.#limits !== undefined && !this.#closed;
  }

  get unanswered(): number {
    return this.#replies.size;
  }

  /** Sends a frame that asks for an answer. */
  request(encode: (id: number) => Uint8Array, reply: Reply): void {
    if (this.#closed) {
      reply.failed(new FairleadClientError('connectionLost'));
      return;
    }
    this.#lastId = this.#lastId === REQUEST_ID_MAX ? 1 : this.#lastId + 1;
    this.#replies.set(this.#lastId, reply);
    this.#socket.send(encode(this.#lastId));
  }

  /** Sends a frame whose success needs no answer; a refusal of it comes as an error event. */
  send(frame: Uint8Array): void {
    if (!this.#closed) this.#socket.send(frame);
  }

  /** Closes in order: the daemon gets the close frame, and `closed` follows. */
  close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#socket.close(code, reason);
    this.#closeTimer ??= setTimeout(() => this.drop(reason), CLOSE_TIMEOUT_MS);
  }

  /** Ends it now; a peer that no longer answers would make an orderly close wait. */
  drop(reason: string): void {
    if (this.#closed) return;
    if (this.#socket.terminate === undefined) this.#socket.close();
    else this.#socket.terminate();
    this.#ended(1006, reason);
  }

  #received(data: unknown): void {
    if (this.#closed) return;
    this.#silentBeats = 0;
    let frame: DaemonFrame;
    try {
      frame = decodeDaemonFrame(new Uint8Array(data as ArrayBuffer));
    } catch (cause) {
      this.#bad(cause);
      return;
    }
    this.#take(frame);
  }

  #bad(cause: unknown): void {
    this.#events.error(new FairleadClientError('badFrame', String(cause)));
    this.drop('badFrame');
  }

  #take(frame: DaemonFrame): void {
    switch (frame.kind) {
      case 'ok':
        this.#answered(frame);
        break;
      case 'error': {
        const error = errorFrom(frame);
        const reply = this.#reply(frame.id);
        if (reply === undefined) this.#events.error(error);
        else reply.failed(error);
        break;
      }
      case 'deliver':
        this.#events.deliver(frame.subscription, frame.deliveries);
        break;
      case 'event':
        this.#told(frame);
        break;
      case 'goAway':
        this.#events.goAway(frame.reason, frame.retryAfterMs);
        break;
      case 'hello':
        clearTimeout(this.#openTimer);
        this.#limits = limitsFrom(frame.limits);
        this.#events.hello(frame);
        break;
      default: // A later daemon may say more than this client understands.
    }
  }

  #answered(frame: OkFrame): void {
    const reply = this.#reply(frame.id);
    try {
      reply?.ok(frame);
    } catch (cause) {
      reply?.failed(new FairleadClientError('badFrame', undefined, { maybeAccepted: true }));
      this.#bad(cause);
    }
  }

  #told(frame: EventFrame): void {
    try {
      this.#events.event(frame);
    } catch (cause) {
      this.#bad(cause);
    }
  }

  #reply(id: number): Reply | undefined {
    const reply = this.#replies.get(id);
    this.#replies.delete(id);
    return reply;
  }

  /** A half-open connection says nothing for ever, so after a silent beat any answer is asked for. */
  #beat(): void {
    if (!this.isOpen) return;
    this.#silentBeats += 1;
    if (this.#silentBeats > 2) {
      this.drop('no sign of life');
    } else if (this.#silentBeats === 2) {
      this.request((id) => encodeStatus({ id, messageIds: [] }), {
        ok: () => {},
        failed: () => {},
      });
    }
  }

  #ended(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#openTimer);
    clearTimeout(this.#closeTimer);
    clearInterval(this.#lifeTimer);
    const lost = new FairleadClientError('connectionLost', undefined, { maybeAccepted: true });
    for (const reply of this.#replies.values()) reply.failed(lost);
    this.#replies.clear();
    this.#events.closed(code, reason);
  }
}
