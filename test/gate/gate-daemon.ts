/** A built daemon, what a run asks of it about the gate, and a folder for all of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BuiltDaemon, freePort } from '../crash/daemon-process.ts';
import { LimitHistory } from './observer.ts';
import { nowNs } from './sightings.ts';

/** What `/v1/gate` says, as far as runs look at it. */
export interface GateTotals {
  readonly permits: number;
  /** Requests of the REST interface, the one that asks among them, and of the proxy. */
  readonly localPermits: number;
  readonly seats: number;
  readonly waiting: number;
  readonly recoveringUntilMs: number | null;
  readonly granted: number;
  readonly released: number;
  readonly expired: number;
  readonly orphaned: number;
  readonly claimed: number;
  readonly gone: number;
}

const LOOK_MS = 50;
const HIDDEN_SEATS = 10;

export class GateDaemon {
  readonly folder = mkdtempSync(join(tmpdir(), 'fairlead-gate-'));
  readonly #settings: readonly string[];
  readonly #build: string | undefined;
  #port = 0;
  #daemon: BuiltDaemon | undefined;

  constructor(settings: readonly string[], build?: string) {
    this.#settings = ['shards=1', 'durability=flushed', ...settings];
    this.#build = build;
  }

  get now(): BuiltDaemon {
    return this.#daemon as BuiltDaemon;
  }

  async start(): Promise<BuiltDaemon> {
    this.#port ||= await freePort();
    this.#daemon = await BuiltDaemon.start({
      dataDir: join(this.folder, 'data'),
      port: this.#port,
      build: this.#build,
      settings: this.#settings,
    });
    return this.#daemon;
  }

  async totals(): Promise<GateTotals> {
    return (await this.now.get('gate')) as GateTotals;
  }

  /** `name` may be a pattern. @throws Error when there is none of this name */
  async metric(name: string): Promise<number> {
    const text = await this.now.text('/metrics');
    const found = new RegExp(`^${name} (\\d+)$`, 'm').exec(text);
    if (found === null) throw new Error(`there is no metric ${name}`);
    return Number(found[1]);
  }

  /** Resolves to what is left when nothing is, or when the time is up. */
  async untilEmpty(
    timeoutMs: number,
  ): Promise<{ permits: number; seats: number; waiting: number }> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const { permits, seats, waiting } = await this.totals();
      const localSeats = 1;
      // Its own request is counted as one of the REST interface.
      const left = { permits, seats: Math.max(0, seats - localSeats), waiting };
      const isEmpty = left.permits + left.seats + left.waiting === 0;
      if (isEmpty || performance.now() > endMs) return left;
      await sleep(LOOK_MS);
    }
  }

  async end(): Promise<void> {
    await this.#daemon?.end();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

/** Puts limits and notes when which may have held. */
export class Limits {
  readonly histories = new Map<string, LimitHistory>();
  readonly #gate: GateDaemon;
  /** Limits are raised without a word to the observer. */
  readonly #hidden: boolean;

  constructor(gate: GateDaemon, hidden = false) {
    this.#gate = gate;
    this.#hidden = hidden;
  }

  get changes(): number {
    return [...this.histories.values()].reduce((sum, { changes }) => sum + changes, 0);
  }

  /** `fields`: what else the entity says; `field`: which of them is the limit. */
  async put(
    cap: string,
    limit: number,
    { path, field, fields = {} }: { path: string; field: string; fields?: object },
  ): Promise<void> {
    const history = this.histories.get(cap) ?? new LimitHistory();
    this.histories.set(cap, history);
    const sentNs = nowNs();
    const told = this.#hidden ? limit + HIDDEN_SEATS : limit;
    try {
      await this.#gate.now.put(path, { ...fields, [field]: told });
    } catch (cause) {
      await sleep(500);
      this.#gate.now.assertAlive();
      throw cause;
    }
    history.set(limit, sentNs, nowNs());
  }
}
