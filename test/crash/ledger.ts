/**
 * The outside account of a run, read from the logs of the two client processes.
 *
 * A message's last state, in the consumer's own order of what it saw:
 *   none → open (delivered) → finalSent | returnSent (settlement sent) → done | returned (it was
 *   acknowledged) → open again … after returned, or after a connection that ended.
 */
import { OUTCOME } from '../../src/protocol/kinds.ts';

type State = 'none' | 'open' | 'finalSent' | 'returnSent' | 'done' | 'returned';

interface Message {
  readonly queue: string;
  readonly sequence: number;
  accepted: boolean;
  refused: boolean;
  /** Of an acknowledged frame. */
  id: string | undefined;
  deliveries: number;
  state: State;
  /** Consumer's connection of the newest delivery. */
  connection: string;
}

interface Frame {
  readonly messages: readonly Message[];
  /** Unanswered at a kill. */
  maybe: boolean;
}

export interface LedgerResult {
  readonly published: number;
  readonly accepted: number;
  readonly maybeAccepted: number;
  readonly delivered: number;
  /** Acknowledged, and never delivered, or given back and not delivered again. */
  readonly lost: number;
  /** Delivered again although the consumer had not given it back. */
  readonly duplicates: number;
  /** Of these: after an acknowledged settlement, without flag 1, or without a kill between. */
  readonly duplicatesNotInFlight: number;
  readonly orderErrors: number;
  /** Frames that were unanswered at a kill and of which a part was accepted. */
  readonly partialFrames: number;
  /** Deliveries of what was never published, was refused, or is damaged; ids that differ. */
  readonly strange: number;
  /** Settlements of a live connection whose delivery the daemon did not know. */
  readonly unknownSettles: number;
  readonly returned: number;
  readonly refused: number;
}

const RETURNS: ReadonlySet<number> = new Set([
  OUTCOME.retry,
  OUTCOME.throttled,
  OUTCOME.notAttempted,
]);
const FLAG_MAYBE_DELIVERED = 1;

export class Ledger {
  readonly #frames = new Map<number, Frame>();
  /** By connection, subscription and delivery: each shard numbers the deliveries of a connection. */
  readonly #deliveries = new Map<string, Message>();
  /** Settlements sent and not acknowledged, by connection and request. */
  readonly #settles = new Map<string, [Message, isReturn: boolean][]>();
  readonly #endedConnections = new Set<string>();
  readonly #lastSequence = new Map<string, number>();
  #maybeAccepted = 0;
  #delivered = 0;
  #duplicates = 0;
  #duplicatesNotInFlight = 0;
  #orderErrors = 0;
  #strange = 0;
  #unknownSettles = 0;
  #returned = 0;
  #refused = 0;
  /** The first few violations, in words. */
  readonly faults: string[] = [];

  /** All of the publisher's log comes before any of the consumer's. */
  readPublisher(text: string): void {
    const lastId = new Map<string, string>();
    for (const line of linesOf(text)) {
      const [what, number = '', ...words] = line.split(' ');
      const frame = this.#frames.get(Number(number));
      if (what === 'f') this.#published(Number(number), words);
      else if (what === 'a' && frame) this.#acknowledged(frame, words, lastId);
      else if (what === 'x' && frame) frame.maybe = true;
      else if (what === 'e' && frame) {
        for (const message of frame.messages) message.refused = true;
        this.#refused += frame.messages.length;
      }
    }
  }

  readConsumer(text: string): void {
    for (const line of linesOf(text)) {
      const [what, connection = '', ...words] = line.split(' ');
      if (what === 'd') this.#deliver(connection, words);
      else if (what === 's') this.#settleSent(connection, words);
      else if (what === 'k') this.#settleAcknowledged(connection, words);
      else if (what === 'c') this.#endedConnections.add(connection);
      else this.#strangeThing(`the consumer's log has ${line}`);
    }
  }

  result(): LedgerResult {
    let published = 0;
    let accepted = 0;
    let lost = 0;
    let partialFrames = 0;
    for (const [number, { messages, maybe }] of this.#frames) {
      published += messages.length;
      const came = messages.filter(({ deliveries }) => deliveries > 0).length;
      if (maybe) this.#maybeAccepted += messages.length;
      if (maybe && came > 0 && came < messages.length) {
        partialFrames += 1;
        this.#say(`frame ${number}: ${came} of ${messages.length} messages came`);
      }
      for (const message of messages) {
        if (!message.accepted) continue;
        accepted += 1;
        if (this.#isSettled(message)) continue;
        lost += 1;
        this.#say(`lost: frame ${number}, ${message.queue} ${message.sequence} ${message.state}`);
      }
    }
    return {
      published,
      accepted,
      maybeAccepted: this.#maybeAccepted,
      delivered: this.#delivered,
      lost,
      duplicates: this.#duplicates,
      duplicatesNotInFlight: this.#duplicatesNotInFlight,
      orderErrors: this.#orderErrors,
      partialFrames,
      strange: this.#strange,
      unknownSettles: this.#unknownSettles,
      returned: this.#returned,
      refused: this.#refused,
    };
  }

  /** A settlement that was sent and not answered may have been taken before the kill. */
  #isSettled({ state, connection }: Message): boolean {
    return state === 'done' || (state === 'finalSent' && this.#endedConnections.has(connection));
  }

  #published(number: number, [destination, ...words]: string[]): void {
    const messages = words.map((word) => {
      const [name, sequence] = word.split(',');
      return {
        queue: `${destination}/${name}`,
        sequence: Number(sequence),
        accepted: false,
        refused: false,
        id: undefined,
        deliveries: 0,
        state: 'none' as State,
        connection: '',
      };
    });
    this.#frames.set(number, { messages, maybe: false });
  }

  #acknowledged(frame: Frame, [first = '-', holes = '-']: string[], last: Map<string, string>) {
    const refused = new Set(holes === '-' ? [] : holes.split(',').map(Number));
    this.#refused += refused.size;
    const base = Number.parseInt(first.slice(-4), 16);
    frame.messages.forEach((message, index) => {
      message.refused = refused.has(index);
      if (message.refused) return;
      message.accepted = true;
      const number = (base + index).toString(16).padStart(4, '0');
      message.id = first.slice(0, -4) + number;
      // Shard, batch, index: the order of acceptance. The check between them says nothing.
      const order = first.slice(0, 16) + number;
      if (order <= (last.get(message.queue) ?? '')) {
        this.#orderErrors += 1;
        this.#say(`ids of ${message.queue} do not ascend at ${message.sequence}`);
      }
      last.set(message.queue, order);
    });
  }

  #deliver(connection: string, words: string[]): void {
    const [delivery, attempt, flags, id, frame, index] = words;
    this.#delivered += 1;
    const message = this.#frames.get(Number(frame))?.messages[Number(index)];
    if (message === undefined || message.refused) {
      this.#strangeThing(`delivery ${delivery} of connection ${connection}: no such message`);
      return;
    }
    if (message.id !== undefined && message.id !== id) {
      this.#strangeThing(`${id} was acknowledged as ${message.id}`);
    }
    message.id = id;
    const isFlagged = (Number(flags) & FLAG_MAYBE_DELIVERED) !== 0;
    if (message.deliveries === 0) this.#first(message, Number(attempt), isFlagged);
    else this.#again(message, connection, isFlagged);
    message.deliveries += 1;
    message.state = 'open';
    message.connection = connection;
    this.#deliveries.set(`${connection}:${delivery}`, message);
  }

  #first({ queue, sequence }: Message, attempt: number, isFlagged: boolean): void {
    if (attempt !== 1 || isFlagged) return;
    const last = this.#lastSequence.get(queue) ?? 0;
    if (sequence <= last) {
      this.#orderErrors += 1;
      this.#say(`${queue}: ${sequence} came after ${last}`);
    }
    this.#lastSequence.set(queue, Math.max(last, sequence));
  }

  #again(message: Message, connection: string, isFlagged: boolean): void {
    const { state, queue, sequence } = message;
    if (state === 'returned' || state === 'returnSent') {
      this.#returned += 1;
      return;
    }
    this.#duplicates += 1;
    const inFlight = state !== 'done' && isFlagged && message.connection !== connection;
    if (inFlight) return;
    this.#duplicatesNotInFlight += 1;
    this.#say(`${queue} ${sequence} again after ${state}, ${isFlagged ? 'flagged' : 'no flag'}`);
  }

  #settleSent(connection: string, [request, ...words]: string[]): void {
    const sent: [Message, boolean][] = [];
    for (const word of words) {
      const [delivery, outcome] = word.split(',');
      const message = this.#deliveries.get(`${connection}:${delivery}`);
      if (message === undefined) continue;
      const isReturn = RETURNS.has(Number(outcome));
      message.state = isReturn ? 'returnSent' : 'finalSent';
      sent.push([message, isReturn]);
    }
    this.#settles.set(`${connection}:${request}`, sent);
  }

  #settleAcknowledged(connection: string, [request, , unknown]: string[]): void {
    const sent = this.#settles.get(`${connection}:${request}`);
    if (Number(unknown) > 0 || sent === undefined) {
      this.#unknownSettles += Number(unknown);
      this.#say(`settle ${request} of connection ${connection}: ${unknown} unknown`);
      return;
    }
    for (const [message, isReturn] of sent) {
      // What was returned may have been delivered again before this answer was read.
      if (isReturn && message.state === 'returnSent') message.state = 'returned';
      if (!isReturn) message.state = 'done';
    }
  }

  #strangeThing(words: string): void {
    this.#strange += 1;
    this.#say(words);
  }

  #say(words: string): void {
    if (this.faults.length < 20) this.faults.push(words);
  }
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
