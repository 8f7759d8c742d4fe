/** The gateways behind HTTP of the gateway runs: one that takes single messages, one that takes batches. */
import type { ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { type HttpPeer, httpPeer, type Received } from '../support/http-peer.ts';
import type { WireMessage } from '../support/webhook-peer.ts';
import { type Outcome, OwedReceipts } from './gateway-receipts.ts';
import { afterMs } from './gateway-smsc.ts';
import {
  type GatewayName,
  numberOf,
  planned,
  REJECT_CODES,
  type Said,
  type SeenAttempt,
} from './gateway-traffic.ts';
import { below, type Random } from './traffic.ts';

const HANG_MS = 6_000;
const RECEIPT_TIMEOUT_MS = 15_000;

interface Daemon {
  readonly url: string;
  readonly token: string;
}

export class CrashHook {
  readonly #gateway: 'hook' | 'batch';
  readonly #random: Random;
  readonly #answered: () => void;
  readonly #webhook: Webhook;
  #peer: HttpPeer | undefined;
  #ids = 0;
  daemon: Daemon | undefined;
  readonly owed = new OwedReceipts(({ number, id }) => this.#post(number, id));
  readonly attempts: SeenAttempt[] = [];
  readonly badSignatures: string[] = [];
  readonly strange: string[] = [];
  requests = 0;
  isDraining = false;

  private constructor(of: {
    gateway: 'hook' | 'batch';
    secret: string;
    random: Random;
    answered: () => void;
  }) {
    this.#gateway = of.gateway;
    this.#random = of.random;
    this.#answered = of.answered;
    this.#webhook = new Webhook(of.secret);
  }

  static async start(of: {
    gateway: 'hook' | 'batch';
    secret: string;
    random: Random;
    answered: () => void;
  }): Promise<CrashHook> {
    const hook = new CrashHook(of);
    hook.#peer = await httpPeer((response, request) => void hook.#take(response, request));
    return hook;
  }

  get port(): number {
    return this.#peer?.port ?? 0;
  }

  async #take(response: ServerResponse, request: Received): Promise<void> {
    this.requests += 1;
    try {
      this.#webhook.verify(request.body, request.headers as Record<string, string>);
    } catch (error) {
      this.badSignatures.push(`${this.#gateway}: ${(error as Error).message}`);
    }
    const { data } = JSON.parse(request.body) as {
      data: WireMessage | { readonly messages: readonly WireMessage[] };
    };
    const messages = 'messages' in data ? data.messages : [data];
    const seen = messages.map((message) => this.#see(message));
    const random = this.#random;
    const dice = this.isDraining ? 1 : random();
    if (dice < 0.003) await sleep(HANG_MS);
    else if (random() < 0.1) await sleep(20 + below(random, 130));
    else await sleep(below(random, 8));
    setImmediate(this.#answered);
    if (dice < 0.003 || response.destroyed) {
      // It waited longer than the daemon does.
      response.destroy();
    } else if (dice < 0.013) {
      response.destroy();
    } else if (dice < 0.05) {
      this.#say(seen, 'refused');
      response.writeHead(dice < 0.04 ? 500 : 408).end();
    } else if (dice < 0.055) {
      this.#say(seen, 'refused');
      response.writeHead(429, { 'retry-after': '0' }).end();
    } else {
      this.#answerEach(response, seen);
    }
  }

  #see(message: WireMessage): SeenAttempt {
    const number = numberOf(message.recipient) ?? -1;
    const { id, attempt, maybeDuplicate } = message;
    const plan = planned(Math.max(0, number));
    const isRight =
      number >= 0 &&
      plan.gateway === this.#gateway &&
      plan.text === message.payload &&
      plan.tenant === message.tenant &&
      plan.sender === message.sender &&
      plan.destination === message.destination;
    if (!isRight)
      this.strange.push(`${this.#gateway} got ${JSON.stringify(message).slice(0, 300)}`);
    const seen: SeenAttempt = {
      ...{ number, gateway: this.#gateway as GatewayName, atMs: Date.now(), attempt, id },
      ...{ flagged: maybeDuplicate, said: 'open', answeredMs: 0, maybeLost: false },
    };
    this.attempts.push(seen);
    return seen;
  }

  #say(seen: readonly SeenAttempt[], said: Said): void {
    for (const each of seen) {
      each.said = said;
      each.answeredMs = Date.now();
    }
  }

  #answerEach(response: ServerResponse, seen: readonly SeenAttempt[]): void {
    const code = REJECT_CODES[this.#gateway];
    const entries = seen.map((each) => {
      const { fate } = planned(Math.max(0, each.number));
      const isLater = this.#gateway === 'batch' && !this.isDraining && this.#random() < 0.04;
      const said = fate === 'rejected' ? 'rejected' : isLater ? 'refused' : 'taken';
      this.#say([each], said);
      if (said === 'rejected') return { outcome: 'failed', code };
      if (said === 'refused') return { outcome: 'retry', retryAfterMs: 20 };
      return fate === 'kept' ? {} : { id: this.#idFor(each.number) };
    });
    if (this.#gateway === 'hook' && seen[0]?.said === 'rejected') {
      response.writeHead(code).end();
      return;
    }
    const body = this.#gateway === 'batch' ? { results: entries } : entries[0];
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  #idFor(number: number): string {
    this.#ids += 1;
    const id = `${this.#gateway}-${this.#ids}`;
    this.owed.add(number, id, afterMs(this.#random, this.isDraining));
    return id;
  }

  async #post(number: number, id: string): Promise<Outcome> {
    if (this.daemon === undefined) return 'unsent';
    const { url, token } = this.daemon;
    const status = planned(number).fate;
    const answer = await fetch(`${url}/v1/gateways/${this.#gateway}/receipts`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify([{ id, status, ...(status === 'undelivered' && { code: 42 }) }]),
      signal: AbortSignal.timeout(RECEIPT_TIMEOUT_MS),
    });
    const text = await answer.text();
    if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
      this.strange.push(`a receipt was answered ${answer.status} ${text.slice(0, 200)}`);
    }
    return answer.status === 200 ? 'taken' : 'refused';
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
