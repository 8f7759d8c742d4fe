// A gateway behind HTTP for tests: a real server that keeps what it was told and answers by a function.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type HttpPeer, httpPeer, type Received } from './http-peer.ts';
import type { MessageApi } from './message-api.ts';

export interface WireMessage {
  readonly id: string;
  readonly destination: string;
  readonly tenant: string;
  readonly sender: string | null;
  readonly recipient: string | null;
  readonly payload?: string;
  readonly payloadBase64?: string;
  readonly attempt: number;
  readonly acceptedAt: string;
  readonly expiresAt: string | null;
  readonly maybeDuplicate: boolean;
}

export interface WebhookAnswer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Undefined: it takes the request and never answers; 'reset': it breaks the connection. */
export type AnswerMessages = (
  messages: readonly WireMessage[],
  request: Received,
) => WebhookAnswer | undefined | 'reset' | Promise<WebhookAnswer | undefined | 'reset'>;

export class WebhookPeer {
  readonly messages: WireMessage[] = [];
  readonly requests: Received[] = [];
  answer: AnswerMessages;
  #peer: HttpPeer | undefined;
  #port = 0;

  constructor(answer: AnswerMessages = () => ({ status: 200 })) {
    this.answer = answer;
  }

  static async start(t: Test, answer?: AnswerMessages): Promise<WebhookPeer> {
    const peer = new WebhookPeer(answer);
    await peer.listen();
    t.teardown(() => peer.close());
    return peer;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/send`;
  }

  /** Ids in the order in which they came first. */
  get ids(): readonly string[] {
    return [...new Set(this.messages.map(({ id }) => id))];
  }

  /** Listens, again on the port that it had. */
  async listen(): Promise<void> {
    this.#peer = await httpPeer((response, request) => void this.#take(response, request), {
      port: this.#port,
    });
    this.#port = this.#peer.port;
  }

  async close(): Promise<void> {
    await this.#peer?.close();
    this.#peer = undefined;
  }

  async #take(response: ServerResponse, request: Received): Promise<void> {
    this.requests.push(request);
    const { data } = JSON.parse(request.body) as {
      data: WireMessage | { readonly messages: readonly WireMessage[] };
    };
    const messages = 'messages' in data ? data.messages : [data];
    this.messages.push(...messages);
    const answer = await this.answer(messages, request);
    if (answer === undefined) return;
    if (answer === 'reset') {
      response.destroy();
      return;
    }
    response.writeHead(answer.status, answer.headers);
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
  }
}

/** Makes a destination and a webhook gateway that serves it. */
export async function putWebhookGateway(
  api: MessageApi,
  name: string,
  {
    destinations,
    url,
    webhook = {},
    ...more
  }: {
    readonly destinations: readonly string[];
    readonly url: string;
    readonly webhook?: object;
    readonly [field: string]: unknown;
  },
): Promise<void> {
  const body = { type: 'webhook', destinations, webhook: { url, ...webhook }, ...more };
  const { status, body: answer } = await api.call(`PUT /v1/gateways/${name}`, body);
  if (status > 201) throw new Error(JSON.stringify(answer));
}

export const LOOPBACK = { 'outbound.allow': ['127.0.0.0/8'] } as const;

/** A directory of secrets; that of the test itself belongs to its daemon. */
export function secretsDir(t: Test, secrets: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'fairlead-secrets-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  for (const [name, secret] of Object.entries(secrets)) writeFileSync(join(dir, name), secret);
  return dir;
}

/** Waits until a condition holds. @throws Error after `timeoutMs` */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
