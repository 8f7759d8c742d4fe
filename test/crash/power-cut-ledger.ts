/** What had left the driver before a cut, from its marks, and what a start after it may find. */
import type { Delivery } from '../../src/protocol/frames.ts';
import { messageIdToText } from '../../src/protocol/message-id.ts';
import { keyOf } from './traffic.ts';

interface Frame {
  readonly count: number;
  /** First id, once acknowledged. */
  first: string | undefined;
}

const FLAG_MAYBE_DELIVERED = 1;
const ID_INDEX_DIGITS = 4;

export class CutLedger {
  readonly #frames = new Map<number, Frame>();
  readonly #delivered = new Set<string>();
  readonly #settleSent = new Set<string>();
  readonly #retrySent = new Set<string>();
  readonly #settled = new Set<string>();
  /** Newest answered value by name. */
  readonly entities = new Map<string, number>();
  readonly faults: string[] = [];
  acknowledged = 0;
  redelivered = 0;
  lost = 0;
  wronglyRepeated = 0;
  partialFrames = 0;

  /** Marks in the order in which they were made. */
  read(text: string): void {
    for (const line of text.split('\n')) {
      const [what, ...words] = line.split(' ');
      const [first = '', second = ''] = words;
      if (what === 'p')
        this.#frames.set(Number(first), { count: Number(second), first: undefined });
      else if (what === 'a') (this.#frames.get(Number(first)) as Frame).first = second;
      else if (what === 'd') this.#delivered.add(first);
      else if (what === 's') this.#settleSent.add(first);
      else if (what === 'r') this.#retrySent.add(first);
      else if (what === 'k') for (const key of words) this.#settled.add(key);
      else if (what === 'e') this.entities.set(first, Number(second));
    }
  }

  /** @throws Error when something was delivered that nobody published, or twice */
  compare(deliveries: readonly Delivery[], image: string): void {
    const came = new Map<string, Delivery>();
    for (const delivery of deliveries) {
      const key = keyOf(delivery.payload);
      if (key === undefined) throw new Error('a payload is damaged');
      const name = `${key.frame}:${key.index}`;
      if (came.has(name)) throw new Error(`${name} is there twice`);
      came.set(name, delivery);
    }
    let known = 0;
    for (const [number, frame] of this.#frames) {
      known += this.#compareFrame({ number, frame, came, image });
    }
    if (known !== came.size) throw new Error('messages are there that nobody published');
    this.redelivered += came.size;
  }

  /** @returns how many of its messages came */
  #compareFrame(each: {
    number: number;
    frame: Frame;
    came: ReadonlyMap<string, Delivery>;
    image: string;
  }): number {
    const { number, frame, came, image } = each;
    let found = 0;
    let settled = 0;
    for (let index = 0; index < frame.count; index += 1) {
      const key = `${number}:${index}`;
      const delivery = came.get(key);
      if (this.#settleSent.has(key)) settled += 1;
      if (frame.first !== undefined) this.acknowledged += 1;
      if (delivery !== undefined) {
        found += 1;
        this.#checkDelivery({ key, delivery, frame, index, image });
      } else if (frame.first !== undefined && !this.#settleSent.has(key)) {
        this.lost += 1;
        this.#say(`${image}: ${key} was acknowledged and is gone`);
      }
    }
    if (frame.first === undefined && found > 0 && found + settled < frame.count) {
      this.partialFrames += 1;
      this.#say(`${image}: ${found} of ${frame.count} messages of frame ${number} are there`);
    }
    return found;
  }

  #checkDelivery(each: {
    key: string;
    delivery: Delivery;
    frame: Frame;
    index: number;
    image: string;
  }): void {
    const { key, delivery, frame, index, image } = each;
    const isFlagged = (delivery.flags & FLAG_MAYBE_DELIVERED) !== 0;
    const mayComeUnflagged = !this.#delivered.has(key) || this.#retrySent.has(key);
    if (this.#settled.has(key) || !(isFlagged || mayComeUnflagged)) {
      this.wronglyRepeated += 1;
      this.#say(`${image}: ${key} again, attempt ${delivery.attempt}, flags ${delivery.flags}`);
    }
    const id = messageIdToText(delivery.messageId);
    if (frame.first !== undefined && id !== idAt(frame.first, index)) {
      throw new Error(`${key} has the id ${id} and was acknowledged as from ${frame.first} on`);
    }
  }

  #say(words: string): void {
    if (this.faults.length < 20) this.faults.push(words);
  }
}

function idAt(first: string, index: number): string {
  const base = Number.parseInt(first.slice(-ID_INDEX_DIGITS), 16);
  const digits = (base + index).toString(16).padStart(ID_INDEX_DIGITS, '0');
  return first.slice(0, -ID_INDEX_DIGITS) + digits;
}
