/**
 * The publisher's process. argv: log file, seed, messages a second.
 *
 * Its log, in the order of what it saw:
 *   f FRAME DESTINATION QUEUE,SEQ …   sent: a message each, QUEUE is tenant and sender
 *   a FRAME FIRST-ID REFUSED,…        acknowledged; refused positions or -
 *   x FRAME                           unanswered when the connection ended: maybe accepted
 *   e FRAME CODE                      refused as a whole
 */
import { encodePublish, readPublishOk } from '../../src/protocol/frames.ts';
import { messageIdToText } from '../../src/protocol/message-id.ts';
import {
  below,
  DESTINATIONS,
  type FromClient,
  LogFile,
  payloadOf,
  randomFrom,
  SENDERS,
  SLOW,
  TENANTS,
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

let lastFrame = 0;
let budget = 0;
let draining = false;
/** By destination and queue; a sender always uses the same connection. */
const sequences = new Map<string, number>();

class Line {
  readonly #number: number;
  readonly #unanswered = new Set<number>();
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
      ok: (frame) => {
        const { firstId, refused } = readPublishOk(frame);
        const id = firstId === undefined ? '-' : messageIdToText(firstId);
        const holes = refused.map(({ index }) => index).join(',') || '-';
        this.#unanswered.delete(frame.id);
        log.add(`a ${frame.id} ${id} ${holes}`);
        if (!this.#loaded && this.#number === 0) say({ is: 'loaded' });
        this.#loaded = true;
      },
      error: ({ id, code }) => {
        this.#unanswered.delete(id);
        log.add(`e ${id} ${code}`);
      },
      closed: () => {
        for (const frame of this.#unanswered) log.add(`x ${frame}`);
        this.#unanswered.clear();
      },
    });
  }

  /** @returns messages sent */
  publish(): number {
    if (this.#client?.isOpen !== true || this.#unanswered.size >= UNANSWERED_MAX) return 0;
    lastFrame += 1;
    const id = lastFrame;
    const at = random() < SLOW_SHARE ? SLOW : below(random, SLOW);
    const destination = DESTINATIONS[at] as string;
    const count = 1 + below(random, FRAME_MESSAGES_MAX);
    const messages = Array.from({ length: count }, (_, index) => {
      const queue = this.#queue();
      return { ...queue, recipient: '+1', payload: payloadOf({ frame: id, index }) };
    });
    const words = messages.map(({ tenant, sender }) => {
      const queue = `${tenant}/${sender}`;
      const sequence = (sequences.get(`${destination}/${queue}`) ?? 0) + 1;
      sequences.set(`${destination}/${queue}`, sequence);
      return `${queue},${sequence}`;
    });
    log.add(`f ${id} ${destination} ${words.join(' ')}`);
    this.#unanswered.add(id);
    this.#client.send(encodePublish({ id, destination, messages }));
    return count;
  }

  close(): void {
    this.#client?.close();
  }

  /** One of the senders of this connection. */
  #queue(): { tenant: string; sender: string } {
    const number = below(random, (TENANTS * SENDERS) / CONNECTIONS) * CONNECTIONS + this.#number;
    return { tenant: `t${number % TENANTS}`, sender: `s${Math.floor(number / TENANTS)}` };
  }
}

const lines = Array.from({ length: CONNECTIONS }, (_, number) => new Line(number));
const tick = setInterval(() => {
  budget = Math.min(budget + (Number(perSec) * TICK_MS) / 1000, 200);
  for (const line of lines) {
    if (draining || budget <= 0) break;
    budget -= line.publish();
  }
}, TICK_MS);

async function obey(message: ToClient): Promise<void> {
  if (message.do === 'connect') {
    await Promise.all(lines.map((line) => line.connect(message.url, message.token)));
    say({ is: 'connected' });
  } else if (message.do === 'drain') {
    draining = true;
    while (lines.some(({ unanswered }) => unanswered > 0)) {
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
