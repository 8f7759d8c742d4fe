/**
 * Messages on their way to the daemon: what waits, what is unanswered, and whose promise it is.
 *
 * A chunk is what will be one publish frame. It is open (takes more messages of its destination)
 * → queued → in flight → answered; when the connection is lost in flight, it is refused as
 * `connectionLost`, or queued again if the user chose `resend`. A frame refused as `goingAway` was
 * not taken, so it is always queued again. In flight are at most publishWindowBytes; queued at most
 * queueBytesMax: past it, publishes are refused as `clientQueueFull`.
 */
import {
  encodePublish,
  type OkFrame,
  type PublishMessage,
  readPublishOk,
} from '../protocol/frames.ts';
import { checkMessage } from './check-message.ts';
import { checkName } from './check-text.ts';
import type { Connection } from './connection.ts';
import { FairleadClientError } from './error.ts';
import { Fifo } from './fifo.ts';
import { idsFrom, idText } from './message-id.ts';
import { OncePerTurn } from './next-turn.ts';
import { Batch, type Sink, Waiters, without } from './sinks.ts';
import type { BatchPublished, Message, Published } from './types.ts';
import { LIMITS_DEFAULT } from './wire.ts';

interface Chunk {
  readonly destination: string;
  readonly messages: PublishMessage[];
  readonly sink: Sink;
  /** Upper bound of the frame's bytes. */
  bytes: number;
  /** Messages already taken out because the daemon refused the frame for them. */
  readonly faults: number;
}

/** Past this a frame is full: larger ones gain nothing and make others wait. */
const CHUNK_BYTES = 256 * 1024;
const FRAME_BYTES = 256;
/** So many bad messages cost one frame each; with more, all that is left of it is refused. */
const FAULTS_MAX = 16;

export class Publisher {
  readonly #queueBytesMax: number;
  readonly #resend: boolean;
  readonly #queue = new Fifo<Chunk>();
  readonly #open = new Map<string, { chunk: Chunk; waiters: Waiters }>();
  readonly #inFlight = new Set<Chunk>();
  /** Refused or lost chunks on their way back to the head of the queue, in order. */
  readonly #returned: Chunk[] = [];
  readonly #flush = new OncePerTurn(() => {
    this.#send();
    this.#notify();
  });
  #queueBytes = 0;
  #inFlightBytes = 0;
  #connection: Connection | undefined;
  #limits = LIMITS_DEFAULT;
  #final: FairleadClientError | undefined;
  #watchers: (() => void)[] = [];

  constructor(options: { queueBytesMax: number; resend: boolean }) {
    this.#queueBytesMax = options.queueBytesMax;
    this.#resend = options.resend;
  }

  publish(destination: string, message: Message): Promise<Published> {
    return new Promise((resolve, reject) => {
      const { wire, bytes } = this.#check(destination, message);
      let open = this.#open.get(destination);
      if (open === undefined || this.#isFull(open.chunk, bytes)) {
        const waiters = new Waiters();
        open = { chunk: this.#enqueue(destination, waiters), waiters };
        this.#open.set(destination, open);
      }
      open.waiters.add({ resolve, reject });
      this.#append(open.chunk, wire, bytes);
      this.#flush.ask();
    });
  }

  publishBatch(destination: string, messages: readonly Message[]): Promise<BatchPublished> {
    return new Promise((resolve, reject) => {
      // All are checked before any is queued: a batch with a bad message is refused whole.
      const checked = messages.map((message) => this.#check(destination, message));
      const batch = new Batch(messages.length, resolve);
      if (messages.length === 0) return batch.finish();
      const bytesAll = checked.reduce((all, { bytes }) => all + bytes, 0);
      if (this.#queueBytes > 0 && this.#queueBytes + bytesAll > this.#queueBytesMax) {
        return reject(new FairleadClientError('clientQueueFull'));
      }
      let chunk: Chunk | undefined;
      checked.forEach(({ wire, bytes }, index) => {
        if (chunk === undefined || this.#isFull(chunk, bytes)) {
          chunk = this.#enqueue(destination, batch.from(index));
        }
        this.#append(chunk, wire, bytes);
      });
      this.#flush.ask();
    });
  }

  /** Resolves when less than half of the queue is used, or nothing more can be sent. */
  async writable(): Promise<void> {
    while (this.#final === undefined && this.#queueBytes * 2 > this.#queueBytesMax) {
      await this.#changed();
    }
  }

  /** Resolves when nothing waits and nothing is unanswered. */
  async idle(): Promise<void> {
    while (this.#queue.length + this.#inFlight.size + this.#returned.length > 0)
      await this.#changed();
  }

  /** From now on chunks go out over this connection. */
  attach(connection: Connection): void {
    this.#connection = connection;
    this.#limits = connection.limits;
    this.#send();
  }

  /** Nothing more is sent over the connection; what is unanswered may still be answered. */
  detach(): void {
    this.#connection = undefined;
  }

  get unanswered(): number {
    return this.#inFlight.size;
  }

  /** Ends everything with this error, what is in flight as perhaps accepted. */
  fail(error: FairleadClientError): void {
    this.#final = error;
    this.#connection = undefined;
    this.#open.clear();
    for (const chunk of [...this.#returned.splice(0), ...this.#queue.drain()]) {
      refuseAll(chunk, error);
    }
    this.#queueBytes = 0;
    const maybe = new FairleadClientError(error.error, error.message, {
      ...error,
      maybeAccepted: true,
    });
    for (const chunk of this.#inFlight) refuseAll(chunk, maybe);
    this.#inFlight.clear();
    this.#inFlightBytes = 0;
    this.#notify();
  }

  #check(destination: string, message: Message): { wire: PublishMessage; bytes: number } {
    if (this.#final !== undefined) throw this.#final;
    checkName('destination', destination);
    if (this.#queueBytes >= this.#queueBytesMax) throw new FairleadClientError('clientQueueFull');
    return checkMessage(message, this.#limits.payloadBytes);
  }

  #enqueue(destination: string, sink: Sink): Chunk {
    const chunk: Chunk = { destination, messages: [], sink, bytes: FRAME_BYTES, faults: 0 };
    this.#queue.push(chunk);
    this.#queueBytes += chunk.bytes;
    return chunk;
  }

  #append(chunk: Chunk, wire: PublishMessage, bytes: number): void {
    chunk.messages.push(wire);
    chunk.bytes += bytes;
    this.#queueBytes += bytes;
  }

  #isFull(chunk: Chunk, more: number): boolean {
    return (
      chunk.messages.length >= this.#limits.messagesPerFrame || chunk.bytes + more > CHUNK_BYTES
    );
  }

  #send(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    for (;;) {
      const chunk = this.#queue.peek();
      if (chunk === undefined) break;
      const room = connection.limits.publishWindowBytes - this.#inFlightBytes;
      if (chunk.bytes > room && this.#inFlight.size > 0) break;
      const { destination, messages } = chunk;
      this.#queue.shift();
      if (this.#open.get(destination)?.chunk === chunk) this.#open.delete(destination);
      this.#queueBytes -= chunk.bytes;
      this.#inFlight.add(chunk);
      this.#inFlightBytes += chunk.bytes;
      connection.request((id) => encodePublish({ id, destination, messages }), {
        ok: (answer) => this.#answered(chunk, answer),
        failed: (error) => this.#failed(chunk, error),
      });
    }
  }

  #answered(chunk: Chunk, answer: OkFrame): void {
    const { firstId, refused, repeated } = readPublishOk(answer);
    if (!this.#land(chunk)) return;
    const { sink } = chunk;
    const idOf = firstId === undefined ? undefined : idsFrom(firstId);
    const special = new Set<number>();
    for (const { index, code, retryAfterMs } of refused) {
      special.add(index);
      sink.refuse(index, FairleadClientError.fromCode(code, undefined, { retryAfterMs }));
    }
    for (const { index, messageId } of repeated) {
      special.add(index);
      sink.accept(index, idText(messageId), true);
    }
    for (let index = 0; index < chunk.messages.length; index += 1) {
      if (special.size === 0 || !special.has(index)) sink.accept(index, idOf?.(index) ?? '', false);
    }
  }

  #failed(chunk: Chunk, error: FairleadClientError): void {
    if (!this.#land(chunk)) return;
    const notTaken = error.error === 'goingAway';
    const again = this.#resend && error.error === 'connectionLost';
    const rest = notTaken || again ? chunk : refuseOne(chunk, error);
    if (rest === undefined || this.#final !== undefined) refuseAll(chunk, error);
    else this.#putBack(rest);
  }

  /** To the head of the queue; chunks of a lost connection come one after another, in order. */
  #putBack(chunk: Chunk): void {
    if (this.#returned.length === 0) queueMicrotask(() => this.#requeue());
    this.#returned.push(chunk);
    this.#queueBytes += chunk.bytes;
  }

  #requeue(): void {
    this.#queue.unshift(this.#returned.splice(0));
    this.#flush.ask();
  }

  /** Takes a chunk out of flight. False if it is there no more: its promises are settled. */
  #land(chunk: Chunk): boolean {
    if (!this.#inFlight.delete(chunk)) return false;
    this.#inFlightBytes -= chunk.bytes;
    this.#flush.ask();
    return true;
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#watchers.push(resolve));
  }

  #notify(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}

/**
 * A fault of one message refuses its whole frame, and messages of other callers with it. If the
 * error names the message, only that one is refused, and what is returned is sent again.
 */
function refuseOne(chunk: Chunk, error: FairleadClientError): Chunk | undefined {
  const index = error.details?.index;
  const { messages, sink, faults } = chunk;
  if (typeof index !== 'number' || index >= messages.length) return undefined;
  if (messages.length === 1 || faults >= FAULTS_MAX) return undefined;
  sink.refuse(index, error);
  return {
    ...chunk,
    messages: messages.filter((_, at) => at !== index),
    sink: without(sink, index),
    faults: faults + 1,
  };
}

function refuseAll({ messages, sink }: Chunk, error: FairleadClientError): void {
  for (let index = 0; index < messages.length; index += 1) sink.refuse(index, error);
}
