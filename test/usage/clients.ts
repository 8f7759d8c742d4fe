/**
 * The clients of a run: connections that send frames of events and messages. What was asked and not answered when
 * a connection ended is asked again, with its keys, by whichever connection is next, until it is answered.
 */

import { ERRORS } from '../../src/errors.ts';
import {
  type ErrorFrame,
  encodeCancel,
  encodePublish,
  type OkFrame,
  readCancelOk,
  readPublishOk,
} from '../../src/protocol/frames.ts';
import { messageIdFromText, messageIdToText } from '../../src/protocol/message-id.ts';
import { encodeUse, readUseOk } from '../../src/protocol/usage-frames.ts';
import { idAt } from '../crash/message-ids.ts';
import type { Random } from '../crash/traffic.ts';
import { WireClient } from '../crash/wire-client.ts';
import type { AskedEvent, AskedMessage, Mix } from './mix.ts';
import type { DestinationName } from './world.ts';

const UNANSWERED_MAX = 3;
const TICK_MS = 4;
/** Frames that wait for a connection because of a pause longer than this are not made up for. */
const BUDGET_MS = 100;
const PUBLISH_SHARE = 0.5;
const CANCEL_IDS = 64;
const RETRY_CODES = new Set([ERRORS.overloaded.code, ERRORS.goingAway.code]);

type Frame =
  | {
      readonly is: 'use';
      readonly events: readonly AskedEvent[];
      readonly crosses: boolean;
      /** How many of them were answered before: they are repeated for sure. */
      readonly known: number;
    }
  | {
      readonly is: 'publish';
      readonly destination: DestinationName;
      readonly messages: readonly AskedMessage[];
    }
  | { readonly is: 'cancel'; readonly ids: readonly string[] };

/** What was asked, and how often whatever could not be counted exactly. */
export interface ClientCounts {
  frames: number;
  /** Sent once more, as the connection ended before the answer. */
  askedAgain: number;
  counted: number;
  repeated: number;
  /** Events without a key: counted for sure, and perhaps. */
  loose: number;
  looseMaybe: number;
  /** Messages to what refuses them. */
  refused: number;
  refusedMaybe: number;
  cancelled: number;
}

export interface ClientsOptions {
  readonly mix: Mix;
  readonly random: Random;
  readonly connections: number;
  /** Of events and messages together. */
  readonly perSec: number;
  readonly isOver: () => boolean;
  /** An answer to events that crossed the value of a trigger. */
  readonly onCrossed: () => void;
}

export class Clients {
  readonly counts: ClientCounts = {
    ...{ frames: 0, askedAgain: 0, counted: 0, repeated: 0, loose: 0, looseMaybe: 0 },
    ...{ refused: 0, refusedMaybe: 0, cancelled: 0 },
  };
  readonly faults: string[] = [];
  readonly #options: ClientsOptions;
  readonly #lines: Line[];
  readonly #again: Frame[] = [];
  /** Ids of messages that wait for their cancel. */
  readonly #toCancel: string[] = [];
  readonly #tick: NodeJS.Timeout;
  #isStopped = true;
  #budget = 0;
  #lastMs = performance.now();

  constructor(options: ClientsOptions) {
    this.#options = options;
    this.#lines = Array.from({ length: options.connections }, () => new Line(this));
    this.#tick = setInterval(() => this.#send(), TICK_MS);
  }

  /** New frames are made from now on. */
  begin(): void {
    this.#isStopped = false;
  }

  async connect(url: string, token: string): Promise<void> {
    await Promise.all(this.#lines.map((line) => line.connect(url, token)));
  }

  get unanswered(): number {
    return this.#again.length + this.#lines.reduce((sum, line) => sum + line.unanswered.size, 0);
  }

  /** Whether nothing is left to be asked. */
  get isDone(): boolean {
    return this.unanswered === 0 && this.#toCancel.length === 0;
  }

  /** Asks for these, too. */
  ask(events: readonly AskedEvent[]): void {
    this.#again.push({ is: 'use', events, crosses: false, known: 0 });
  }

  close(): void {
    clearInterval(this.#tick);
    for (const line of this.#lines) line.close();
  }

  #send(): void {
    const nowMs = performance.now();
    const passedMs = Math.min(nowMs - this.#lastMs, BUDGET_MS);
    this.#lastMs = nowMs;
    const { perSec } = this.#options;
    this.#budget = Math.min(this.#budget + (passedMs * perSec) / 1000, (BUDGET_MS * perSec) / 1000);
    for (const line of this.#lines) {
      while (line.isFree) {
        const frame = this.#next();
        if (frame === undefined) return;
        line.send(frame);
        this.counts.frames += 1;
      }
    }
  }

  #next(): Frame | undefined {
    const again = this.#again.shift();
    if (again !== undefined) return again;
    const { mix, random, isOver } = this.#options;
    const isOpen = !this.#isStopped && !isOver();
    if (this.#toCancel.length >= CANCEL_IDS || (!isOpen && this.#toCancel.length > 0)) {
      return { is: 'cancel', ids: this.#toCancel.splice(0, CANCEL_IDS) };
    }
    if (!isOpen || this.#budget <= 0) return undefined;
    if (random() < PUBLISH_SHARE) {
      const frame = mix.publish();
      this.#budget -= frame.messages.length;
      return { is: 'publish', ...frame };
    }
    const frame = mix.events();
    this.#budget -= frame.events.length;
    const known = frame.events.filter(({ isAnswered }) => isAnswered).length;
    return { is: 'use', ...frame, known };
  }

  answered(frame: Frame, answer: OkFrame): void {
    if (frame.is === 'use') this.#used(frame, answer);
    else if (frame.is === 'publish') this.#published(frame, answer);
    else this.counts.cancelled += frame.ids.length - readCancelOk(answer).refused.length;
  }

  failed(frame: Frame, { code, message }: ErrorFrame): void {
    if (RETRY_CODES.has(code)) this.#again.push(frame);
    else if (frame.is === 'publish' && code === ERRORS.refusingNew.code) {
      this.counts.refused += frame.messages.length;
    } else this.faults.push(`a frame of ${frame.is} was answered by ${code} ${message}`);
  }

  /** The connection ended before the answer: nobody knows what became of it. */
  lost(frame: Frame): void {
    this.counts.askedAgain += 1;
    if (frame.is === 'use') {
      const events = frame.events.filter(({ entry }) => entry.key !== undefined);
      for (const { entry } of frame.events) {
        if (entry.key === undefined) this.counts.looseMaybe += 1;
      }
      if (events.length > 0) this.#again.push({ ...frame, events });
    } else if (frame.is === 'publish' && frame.destination === 'full') {
      this.counts.refusedMaybe += frame.messages.length;
    } else {
      this.#again.push(frame);
    }
  }

  #used({ events, crosses, known }: Frame & { is: 'use' }, answer: OkFrame): void {
    const { counted, repeated, refused } = readUseOk(answer);
    const sum = counted + repeated + refused.length;
    const [first] = refused;
    if (first !== undefined) {
      const { entry } = events[first.index] as AskedEvent;
      this.faults.push(`${JSON.stringify(entry)} was refused with ${first.code}`);
    }
    if (sum !== events.length) this.faults.push(`${sum} of ${events.length} events were answered`);
    if (repeated < known) this.faults.push(`${known} events were known, ${repeated} repeated`);
    this.counts.counted += counted;
    this.counts.repeated += repeated;
    for (const event of events) {
      event.isAnswered = true;
      if (event.entry.key === undefined) this.counts.loose += 1;
    }
    if (crosses) this.#options.onCrossed();
  }

  #published({ destination, messages }: Frame & { is: 'publish' }, answer: OkFrame): void {
    const { firstId, refused, repeated } = readPublishOk(answer);
    if (destination === 'full') {
      this.counts.refused += refused.length;
      return;
    }
    for (const { index, code } of refused) {
      this.faults.push(`${JSON.stringify(messages[index]?.message)} was refused with ${code}`);
    }
    const first = firstId === undefined ? '' : messageIdToText(firstId);
    const again = new Map(repeated.map(({ index, messageId }) => [index, messageId]));
    const isRefused = new Set(refused.map(({ index }) => index));
    messages.forEach((asked, index) => {
      if (isRefused.has(index)) return;
      const earlier = again.get(index);
      const id = earlier === undefined ? idAt(first, index) : messageIdToText(earlier);
      if (asked.id !== undefined && asked.id !== id) {
        this.faults.push(`the key ${asked.message.options?.k} has the ids ${asked.id} and ${id}`);
      }
      if (asked.id === undefined && destination === 'held') this.#toCancel.push(id);
      asked.id = id;
    });
  }
}

/** One connection. */
class Line {
  readonly unanswered = new Map<number, Frame>();
  readonly #clients: Clients;
  #client: WireClient | undefined;
  #request = 0;

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  get isFree(): boolean {
    return this.#client?.isOpen === true && this.unanswered.size < UNANSWERED_MAX;
  }

  async connect(url: string, token: string): Promise<void> {
    this.#client = await WireClient.open(url, token, {
      ok: (answer) => this.#take(answer.id, (frame) => this.#clients.answered(frame, answer)),
      error: (answer) => this.#take(answer.id, (frame) => this.#clients.failed(frame, answer)),
      closed: () => {
        const lost = [...this.unanswered.values()];
        this.unanswered.clear();
        for (const frame of lost) this.#clients.lost(frame);
      },
    });
  }

  send(frame: Frame): void {
    this.#request += 1;
    this.unanswered.set(this.#request, frame);
    this.#client?.send(bytesOf(this.#request, frame));
  }

  close(): void {
    this.#client?.close();
  }

  #take(id: number, act: (frame: Frame) => void): void {
    const frame = this.unanswered.get(id);
    if (frame === undefined) return;
    this.unanswered.delete(id);
    act(frame);
  }
}

function bytesOf(id: number, frame: Frame): Uint8Array {
  if (frame.is === 'use') return encodeUse({ id, events: frame.events.map(({ entry }) => entry) });
  if (frame.is === 'cancel') {
    const messageIds = frame.ids.map((each) => messageIdFromText(each) as Uint8Array);
    return encodeCancel({ id, messageIds });
  }
  const { destination, messages } = frame;
  return encodePublish({ id, destination, messages: messages.map(({ message }) => message) });
}
