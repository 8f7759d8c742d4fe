// A real ingress on loopback, with fake shards behind it and `ws` clients before it.
import type { Test } from 'tap';
import WebSocket from 'ws';
import { silentLogger } from '../../src/base/logger.ts';
import { Authenticator } from '../../src/ingress/auth.ts';
import type { Directory } from '../../src/ingress/directory.ts';
import { Ingress, type IngressOptions } from '../../src/ingress/server.ts';
import { type DaemonFrame, decodeDaemonFrame } from '../../src/protocol/frames.ts';
import { FakeShard } from '../support/fake-shard.ts';

export const secret = new TextEncoder().encode('a secret of at least 32 bytes, for tests');

export const auth = new Authenticator({
  keys: [{ id: 'k1', secret }],
  issuer: 'fairlead',
  audience: 'fairlead',
});

/** `a…` lies in shard 0, `b…` in shard 1; what is made lies in shard 0. */
export class FakeDirectory implements Directory {
  autoCreate = false;
  readonly made: string[] = [];
  create: (destination: string) => Promise<void> = async (destination) => {
    this.made.push(destination);
  };

  /** By destination; any other that is there has none. */
  readonly owners = new Map<string, string>();
  readonly #listeners: ((change: { kind: string; name: string }) => void)[] = [];

  ownerOf(destination: string): string | null | undefined {
    if (this.shardOf(destination) === undefined) return undefined;
    return this.owners.get(destination) ?? null;
  }

  onChange(listener: (change: { kind: string; name: string }) => void): void {
    this.#listeners.push(listener);
  }

  /** A destination has another owner from now on. */
  giveTo(name: string, owner: string | undefined): void {
    if (owner === undefined) this.owners.delete(name);
    else this.owners.set(name, owner);
    for (const listener of this.#listeners) listener({ kind: 'destination', name });
  }

  shardOf(destination: string): number | undefined {
    if (this.made.includes(destination) || destination.startsWith('a')) return 0;
    return destination.startsWith('b') ? 1 : undefined;
  }
}

export class TestClient {
  readonly socket: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  #frames: DaemonFrame[] = [];
  #arrived: (() => void) | undefined;

  constructor(url: string, protocols: string[] = [], options: WebSocket.ClientOptions = {}) {
    this.socket = new WebSocket(url, protocols, options);
    this.socket.on('message', (data) => {
      this.#frames.push(decodeDaemonFrame(new Uint8Array(data as Buffer)));
      this.#arrived?.();
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() });
        this.#arrived?.();
      });
    });
    this.socket.on('error', () => {});
  }

  send(frame: Uint8Array | string): void {
    this.socket.send(frame);
  }

  /** The next frame; throws when the socket closes before one comes. */
  async next(): Promise<DaemonFrame> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return frame;
      if (this.socket.readyState === WebSocket.CLOSED)
        throw new Error('closed before a frame came');
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }

  /** The next frame is an error; returns `id code`. */
  async nextError(): Promise<string> {
    const frame = await this.next();
    return frame.kind === 'error' ? `${frame.id} ${frame.code}` : `unexpected ${frame.kind}`;
  }
}

export interface Harness {
  readonly ingress: Ingress;
  readonly shards: readonly [FakeShard, FakeShard];
  readonly directory: FakeDirectory;
  readonly origin: string;
  /** Connects with a token of these scopes and reads the hello frame. */
  connect(scope: string, tenant?: string): Promise<TestClient>;
}

/** Starts an ingress that is closed when the test ends. */
export async function startIngress(
  t: Test,
  options: Partial<IngressOptions> = {},
): Promise<Harness> {
  const shards = [new FakeShard(), new FakeShard()] as const;
  const directory = new FakeDirectory();
  const ingress = await Ingress.start({
    host: '127.0.0.1',
    port: 0,
    allowFallback: false,
    auth,
    shards,
    directory,
    routes: [],
    collect: async () => [],
    metricsScope: 'none',
    logger: silentLogger,
    durability: 'flushed',
    version: '1.2.3',
    ...options,
  });
  t.teardown(() => ingress.closeAll(0));
  ingress.setReady(true);
  const origin = `127.0.0.1:${ingress.port}`;
  const connect = async (scope: string, tenant?: string): Promise<TestClient> => {
    const token = await auth.issueToken({ tenant, scope, ttlSec: 60 });
    const client = new TestClient(`ws://${origin}/v1/stream`, ['fairlead.v1'], {
      headers: { authorization: `Bearer ${token}` },
    });
    await client.next();
    return client;
  };
  return { ingress, shards, directory, origin, connect };
}

/** Resolves when `condition` holds; asks every few milliseconds, for five seconds. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not reached: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
