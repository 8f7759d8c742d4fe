// The REST interface of a daemon in the test's process, and gateways of its destinations.
import type { Test } from 'tap';
import { type Client, connect, type Delivery, type Outcome } from '../../src/client/index.ts';
import type { StartedDaemon } from '../../src/daemon.ts';
import { shardOfKey } from '../../src/dispatch/shard-of-key.ts';
import { auth, start } from './in-process-daemon.ts';

const token = await auth.issueToken({ scope: 'platform publish consume', ttlSec: 3600 });

export interface ApiAnswer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at any field of an answer
  readonly body: any;
  readonly headers: Headers;
}

type Handler = (delivery: Delivery) => Outcome['outcome'] | Outcome | Promise<Outcome['outcome']>;

/** A daemon that may be started again on its data. */
export class MessageApi {
  #daemon: StartedDaemon;
  readonly #t: Test;
  readonly #dataDir: string;
  readonly #options: object;

  private constructor(t: Test, dataDir: string, options: object, daemon: StartedDaemon) {
    this.#t = t;
    this.#dataDir = dataDir;
    this.#options = options;
    this.#daemon = daemon;
  }

  static async start(t: Test, options: object = {}): Promise<MessageApi> {
    const dataDir = t.testdir();
    const api = new MessageApi(t, dataDir, options, await start(dataDir, { ...options }));
    t.teardown(() => api.#daemon.stop());
    return api;
  }

  get url(): string {
    return this.#daemon.url;
  }

  async restart(): Promise<void> {
    await this.#daemon.stop();
    this.#daemon = await start(this.#dataDir, { ...this.#options });
  }

  /** `call('POST /v1/messages', body)`. */
  async call(line: string, body?: unknown, headers: object = {}): Promise<ApiAnswer> {
    const [method = '', path = ''] = line.split(' ');
    const answer = await fetch(`${this.#daemon.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const json = text === '' ? undefined : JSON.parse(text);
    return { status: answer.status, body: json, headers: answer.headers };
  }

  /** Sends one message; returns its id. @throws Error when it is refused */
  async send(message: object): Promise<string> {
    const { status, body } = await this.call('POST /v1/messages', { payload: 'x', ...message });
    if (status === 202) return body.id;
    throw new Error(JSON.stringify(body));
  }

  client(): Client {
    const client = connect({ url: this.#daemon.url, token });
    this.#t.teardown(() => client.close(1000));
    return client;
  }

  /** A gateway; resolves once it is subscribed. */
  async gateway(destination: string, handler: Handler): Promise<Client> {
    const client = this.client();
    await client.subscribe(destination, { credit: 16 }, handler).ready();
    return client;
  }

  /** The message once it is in this status. @throws Error after 10 s */
  // biome-ignore lint/suspicious/noExplicitAny: tests look at any field of an answer
  async until(id: string, status: string): Promise<any> {
    for (let wait = 0; wait < 500; wait += 1) {
      const { body } = await this.call(`GET /v1/messages/${id}`);
      if (body.status === status) return body;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const { body } = await this.call(`GET /v1/messages/${id}`);
    throw new Error(`${id} is not ${status}: ${JSON.stringify(body)}`);
  }
}

/** A name for a destination that lies in that one of two shards. */
export function nameIn(shard: 0 | 1, prefix: string): string {
  for (let number = 0; ; number += 1) {
    if (shardOfKey(`${prefix}${number}`, 2) === shard) return `${prefix}${number}`;
  }
}
