/** What had left the driver before a cut, from its marks, and what a start after it may find. */
import type { Delivery, StatusEntry } from '../../src/protocol/frames.ts';
import { MESSAGE_STATUS } from '../../src/protocol/kinds.ts';
import { messageIdFromText, messageIdToText } from '../../src/protocol/message-id.ts';
import { idAt } from './message-ids.ts';
import type { Asked, Found } from './power-cut-shard.ts';
import { keyOf } from './traffic.ts';

interface Frame {
  readonly kinds: readonly string[];
  /** First id, once acknowledged. */
  first: string | undefined;
}

const FLAG_MAYBE_DELIVERED = 1;

export class CutLedger {
  readonly #frames = new Map<number, Frame>();
  readonly #delivered = new Set<string>();
  readonly #settleSent = new Set<string>();
  readonly #retrySent = new Set<string>();
  readonly #settled = new Set<string>();
  readonly #cancelSent = new Set<string>();
  readonly #cancelled = new Set<string>();
  /** Newest answered value by name. */
  readonly entities = new Map<string, number>();
  readonly faults: string[] = [];
  acknowledged = 0;
  redelivered = 0;
  lost = 0;
  wronglyRepeated = 0;
  partialFrames = 0;
  /** Answered cancels whose message came. */
  deliveredAfterCancel = 0;
  /** Messages that came although their validity was over. */
  late = 0;
  /** Repeats of acknowledged keys that were not answered with the first id. */
  repeatsWrong = 0;
  /** Acknowledged messages of which a start does not know what happened, or says something else. */
  statusWrong = 0;
  repeats = 0;
  cancelled = 0;
  expired = 0;

  /** Marks in the order in which they were made. */
  read(text: string): void {
    for (const line of text.split('\n')) {
      const [what, ...words] = line.split(' ');
      const [first = '', second = ''] = words;
      if (what === 'p')
        this.#frames.set(Number(first), { kinds: words.slice(1), first: undefined });
      else if (what === 'a') (this.#frames.get(Number(first)) as Frame).first = second;
      else if (what === 'd') this.#delivered.add(first);
      else if (what === 's') this.#settleSent.add(first);
      else if (what === 'r') this.#retrySent.add(first);
      else if (what === 'k') for (const key of words) this.#settled.add(key);
      else if (what === 'n') for (const key of words) this.#cancelSent.add(key);
      else if (what === 'o') for (const key of words) this.#cancelled.add(key);
      else if (what === 'e') this.entities.set(first, Number(second));
    }
  }

  /** What to ask a start for: all that was acknowledged. */
  asks(): Asked & { readonly names: readonly string[]; readonly keyIds: readonly string[] } {
    const names: string[] = [];
    const ids: Uint8Array[] = [];
    const keys: string[] = [];
    const keyIds: string[] = [];
    for (const [number, { first, kinds }] of this.#frames) {
      if (first === undefined) continue;
      for (const [index, kind] of kinds.entries()) {
        names.push(`${number}:${index}`);
        ids.push(messageIdFromText(idAt(first, index)) as Uint8Array);
        if (kind !== 'keyed') continue;
        keys.push(`${number}:${index}`);
        keyIds.push(idAt(first, index));
      }
    }
    return { names, ids, keys, keyIds };
  }

  /** Compares what a start says with what had been answered. */
  compareAnswers(
    { statuses, repeats, deliveries }: Found,
    { names, ids, keyIds }: ReturnType<CutLedger['asks']>,
    image: string,
  ): void {
    const came = new Set(deliveries.map(({ messageId }) => messageIdToText(messageId)));
    for (const [at, id] of keyIds.entries()) {
      this.repeats += 1;
      if (repeats[at] === id) continue;
      this.repeatsWrong += 1;
      this.#say(`${image}: the key of ${id} was answered with ${repeats[at]}`);
    }
    const inFlight = ids.map((id) => came.has(messageIdToText(id)));
    for (const [at, name] of names.entries()) {
      const found = statuses[at];
      if (found?.status === MESSAGE_STATUS.expired) this.expired += 1;
      if (found?.status === MESSAGE_STATUS.cancelled) this.cancelled += 1;
      if (this.#mayBe(name, found, inFlight[at] === true)) continue;
      this.statusWrong += 1;
      this.#say(`${image}: ${name} is ${JSON.stringify(found)}`);
    }
  }

  #mayBe(name: string, found: StatusEntry | undefined, cameAgain: boolean): boolean {
    const { sending, sent, expired, cancelled } = MESSAGE_STATUS;
    if (found === undefined) return false;
    if (cameAgain) return found.status === sending;
    if (this.#cancelled.has(name)) return found.status === cancelled;
    if (this.#settled.has(name)) return found.status === sent;
    const [frame, index] = name.split(':').map(Number);
    const isBrief = this.#frames.get(frame as number)?.kinds[index as number] === 'brief';
    if (found.status === expired) return isBrief;
    if (found.status === cancelled) return this.#cancelSent.has(name);
    return found.status === sent && this.#settleSent.has(name);
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
    for (let index = 0; index < frame.kinds.length; index += 1) {
      const key = `${number}:${index}`;
      const delivery = came.get(key);
      const mayBeGone =
        this.#settleSent.has(key) || this.#cancelSent.has(key) || frame.kinds[index] === 'brief';
      if (mayBeGone && delivery === undefined) settled += 1;
      if (frame.first !== undefined) this.acknowledged += 1;
      if (delivery !== undefined) {
        found += 1;
        this.#checkEnded(key, frame.kinds[index] as string, image);
        this.#checkDelivery({ key, delivery, frame, index, image });
      } else if (frame.first !== undefined && !mayBeGone) {
        this.lost += 1;
        this.#say(`${image}: ${key} was acknowledged and is gone`);
      }
    }
    if (frame.first === undefined && found > 0 && found + settled < frame.kinds.length) {
      this.partialFrames += 1;
      this.#say(
        `${image}: ${found} of ${frame.kinds.length} messages of frame ${number} are there`,
      );
    }
    return found;
  }

  #checkEnded(key: string, kind: string, image: string): void {
    if (kind === 'brief') {
      this.late += 1;
      this.#say(`${image}: ${key} came after its validity`);
    }
    if (this.#cancelled.has(key)) {
      this.deliveredAfterCancel += 1;
      this.#say(`${image}: ${key} came after its cancel`);
    }
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
