// A daemon of a few lines on a real socket: it says what a test tells it to, in the real encoding.
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { type WebSocket, WebSocketServer } from 'ws';
import { connect } from '../../src/client/index.ts';
import type { ConnectOptions } from '../../src/client/types.ts';
import { encodeError, encodeGoAway, encodeHello } from '../../src/protocol/frames.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { pack, unpack } from '../../src/protocol/msgpack.ts';

/** One frame of a client, as its fields. */
export interface ClientFrame {
  readonly kind: number;
  readonly id: number;
  readonly fields: readonly unknown[];
  readonly link: FakeLink;
}

/** The daemon's side of one connection. */
export class FakeLink {
  readonly socket: WebSocket;
  readonly authorization: string | undefined;
  readonly url: string;
  /** Kinds of the frames that came, in order. */
  readonly kinds: number[] = [];

  constructor(socket: WebSocket, authorization: string | undefined, url: string) {
    this.socket = socket;
    this.authorization = authorization;
    this.url = url;
  }

  hello(limits: Record<string, number> = {}): void {
    this.socket.send(encodeHello({ limits, durability: 'flushed' }));
  }

  ok(id: number, ...result: unknown[]): void {
    this.socket.send(pack([KIND.ok, id, ...result]));
  }

  error(id: number, code: number, message: string, details?: Record<string, unknown>): void {
    this.socket.send(encodeError({ id, code, message, details }));
  }

  event(topic: string, ...fields: unknown[]): void {
    this.socket.send(pack([KIND.event, 0, topic, ...fields]));
  }

  goAway(reason: string, retryAfterMs: number): void {
    this.socket.send(encodeGoAway({ reason, retryAfterMs }));
  }

  /** Hands out deliveries with these numbers; each has its number as payload, and all but number 1 expire. */
  deliver(subscription: number, numbers: readonly number[], attempt = 1, flags = 0): void {
    const deliveries = numbers.map((number) => [
      number,
      idOf(number),
      'acme',
      'sender',
      null,
      Buffer.from(String(number)),
      attempt,
      1000,
      flags,
      number === 1 ? null : 9000,
    ]);
    this.socket.send(pack([KIND.deliver, 0, subscription, deliveries]));
  }
}

/** A message id whose last two bytes are `index`. */
export function idOf(index: number): Buffer {
  const id = Buffer.alloc(16, 7);
  id.writeUInt16BE(index, 14);
  return id;
}

export class FakeDaemon {
  readonly #server: WebSocketServer;
  readonly #frames: ClientFrame[] = [];
  readonly #links: FakeLink[] = [];
  #watchers: (() => void)[] = [];
  #welcome: (link: FakeLink, count: number) => void;

  private constructor(server: WebSocketServer, welcome: (link: FakeLink, count: number) => void) {
    this.#server = server;
    this.#welcome = welcome;
    server.on('connection', (socket, request) => this.#accept(socket, request));
  }

  /** Listens on a free port until the test ends; `welcome` meets each connection, by default with hello. */
  static async start(
    t: Test,
    welcome: (link: FakeLink, count: number) => void = (link) => link.hello(),
  ): Promise<FakeDaemon> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const daemon = new FakeDaemon(server, welcome);
    t.teardown(() => daemon.stop());
    return daemon;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get links(): readonly FakeLink[] {
    return this.#links;
  }

  /** A client of this daemon that is closed when the test ends. */
  client(t: Test, options: Partial<ConnectOptions> = {}) {
    const client = connect({ url: this.url, token: 'secret', ...options });
    t.teardown(() => client.close(0));
    return client;
  }

  /** Takes the next frame of that kind out of those that came, or waits for it. */
  async frame(kind: number): Promise<ClientFrame> {
    for (;;) {
      const index = this.#frames.findIndex((frame) => frame.kind === kind);
      const [frame] = index === -1 ? [] : this.#frames.splice(index, 1);
      if (frame !== undefined) return frame;
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  /** Frames of that kind that came and were not taken. */
  count(kind: number): number {
    return this.#frames.filter((frame) => frame.kind === kind).length;
  }

  stop(): void {
    for (const { socket } of this.#links) socket.terminate();
    this.#server.close();
  }

  #accept(socket: WebSocket, request: IncomingMessage): void {
    const link = new FakeLink(socket, request.headers.authorization, request.url ?? '');
    this.#links.push(link);
    socket.on('message', (data: Buffer) => {
      const [kind, id, ...fields] = unpack(data) as [number, number, ...unknown[]];
      link.kinds.push(kind);
      this.#frames.push({ kind, id, fields, link });
      for (const watcher of this.#watchers.splice(0)) watcher();
    });
    this.#welcome(link, this.#links.length);
  }
}

/** The messages of a publish frame, as their payloads. */
export function payloadsOf({ fields }: ClientFrame): string[] {
  return (fields[1] as unknown[][]).map((message) => String(message[3]));
}
