// A world for the outbox: virtual time, endpoints that behave as they are told, crashes.

import type { OutboundAnswer, OutboundRequest } from '../../src/outbound/outbound-client.ts';
import { OutboundError } from '../../src/outbound/outbound-error.ts';
import { Outbox, type OutboxOptions } from '../../src/outbound/outbox.ts';
import type { NewItem } from '../../src/outbound/outbox-records.ts';
import { keyText } from '../../src/outbound/signatures.ts';
import { CrashingEnvironment } from '../support/crashing-environment.ts';

export const DEFAULT_SCHEDULE = {
  retryMs: [
    0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000,
    86_400_000,
  ],
  jitter: 0.2,
};

export interface Behaviour {
  readonly status?: number;
  readonly retryAfter?: string;
  readonly error?: OutboundError['kind'];
  readonly ms?: number;
}

export interface Arrival {
  readonly atMs: number;
  readonly id: string;
  readonly url: string;
  readonly status: number | string;
}

/** Numbers from 0 to 1 that a seed gives (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface WorldEvent {
  readonly ms: number;
  readonly order: number;
  readonly run: () => void;
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

export class OutboxWorld {
  nowMs = 1_700_000_000_000;
  readonly arrivals: Arrival[] = [];
  /** What an endpoint does next, by URL without query; 200 at once unless told. */
  behave: (url: string, id: string) => Behaviour = () => ({});
  /** How likely a crash is soon after something happened, while it is being written. */
  crashChance = 0;
  crashes = 0;
  /** Most deliveries at one time, by URL. */
  readonly most = new Map<string, number>();
  readonly random: () => number;
  readonly more: Partial<OutboxOptions>;
  environment: CrashingEnvironment;
  outbox: Outbox;
  #events: WorldEvent[] = [];
  #order = 0;
  #life = 0;
  readonly #under = new Map<string, number>();

  constructor({ seed = 1, more = {} }: { seed?: number; more?: Partial<OutboxOptions> } = {}) {
    this.random = seededRandom(seed);
    this.more = more;
    this.environment = new CrashingEnvironment(this.random);
    this.outbox = this.#open();
    this.outbox.start();
  }

  item(id: string, more: Partial<NewItem> = {}): NewItem {
    return {
      id,
      stream: null,
      url: 'https://a.test/hook',
      method: 'POST',
      contentType: 'application/json',
      body: Buffer.from(`{"id":"${id}"}`),
      signing: { kind: 'standard', tenant: 'acme' },
      createdMs: this.nowMs,
      ...more,
    };
  }

  /** Lets everything happen that does not wait for time. */
  async settle(turns = 24): Promise<void> {
    for (let count = 0; count < turns; count += 1) await turn();
  }

  /** Goes on to a time, event after event. */
  async until(ms: number): Promise<void> {
    await this.settle();
    for (;;) {
      // Few events at a time, so a sort costs nothing.
      this.#events.sort((one, other) => one.ms - other.ms || one.order - other.order);
      const [first] = this.#events;
      if (first === undefined || first.ms > ms) break;
      this.#events.shift();
      this.nowMs = Math.max(this.nowMs, first.ms);
      first.run();
      if (this.random() < this.crashChance) {
        await this.settle(Math.floor(this.random() * 8));
        this.crash();
      }
      await this.settle();
    }
    this.nowMs = Math.max(this.nowMs, ms);
  }

  async pass(ms: number): Promise<void> {
    await this.until(this.nowMs + ms);
  }

  /** The process ends at once and another starts with what is on the disk. */
  crash(): void {
    this.#life += 1;
    this.crashes += 1;
    this.#events = [];
    this.#under.clear();
    this.environment = this.environment.crash();
    this.outbox = this.#open();
    this.outbox.start();
  }

  #open(): Outbox {
    const life = this.#life;
    return Outbox.open({
      environment: this.environment,
      schedule: DEFAULT_SCHEDULE,
      time: {
        nowMs: () => this.nowMs,
        after: (ms, run) => this.#at(this.nowMs + ms, life, run),
      },
      random: this.random,
      concurrency: 8,
      failedKeepMs: 7 * 24 * 3_600_000,
      timeoutMs: 15_000,
      keys: { standardKeys: () => [keyText(Buffer.alloc(24, 1))], formToken: () => 'token' },
      onFatal: (error) => {
        throw error;
      },
      send: (request) => this.#send(request, life),
      ...this.more,
    });
  }

  #at(ms: number, life: number, run: () => void): () => void {
    this.#order += 1;
    const event = {
      ms,
      order: this.#order,
      run: () => {
        if (life === this.#life) run();
      },
    };
    this.#events.push(event);
    return () => {
      this.#events = this.#events.filter((each) => each !== event);
    };
  }

  #send({ url, headers = {} }: OutboundRequest, life: number): Promise<OutboundAnswer> {
    const id = headers['webhook-id'] ?? headers['i-twilio-idempotency-token'] ?? '';
    const endpoint = url.replace(/\?.*/, '');
    const { status = 200, retryAfter, error, ms = 1 } = this.behave(endpoint, id);
    this.arrivals.push({ atMs: this.nowMs, id, url, status: error ?? status });
    const under = (this.#under.get(endpoint) ?? 0) + 1;
    this.#under.set(endpoint, under);
    this.most.set(endpoint, Math.max(this.most.get(endpoint) ?? 0, under));
    return new Promise((resolve, reject) => {
      this.#at(this.nowMs + (error === 'timeout' ? 15_000 : ms), life, () => {
        this.#under.set(endpoint, (this.#under.get(endpoint) ?? 1) - 1);
        if (error !== undefined) {
          reject(new OutboundError(error, 'as told', { sentMaybe: true }));
          return;
        }
        const given = retryAfter === undefined ? {} : { 'retry-after': retryAfter };
        resolve({ status, headers: given, body: Buffer.alloc(0), ms });
      });
    });
  }
}
