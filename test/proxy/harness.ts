// A real proxy on loopback: its listener, its outgoing client and its configuration, with a gate that counts in the test.
import { connect, type Socket } from 'node:net';
import type { Test } from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { loadConfig, Secrets } from '../../src/config/index.ts';
import { type JoinedProxy, joinProxy } from '../../src/daemon-proxy.ts';
import { ERRORS } from '../../src/errors.ts';
import { Authenticator } from '../../src/ingress/auth.ts';
import type { Gate, GateAsk, Impeded, Passed, Waiting } from '../../src/proxy/ports.ts';

const secret = '0123456789abcdef0123456789abcdef';

export const auth = new Authenticator({
  keys: [{ id: 'test', secret: new TextEncoder().encode(secret) }],
  issuer: 'fairlead',
  audience: 'fairlead',
});

interface Waiter {
  readonly ask: GateAsk;
  readonly waited: (end: Passed | Impeded) => void;
  timer: NodeJS.Timeout | undefined;
}

export interface GateTerms {
  readonly limit?: number;
  /** Waiters of a key; 0 refuses at once. */
  readonly waitersMax?: number;
  readonly waitMs?: number;
}

/** Counts by tenant and resource, first come first served; a second `leave` is remembered as a fault. */
export class CountingGate implements Gate {
  terms: GateTerms;
  readonly used = new Map<string, number>();
  readonly asks: GateAsk[] = [];
  readonly left: (boolean | undefined)[] = [];
  peak = 0;
  passed = 0;
  givenUp = 0;
  readonly faults: string[] = [];
  readonly #waiters = new Map<string, Waiter[]>();

  constructor(terms: GateTerms = {}) {
    this.terms = terms;
  }

  get total(): number {
    return [...this.used.values()].reduce((sum, used) => sum + used, 0);
  }

  get waiting(): number {
    return [...this.#waiters.values()].reduce((sum, { length }) => sum + length, 0);
  }

  enter(ask: GateAsk, waited: Waiter['waited']): Passed | Waiting | Impeded {
    this.asks.push(ask);
    const key = `${ask.tenant}/${ask.resource}`;
    const seats = ask.seats ?? 1;
    const { limit, waitersMax = 0 } = this.terms;
    const used = this.used.get(key) ?? 0;
    const line = this.#waiters.get(key) ?? [];
    this.#waiters.set(key, line);
    if (limit === undefined || (line.length === 0 && used + seats <= limit)) {
      return this.#pass(key, seats);
    }
    if (line.length >= waitersMax) {
      return this.#impede(key, waitersMax === 0 ? ERRORS.concurrencyLimit : ERRORS.waitersFull);
    }
    const waiter: Waiter = { ask, waited, timer: undefined };
    const end = (): boolean => {
      clearTimeout(waiter.timer);
      const index = line.indexOf(waiter);
      if (index >= 0) line.splice(index, 1);
      return index >= 0;
    };
    waiter.timer = setTimeout(
      () => {
        if (end()) waited(this.#impede(key, ERRORS.waitOver));
      },
      ask.waitMs ?? this.terms.waitMs ?? 5_000,
    );
    line.push(waiter);
    return {
      kind: 'waiting',
      used,
      limit,
      position: line.length,
      estimateMs: 10.2 * line.length,
      giveUp: () => {
        if (end()) this.givenUp += 1;
      },
    };
  }

  #pass(key: string, seats: number): Passed {
    const used = (this.used.get(key) ?? 0) + seats;
    this.used.set(key, used);
    this.peak = Math.max(this.peak, used);
    this.passed += 1;
    let isIn = true;
    return {
      kind: 'passed',
      used,
      limit: this.terms.limit,
      leave: (ok) => {
        if (!isIn) this.faults.push(`${key} left twice`);
        isIn = false;
        this.left.push(ok);
        this.used.set(key, (this.used.get(key) ?? 0) - seats);
        setImmediate(() => this.#admit(key));
      },
    };
  }

  #admit(key: string): void {
    const line = this.#waiters.get(key) ?? [];
    const { limit = Number.POSITIVE_INFINITY } = this.terms;
    for (;;) {
      const next = line[0];
      const seats = next?.ask.seats ?? 1;
      if (next === undefined || (this.used.get(key) ?? 0) + seats > limit) return;
      line.shift();
      clearTimeout(next.timer);
      next.waited(this.#pass(key, seats));
    }
  }

  #impede(key: string, { code }: { readonly code: number }): Impeded {
    const used = this.used.get(key) ?? 0;
    return {
      kind: 'impeded',
      code,
      retryAfterMs: 1_500,
      used,
      limit: this.terms.limit,
      estimateMs: undefined,
    };
  }
}

export interface ProxyWorld {
  readonly joined: JoinedProxy;
  readonly gate: CountingGate;
  readonly port: number;
  readonly url: string;
  /** `Bearer …` of a tenant. */
  bearer(tenant?: string): Promise<string>;
}

export interface WorldOptions {
  readonly routes: readonly Readonly<Record<string, unknown>>[];
  readonly listener?: Readonly<Record<string, unknown>>;
  readonly terms?: GateTerms;
  readonly env?: Readonly<Record<string, string>>;
}

/** A proxy that is closed when the test ends; routes as in the configuration, `resource` and `path` given. */
export async function proxyWorld(t: Test, options: WorldOptions): Promise<ProxyWorld> {
  const { routes, listener = {}, terms = {}, env = {} } = options;
  const values = {
    proxy: routes.map((route) => ({ path: '/', resource: 'api', ...route })),
    'proxyListener.port': 0,
    ...Object.fromEntries(
      Object.entries(listener).map(([key, value]) => [`proxyListener.${key}`, value]),
    ),
  };
  const settings = Object.entries(values).map(([key, value]) => ({ key, value, from: 'test' }));
  const { config } = loadConfig({ file: undefined, env: {}, settings });
  const gate = new CountingGate(terms);
  const joined = await joinProxy({
    config,
    gate,
    tokens: auth,
    secrets: new Secrets({ dir: undefined, env }),
    logger: silentLogger,
  });
  if (joined === undefined) throw new Error('no route');
  t.teardown(() => joined.close());
  const { port } = joined;
  const bearer = async (tenant = 'acme'): Promise<string> =>
    `Bearer ${await auth.issueToken({ tenant, scope: 'publish', ttlSec: 600 })}`;
  return { joined, gate, port, url: `http://127.0.0.1:${port}`, bearer };
}

/** A connection that sends what it is given and keeps what it gets. */
export class RawClient {
  readonly socket: Socket;
  text = '';
  isClosed = false;
  readonly closed: Promise<void>;
  readonly connected: Promise<void>;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => {
      this.text += chunk.toString('latin1');
    });
    this.socket.on('error', () => {});
    this.connected = new Promise((resolve) => this.socket.once('connect', () => resolve()));
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        this.isClosed = true;
        resolve();
      });
    });
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, 'latin1'));
  }

  /** Statuses of the answers so far. */
  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  }
}

/** Resolves when `condition` holds; asks every few milliseconds, for ten seconds. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not reached: ${condition}`);
    await pause(5);
  }
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));
