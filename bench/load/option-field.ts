/**
 * An option of a row's messages, as the fifth field of each: encoded once with a fixed width, its
 * value patched by the message's sequence number.
 */

/** When messages are to be sent: from `firstAtMs` on, `perMs` for each millisecond. */
export interface SendTimes {
  /** ms since the epoch. */
  readonly firstAtMs: number;
  /** null: all at once. */
  readonly perMs: number | null;
  /** Sequence number of the first of them. */
  readonly firstSequence?: number;
}

export interface OptionField {
  /** Bytes behind a message's body. */
  readonly bytes: number;
  /** Returns the place behind it. */
  encode(bytes: Buffer, at: number): number;
  patch(view: DataView, at: number, sequence: number): void;
  sendAt(times: SendTimes): void;
}

export function optionField(option: 'at' | 'key' | undefined): OptionField | undefined {
  if (option === undefined) return undefined;
  return option === 'at' ? new SendAt() : new IdempotencyKey();
}

/** ms since the epoch. */
export function atMsOf(
  { firstAtMs, perMs, firstSequence = 0 }: SendTimes,
  sequence: number,
): number {
  return perMs === null ? firstAtMs : firstAtMs + Math.floor((sequence - firstSequence) / perMs);
}

/** The key of a message: 16 characters. */
export function keyOf(sequence: number): string {
  return `order-${String(sequence).padStart(KEY_DIGITS, '0')}`;
}

/** `{at: uint 64}` */
class SendAt implements OptionField {
  readonly bytes = 1 + 3 + 9;
  /** Due at once, until it is set. */
  #times: SendTimes = { firstAtMs: 1, perMs: null };

  encode(bytes: Buffer, at: number): number {
    bytes.set([0x81, 0xa2, 0x61, 0x74, 0xcf], at);
    return at + this.bytes;
  }

  patch(view: DataView, at: number, sequence: number): void {
    const atMs = atMsOf(this.#times, sequence);
    view.setUint32(at + 5, Math.floor(atMs / 2 ** 32));
    view.setUint32(at + 9, atMs >>> 0);
  }

  sendAt(times: SendTimes): void {
    this.#times = times;
  }
}

const KEY_DIGITS = 10;
const KEY_BYTES = 16;
const KEY_AT = 1 + 2 + 1;
const DIGIT_0 = 0x30;

/** `{k: str}` */
class IdempotencyKey implements OptionField {
  readonly bytes = KEY_AT + KEY_BYTES;

  encode(bytes: Buffer, at: number): number {
    bytes.set([0x81, 0xa1, 0x6b, 0xa0 | KEY_BYTES], at);
    bytes.write(keyOf(0), at + KEY_AT, 'latin1');
    return at + this.bytes;
  }

  patch(view: DataView, at: number, sequence: number): void {
    let left = sequence;
    const first = at + this.bytes - KEY_DIGITS;
    for (let place = at + this.bytes - 1; place >= first; place -= 1) {
      const next = Math.floor(left / 10);
      view.setUint8(place, DIGIT_0 + left - 10 * next);
      left = next;
    }
  }

  sendAt(): void {
    throw new Error('messages with a key have no time');
  }
}
