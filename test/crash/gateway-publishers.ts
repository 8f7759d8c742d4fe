/**
 * Publishers of the gateway runs: frames on a WebSocket, REST in JSON, REST in the form of accounts.
 *
 * Every message has an idempotency key, and what is unanswered is sent again until it is acknowledged:
 * in the end every message is known to be accepted, under one id.
 */
import { encodePublish, type OkFrame, readPublishOk } from '../../src/protocol/frames.ts';
import { messageIdToText } from '../../src/protocol/message-id.ts';
import { EVENT_STATUS_NAMES, statusMask } from '../../src/protocol/status-events.ts';
import { type Keys, ORIGINS, type Planned, planned } from './gateway-traffic.ts';
import { idAt } from './message-ids.ts';
import { below, type Random } from './traffic.ts';
import { WireClient } from './wire-client.ts';

export interface Target {
  readonly url: string;
  readonly token: string;
  readonly keys: Keys;
  readonly callbacksPort: number;
}

/** What is accepted: ids by number. */
export class Accepted {
  readonly ids = new Map<number, string>();
  readonly strange: string[] = [];
  readonly #underWay = new Set<number>();
  /** Called at each acknowledgement. */
  onAccepted: () => void = () => {};
  repeats = 0;

  get unanswered(): number {
    return this.#underWay.size;
  }

  begin(number: number): void {
    this.#underWay.add(number);
  }

  end(number: number, id: string): void {
    const known = this.ids.get(number);
    if (known !== undefined && known !== id) this.strange.push(`${number} is ${known} and ${id}`);
    this.ids.set(number, id);
    this.#underWay.delete(number);
    this.onAccepted();
  }
}

const FRAME_MAX = 5;
const FRAMES_UNANSWERED_MAX = 4;
const TICK_MS = 5;
const AGAIN_MS = 40;
const ANSWER_TIMEOUT_MS = 10_000;
/** Share of what one way in takes of the load: the stream has two of four numbers. */
const STREAM_SHARE = 0.5;

const callbackOf = ({ tenant, number }: Planned, port: number): string =>
  `http://127.0.0.1:${port}/${tenant}?n=${number}`;

abstract class Publisher {
  readonly accepted: Accepted;
  readonly #origins: readonly number[];
  #next = 0;
  isDraining = false;

  constructor(accepted: Accepted, origin: (typeof ORIGINS)[number]) {
    this.accepted = accepted;
    this.#origins = [...ORIGINS.keys()].filter((at) => ORIGINS[at] === origin);
  }

  /** A message of this way in that was not sent yet. */
  protected fresh(): Planned {
    const at = this.#origins[this.#next % this.#origins.length] ?? 0;
    const round = Math.floor(this.#next / this.#origins.length);
    this.#next += 1;
    const number = round * ORIGINS.length + at;
    this.accepted.begin(number);
    return planned(number);
  }
}

export class StreamPublisher extends Publisher {
  readonly #random: Random;
  readonly #perSec: number;
  readonly #timer: NodeJS.Timeout;
  readonly #unanswered = new Map<number, readonly Planned[]>();
  #again: Planned[] = [];
  #client: WireClient | undefined;
  #port = 0;
  #budget = 0;
  #request = 0;

  constructor(accepted: Accepted, random: Random, perSec: number) {
    super(accepted, 'stream');
    this.#random = random;
    this.#perSec = perSec * STREAM_SHARE;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  async connect({ url, token, callbacksPort }: Target): Promise<void> {
    this.#port = callbacksPort;
    this.#client = await WireClient.open(url, token, {
      ok: (frame) => this.#answered(frame),
      error: ({ id, code }) => {
        this.accepted.strange.push(`a publish was refused with ${code}`);
        this.#again.push(...(this.#unanswered.get(id) ?? []));
        this.#unanswered.delete(id);
      },
      closed: () => {
        for (const messages of this.#unanswered.values()) this.#again.push(...messages);
        this.#unanswered.clear();
      },
    });
  }

  end(): void {
    clearInterval(this.#timer);
    this.#client?.close();
  }

  #tick(): void {
    this.#budget = Math.min(20, this.#budget + (this.#perSec * TICK_MS) / 1000);
    if (this.#client?.isOpen !== true || this.#unanswered.size >= FRAMES_UNANSWERED_MAX) return;
    const [first] = this.#again;
    if (first !== undefined) {
      const isTogether = ({ destination }: Planned) => destination === first.destination;
      const some = this.#again.filter(isTogether).slice(0, FRAME_MAX);
      this.#again = this.#again.filter((each) => !some.includes(each));
      this.#send(first.destination, some);
    } else if (!this.isDraining && this.#budget >= 1) {
      const some = Array.from({ length: 1 + below(this.#random, FRAME_MAX) }, () => this.fresh());
      this.#budget -= some.length;
      for (const destination of new Set(some.map((each) => each.destination))) {
        this.#send(
          destination,
          some.filter((each) => each.destination === destination),
        );
      }
    }
  }

  #send(destination: string, some: readonly Planned[]): void {
    this.#request += 1;
    this.#unanswered.set(this.#request, some);
    const messages = some.map((each) => ({
      tenant: each.tenant,
      sender: each.sender,
      recipient: each.recipient,
      payload: each.text,
      options: {
        k: `n${each.number}`,
        cb: callbackOf(each, this.#port),
        ce: statusMask(EVENT_STATUS_NAMES),
      },
    }));
    this.#client?.send(encodePublish({ id: this.#request, destination, messages }));
  }

  #answered(frame: OkFrame): void {
    const sent = this.#unanswered.get(frame.id) ?? [];
    this.#unanswered.delete(frame.id);
    const { firstId, refused, repeated } = readPublishOk(frame);
    const again = new Map(repeated.map((each) => [each.index, messageIdToText(each.messageId)]));
    const holes = new Set(refused.map(({ index }) => index));
    this.accepted.repeats += again.size;
    for (const [index, each] of sent.entries()) {
      const fresh = firstId === undefined ? undefined : idAt(messageIdToText(firstId), index);
      const id = again.get(index) ?? fresh;
      if (holes.has(index) || id === undefined) this.#again.push(each);
      else this.accepted.end(each.number, id);
    }
  }
}

/** One request after the other. */
export class RestPublisher extends Publisher {
  readonly #form: boolean;
  readonly #pauseMs: number;
  #target: Target | undefined;
  #isEnded = false;
  readonly done: Promise<void>;

  constructor(accepted: Accepted, way: 'json' | 'form', perSec: number) {
    super(accepted, way);
    this.#form = way === 'form';
    this.#pauseMs = 1000 / (perSec / ORIGINS.length);
    this.done = this.#work();
  }

  connect(target: Target): void {
    this.#target = target;
  }

  end(): void {
    this.#isEnded = true;
  }

  async #work(): Promise<void> {
    while (!this.#isEnded) {
      if (this.#target === undefined || this.isDraining) await sleep(AGAIN_MS);
      else await this.#untilAccepted(this.fresh(), this.#target);
    }
  }

  async #untilAccepted(message: Planned, target: Target): Promise<void> {
    for (let tries = 0; !this.#isEnded; tries += 1) {
      const startMs = performance.now();
      const id = await this.#post(message, target).catch(() => undefined);
      if (id !== undefined) {
        if (tries > 0) this.accepted.repeats += 1;
        this.accepted.end(message.number, id);
        await sleep(Math.max(0, this.#pauseMs - (performance.now() - startMs)));
        return;
      }
      await sleep(AGAIN_MS);
    }
  }

  async #post(message: Planned, target: Target): Promise<string | undefined> {
    const request = this.#form ? formOf(message, target) : jsonOf(message, target);
    const base = target.url.replace(/^ws/, 'http');
    const answer = await fetch(`${base}${request.path}`, {
      method: 'POST',
      headers: request.headers,
      body: request.body,
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    const body = (await answer.json()) as { id?: string; sid?: string };
    if (answer.status < 300) return body.id ?? body.sid?.replace(/^SM/, '');
    if (answer.status < 500 && answer.status !== 429) {
      this.accepted.strange.push(`${message.number}: ${answer.status} ${JSON.stringify(body)}`);
    }
    return undefined;
  }
}

interface Request {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

function jsonOf(message: Planned, { token, callbacksPort }: Target): Request {
  const { destination, tenant, sender, recipient, text: payload, number } = message;
  return {
    path: '/v1/messages',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ destination, tenant, sender, recipient, payload },
      idempotencyKey: `n${number}`,
      callbackUrl: callbackOf(message, callbacksPort),
      callbackEvents: EVENT_STATUS_NAMES,
    }),
  };
}

function formOf(message: Planned, { keys, callbacksPort }: Target): Request {
  const key = keys[message.tenant];
  if (key === undefined || !('account' in key)) throw new Error(`${message.tenant} has no account`);
  const credentials = Buffer.from(`${key.account}:${key.token}`).toString('base64');
  return {
    path: `/2010-04-01/Accounts/${key.account}/Messages.json`,
    headers: {
      authorization: `Basic ${credentials}`,
      'content-type': 'application/x-www-form-urlencoded',
      'i-twilio-idempotency-token': `n${message.number}`,
    },
    body: new URLSearchParams({
      To: message.recipient,
      From: message.sender,
      Body: message.text,
      StatusCallback: callbackOf(message, callbacksPort),
    }).toString(),
  };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
