/**
 * The publisher's process. argv: log file, seed, messages a second.
 *
 * Its log, in the order of what it saw; BOOT counts its connects, AT is in ms since the epoch:
 *   f FRAME BOOT AT DESTINATION MESSAGE …   sent; MESSAGE as message-mix.ts writes it
 *   a FRAME AT FIRST-ID REFUSED,… INDEX=ID,…   acknowledged; refused positions, repeats; - for none
 *   x FRAME AT                        unanswered when the connection ended: maybe accepted
 *   e FRAME CODE                      refused as a whole
 *   q FRAME ID …                      cancel sent
 *   w FRAME BOOT AT INDEX=CODE,…      and answered; those that were not cancelled
 *   y FRAME                           unanswered when the connection ended: maybe cancelled
 */
import {
  encodeCancel,
  encodePublish,
  type OkFrame,
  readCancelOk,
  readPublishOk,
} from '../../src/protocol/frames.ts';
import { messageIdFromText, messageIdToText } from '../../src/protocol/message-id.ts';
import { type Cancel, Cancels } from './cancels.ts';
import { MessageMix, type Sent } from './message-mix.ts';
import {
  below,
  DESTINATIONS,
  type DestinationName,
  type FromClient,
  LogFile,
  randomFrom,
  SLOW,
  type ToClient,
} from './traffic.ts';
import { WireClient } from './wire-client.ts';

const CONNECTIONS = 4;
const UNANSWERED_MAX = 6;
const FRAME_MESSAGES_MAX = 24;
const SLOW_SHARE = 0.15;
const TICK_MS = 2;

const [path = '', seed = '1', perSec = '4000'] = process.argv.slice(2);
const random = randomFrom(Number(seed));
const log = new LogFile(path);
const say = (message: FromClient): void => void process.send?.(message);

const mix = new MessageMix(random, CONNECTIONS);
const cancels = new Cancels(random);
let lastFrame = 0;
let boot = 0;
let budget = 0;
let draining = false;

type Unanswered =
  | { readonly is: 'publish'; readonly sent: readonly Sent[] }
  | { readonly is: 'cancel'; readonly cancel: Cancel };

/** One connection; a sender always uses the same. */
class Line {
  readonly #number: number;
  readonly #unanswered = new Map<number, Unanswered>();
  #client: WireClient | undefined;
  #loaded = false;

  constructor(number: number) {
    this.#number = number;
  }

  get unanswered(): number {
    return this.#unanswered.size;
  }

  async connect(url: string, token: string): Promise<void> {
    this.#loaded = false;
    this.#client = await WireClient.open(url, token, {
      ok: (frame) => this.#answered(frame),
      error: ({ id, code }) => {
        this.#unanswered.delete(id);
        log.add(`e ${id} ${code}`);
      },
      closed: () => this.#closed(),
    });
  }

  /** @returns messages sent */
  publish(): number {
    if (this.#client?.isOpen !== true || this.#unanswered.size >= UNANSWERED_MAX) return 0;
    const at = random() < SLOW_SHARE ? SLOW : below(random, SLOW);
    const destination = DESTINATIONS[at] as DestinationName;
    const count = 1 + below(random, FRAME_MESSAGES_MAX);
    const id = lastFrame + 1;
    const sent = Array.from({ length: count }, (_, index) =>
      mix.next({ frame: id, index }, destination, this.#number),
    );
    this.#send(destination, sent);
    return count;
  }

  /** Sends again what nobody knows of. @returns whether there was any */
  repeat(): boolean {
    const [destination] = mix.unconfirmed;
    if (destination === undefined || this.#client?.isOpen !== true) return false;
    const sent: Sent[] = [];
    while (sent.length < FRAME_MESSAGES_MAX) {
      const next = mix.nextUnconfirmed(destination);
      if (next === undefined) break;
      sent.push(next);
    }
    this.#send(destination, sent);
    return true;
  }

  cancel(): void {
    const cancel = this.#client?.isOpen === true ? cancels.next() : undefined;
    if (cancel === undefined) return;
    lastFrame += 1;
    log.add(`q ${lastFrame} ${cancel.ids.join(' ')}`);
    this.#unanswered.set(lastFrame, { is: 'cancel', cancel });
    const messageIds = cancel.ids.map((id) => messageIdFromText(id) as Uint8Array);
    this.#client?.send(encodeCancel({ id: lastFrame, messageIds }));
  }

  close(): void {
    this.#client?.close();
  }

  #send(destination: DestinationName, sent: readonly Sent[]): void {
    lastFrame += 1;
    const words = sent.map(({ word }) => word);
    log.add(`f ${lastFrame} ${boot} ${Date.now()} ${destination} ${words.join(' ')}`);
    this.#unanswered.set(lastFrame, { is: 'publish', sent });
    const messages = sent.map(({ message }) => message);
    this.#client?.send(encodePublish({ id: lastFrame, destination, messages }));
  }

  #answered(frame: OkFrame): void {
    const asked = this.#unanswered.get(frame.id);
    this.#unanswered.delete(frame.id);
    if (asked?.is === 'cancel') {
      const refused = readCancelOk(frame).refused.map(({ index, code }) => `${index}=${code}`);
      log.add(`w ${frame.id} ${boot} ${Date.now()} ${refused.join(',') || '-'}`);
    } else if (asked?.is === 'publish') {
      this.#accepted(frame, asked.sent);
    }
  }

  #accepted(frame: OkFrame, sent: readonly Sent[]): void {
    const { firstId, refused, repeated } = readPublishOk(frame);
    const id = firstId === undefined ? '-' : messageIdToText(firstId);
    const holes = refused.map(({ index }) => index);
    const again = repeated.map(({ index, messageId }) => `${index}=${messageIdToText(messageId)}`);
    log.add(
      `a ${frame.id} ${Date.now()} ${id} ${holes.join(',') || '-'} ${again.join(',') || '-'}`,
    );
    const isAgain = new Set(repeated.map(({ index }) => index));
    sent.forEach((each, index) => {
      if (holes.includes(index)) return;
      mix.acknowledged(each);
      if (!isAgain.has(index)) cancels.accepted(id, index, each.message.options?.at);
    });
    if (!this.#loaded && this.#number === 0) say({ is: 'loaded' });
    this.#loaded = true;
  }

  #closed(): void {
    for (const [frame, asked] of this.#unanswered) {
      if (asked.is === 'cancel') log.add(`y ${frame}`);
      else {
        log.add(`x ${frame} ${Date.now()}`);
        for (const each of asked.sent) mix.unanswered(each);
      }
    }
    this.#unanswered.clear();
  }
}

const lines = Array.from({ length: CONNECTIONS }, (_, number) => new Line(number));
const tick = setInterval(() => {
  budget = Math.min(budget + (Number(perSec) * TICK_MS) / 1000, 200);
  for (const line of lines) {
    if (draining) line.repeat();
    else line.cancel();
    if (draining || budget <= 0) continue;
    budget -= line.publish();
  }
}, TICK_MS);

async function obey(message: ToClient): Promise<void> {
  if (message.do === 'connect') {
    boot += 1;
    await Promise.all(lines.map((line) => line.connect(message.url, message.token)));
    say({ is: 'connected' });
  } else if (message.do === 'drain') {
    draining = true;
    while (mix.unconfirmed.length > 0 || lines.some(({ unanswered }) => unanswered > 0)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    say({ is: 'drained' });
  } else {
    clearInterval(tick);
    log.end();
    for (const line of lines) line.close();
    say({ is: 'finished' });
    process.disconnect();
  }
}

process.on('message', (message) => void obey(message as ToClient));
process.on('disconnect', () => setImmediate(() => process.exit()));
