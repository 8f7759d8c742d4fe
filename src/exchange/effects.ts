// Hands the effects of one exchange out: all frames of a connection in one call.
import { EFFECT_OP, type EffectsReader } from '../protocol/exchange.ts';
import type { FrameSink } from './frame-sink.ts';

/** Gets each effect that is neither a frame nor a close, as the reader's current entry. */
export type TakeEffect = (effects: EffectsReader) => void;

/** Keeps its array of spans from exchange to exchange. */
export class EffectsDispatcher {
  readonly #sink: FrameSink;
  readonly #take: TakeEffect;
  #spans = new Uint32Array(256);
  #count = 0;

  constructor(sink: FrameSink, take: TakeEffect) {
    this.#sink = sink;
    this.#take = take;
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
      } else if (effects.op === EFFECT_OP.close) {
        this.#sink.closeConnection(effects.connection, effects.closeCode());
      } else {
        this.#take(effects);
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
