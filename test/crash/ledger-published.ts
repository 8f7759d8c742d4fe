/** What was published, repeated and cancelled, from the publisher's log, and under which ids. */
import type { Figures } from './ledger-figures.ts';
import type { Message, Replay } from './ledger-message.ts';
import { firstOf, idAt, orderOf } from './message-ids.ts';

interface Frame {
  readonly messages: readonly Message[];
  /** Positions of messages that were sent before, in another frame. */
  readonly repeats: ReadonlySet<number>;
  /** Unanswered at a kill. */
  maybe: boolean;
}

const MESSAGE_NOT_FOUND = 3019;

export class Published {
  readonly #figures: Figures;
  readonly #frames = new Map<number, Frame>();
  readonly #byId = new Map<string, Message>();
  readonly #cancels = new Map<number, readonly string[]>();
  readonly #replays = new Map<string, readonly Replay[]>();
  readonly #lastId = new Map<string, string>();

  constructor(figures: Figures) {
    this.#figures = figures;
  }

  read(text: string): void {
    for (const line of text.split('\n')) {
      const [what, number = '', ...words] = line.split(' ');
      const frame = this.#frames.get(Number(number));
      if (what === 'f') this.#sent(Number(number), words);
      else if (what === 'a' && frame) this.#acknowledged(frame, words);
      else if (what === 'x' && frame) this.#unanswered(frame);
      else if (what === 'e' && frame) this.#refused(frame);
      else if (what === 'q') this.#cancels.set(Number(number), words);
      else if (what === 'w') this.#cancelled(Number(number), words);
      else if (what === 'y') this.#cancelUnanswered(Number(number));
      else if (line !== '') this.#figures.wrong('strange', `the publisher's log has ${line}`);
    }
  }

  at(frame: number, index: number): Message | undefined {
    return this.#frames.get(frame)?.messages[index];
  }

  /** Its id may become known later, by a delivery. */
  replayed(id: string, replay: Replay): void {
    this.#byId.get(id)?.replays.push(replay);
    this.#replays.set(id, [...(this.#replays.get(id) ?? []), replay]);
  }

  *messages(): Generator<Message> {
    for (const { messages, repeats } of this.#frames.values()) {
      for (const [index, message] of messages.entries()) if (!repeats.has(index)) yield message;
    }
  }

  /** @returns whether the id is the only one of that message */
  identify(message: Message, id: string): boolean {
    if (message.id === undefined) {
      message.id = id;
      this.#byId.set(id, message);
      message.replays.push(...(this.#replays.get(id) ?? []));
    }
    if (message.id === id) return true;
    const words = `${message.queue} ${message.sequence} is ${message.id} and ${id}`;
    this.#figures.wrong(message.isKeyed ? 'repeatsWrong' : 'strange', words);
    return false;
  }

  /** One message of an unanswered frame came: all of it was accepted, so all ids are known. */
  completeFrames(): void {
    for (const [number, { messages, repeats, maybe }] of this.#frames) {
      if (!maybe) continue;
      const firsts = new Set<string>();
      for (const [index, { id, isKeyed }] of messages.entries()) {
        if (id !== undefined && !isKeyed && !repeats.has(index)) firsts.add(firstOf(id, index));
      }
      const [first] = firsts;
      if (first === undefined) continue;
      if (firsts.size > 1) {
        this.#figures.wrong('strange', `frame ${number} is in ${firsts.size} places`);
      }
      for (const [index, message] of messages.entries()) {
        if (!repeats.has(index)) this.identify(message, idAt(first, index));
      }
    }
  }

  #sent(number: number, [boot, sentMs, destination = '', ...words]: string[]): void {
    const repeats = new Set<number>();
    const messages = words.map((word, index) => {
      this.#figures.count('published');
      const key = /^=(\d+):(\d+)$/.exec(word);
      if (key === null) return newMessage({ destination, word, boot, sentMs });
      repeats.add(index);
      const first = this.at(Number(key[1]), Number(key[2])) as Message;
      if (!first.accepted) first.unordered = true;
      return first;
    });
    this.#frames.set(number, { messages, repeats, maybe: false });
  }

  #acknowledged(frame: Frame, [, first = '-', holes = '-', again = '-']: string[]): void {
    const refused = new Set(listOf(holes).map(Number));
    const repeated = new Map(listOf(again).map((each) => each.split('=') as [string, string]));
    this.#figures.count('refused', refused.size);
    frame.messages.forEach((message, index) => {
      const isRepeat = frame.repeats.has(index);
      if (refused.has(index)) {
        if (!isRepeat) message.refused = true;
        return;
      }
      const earlier = repeated.get(String(index));
      const isKnown = message.id !== undefined && message.id === earlier;
      if (isKnown) this.#figures.count('repeats');
      if (earlier !== undefined && !isRepeat) {
        const words = `the new key of ${message.queue} ${message.sequence} is one of ${earlier}`;
        this.#figures.wrong('repeatsWrong', words);
      }
      message.accepted = true;
      const id = earlier ?? idAt(first, index);
      if (this.identify(message, id) && !isRepeat && !message.unordered) this.#ascends(message, id);
    });
  }

  #ascends({ queue, sequence }: Message, id: string): void {
    const order = orderOf(id);
    if (order <= (this.#lastId.get(queue) ?? '')) {
      this.#figures.wrong('orderErrors', `ids of ${queue} do not ascend at ${sequence}`);
    }
    this.#lastId.set(queue, order);
  }

  #unanswered(frame: Frame): void {
    frame.maybe = true;
    for (const [index, message] of frame.messages.entries()) {
      if (frame.repeats.has(index)) continue;
      this.#figures.count('maybeAccepted');
      if (message.isKeyed) message.unordered = true;
    }
  }

  #refused(frame: Frame): void {
    this.#figures.count('refused', frame.messages.length);
    for (const [index, message] of frame.messages.entries()) {
      if (!frame.repeats.has(index)) message.refused = true;
    }
  }

  #cancelled(number: number, [boot, atMs, refused = '-']: string[]): void {
    const codes = new Map(listOf(refused).map((each) => each.split('=') as [string, string]));
    this.#cancels.get(number)?.forEach((id, index) => {
      const code = codes.get(String(index));
      const message = this.#byId.get(id);
      if (message === undefined || Number(code) === MESSAGE_NOT_FOUND) {
        this.#figures.wrong('cancelsWrong', `the cancel of ${id} found no message`);
      } else if (code !== undefined) {
        this.#figures.count('cancelsRefused');
      } else {
        message.cancel = 'done';
        message.cancelBoot = Number(boot);
        message.cancelledMs = Number(atMs);
      }
    });
  }

  #cancelUnanswered(number: number): void {
    for (const id of this.#cancels.get(number) ?? []) {
      const message = this.#byId.get(id);
      if (message?.cancel === 'none') message.cancel = 'maybe';
    }
  }
}

const listOf = (words: string): string[] => (words === '-' ? [] : words.split(','));

function newMessage(of: {
  readonly destination: string;
  readonly word: string;
  readonly boot: string | undefined;
  readonly sentMs: string | undefined;
}): Message {
  const [name, sequence, ...options] = of.word.split(',');
  const numberAfter = (letter: string): number =>
    Number(options.find((option) => option.startsWith(letter))?.slice(1) ?? 0);
  return {
    destination: of.destination,
    queue: `${of.destination}/${name}`,
    sequence: Number(sequence),
    isKeyed: options.includes('k'),
    atMs: numberAfter('a'),
    ttlMs: numberAfter('t'),
    sentMs: Number(of.sentMs),
    boot: Number(of.boot),
    ...{ accepted: false, refused: false, unordered: false, id: undefined },
    ...{ deliveries: 0, state: 'none', connection: 0, attempt: 0, outcome: -1, code: 0 },
    ...{
      cancel: 'none',
      cancelledMs: 0,
      cancelBoot: 0,
      replays: [],
      wasReplayed: false,
      inDoubt: false,
    },
  };
}
