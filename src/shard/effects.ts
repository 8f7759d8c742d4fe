// Hands the effects of one exchange to the sink: all frames of a connection in one call.
import { EFFECT_OP, type EffectsReader } from '../protocol/exchange.ts';
import type { FrameSink } from './frame-sink.ts';

/** What gets the answers to the main thread's own requests. */
export type TakeReply = (request: number, op: ReplyOp, bytes: Uint8Array) => void;

/** A reply is JSON text or one daemon frame. */
export type ReplyOp = typeof EFFECT_OP.reply | typeof EFFECT_OP.replyFrame;

/** Before the events of an entry. */
const EVENT_SEQUENCE_BYTES = 8;

/** Keeps its array of spans from exchange to exchange. */
export class EffectsDispatcher {
  readonly #shard: number;
  readonly #sink: FrameSink;
  readonly #takeReply: TakeReply;
  #spans = new Uint32Array(256);
  #count = 0;

  constructor(shard: number, sink: FrameSink, takeReply: TakeReply) {
    this.#shard = shard;
    this.#sink = sink;
    this.#takeReply = takeReply;
  }

  /** @throws RangeError when the bytes are no effects */
  dispatch(effects: EffectsReader, bytes: Uint8Array): void {
    let connection = 0;
    this.#count = 0;
    while (effects.next()) {
      const isSend = effects.op === EFFECT_OP.send;
      if (this.#count > 0 && !(isSend && effects.connection === connection)) {
        this.#send(connection, bytes);
      }
      if (isSend) {
        connection = effects.connection;
        this.#add(effects.start, effects.end - effects.start);
      } else if (effects.op === EFFECT_OP.reply || effects.op === EFFECT_OP.replyFrame) {
        this.#takeReply(effects.connection, effects.op, effects.entry());
      } else if (effects.op === EFFECT_OP.close) {
        this.#sink.closeConnection(effects.connection, effects.closeCode());
      } else if (effects.op === EFFECT_OP.statusEvents) {
        const events = effects.entry().subarray(EVENT_SEQUENCE_BYTES);
        this.#sink.statusEvents(this.#shard, effects.eventSequence(), events);
      } else {
        throw new RangeError(`effects have an entry of unknown op ${effects.op}`);
      }
    }
    if (this.#count > 0) this.#send(connection, bytes);
  }

  #add(start: number, length: number): void {
    const at = 2 * this.#count;
    if (at === this.#spans.length) {
      const larger = new Uint32Array(2 * this.#spans.length);
      larger.set(this.#spans);
      this.#spans = larger;
    }
    this.#spans[at] = start;
    this.#spans[at + 1] = length;
    this.#count += 1;
  }

  #send(connection: number, bytes: Uint8Array): void {
    const count = this.#count;
    this.#count = 0;
    this.#sink.sendFrames(connection, bytes, this.#spans, count);
  }
}
