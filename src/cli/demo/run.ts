/**
 * One run of the demo: daemon and clients started, phases in order, everything stopped again.
 *
 * start → base (no flood) → flood (measured) → drain (limit lifted, all that waits comes out) →
 * stop. Whatever fails on the way, no process and no folder is left behind.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientProcess } from './children.ts';
import { DaemonProcess } from './daemon-process.ts';
import { Display } from './display.ts';
import { Ledger } from './ledger.ts';
import { measure, type Span } from './measure.ts';
import { type FromChild, hostMs } from './messages.ts';
import { type Plan, SETS, TENANTS } from './plan.ts';
import type { Run } from './report.ts';

const DESTINATION = 'demo';
/** Without a delivery for this long, what is still missing will not come. */
const STALLED_MS = 10_000;
/** Time for a second delivery of something to show itself. */
const LINGER_MS = 500;
const POLL_MS = 20;

/** Tenants that have to be backlogged throughout the flood. */
export function backloggedExpected(): number {
  return TENANTS.filter(({ role }) => role !== 'quiet').length;
}

export class DemoRun {
  readonly #plan: Plan;
  readonly #ledger = new Ledger(TENANTS.length);
  readonly #display: Display;
  readonly #children: ClientProcess[] = [];
  #daemon: DaemonProcess | undefined;
  #refused = 0;

  constructor(plan: Plan, notes: NodeJS.WriteStream) {
    this.#plan = plan;
    this.#display = new Display(this.#ledger, notes);
  }

  /** @throws Error when a process fails, or on SIGINT and SIGTERM */
  async run(): Promise<Run> {
    const folder = await mkdtemp(join(tmpdir(), 'fairlead-demo-'));
    const killAll = (): void => this.#killAll();
    process.on('exit', killAll);
    const interruption = interrupted();
    try {
      return await Promise.race([this.#phases(folder), interruption.happened]);
    } finally {
      interruption.forget();
      this.#display.stop();
      killAll();
      process.off('exit', killAll);
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    }
  }

  async #phases(folder: string): Promise<Run> {
    const startMs = hostMs();
    const daemon = new DaemonProcess(join(folder, 'data'));
    this.#daemon = daemon;
    await daemon.listening();
    let stopping = false;
    const broken = daemon.ended().then((words) => {
      if (!stopping) throw new Error(words);
      return new Promise<never>(() => {});
    });
    broken.catch(() => {});
    const during = <T>(task: Promise<T>): Promise<T> =>
      Promise.race([task, broken, ...this.#children.map((child) => child.failed())]) as Promise<T>;

    await during(this.#configure(daemon));
    const [quiet, busy, consumer] = await this.#startClients(daemon);
    const base = await during(this.#base(quiet, busy));
    const flood = await during(this.#flood(quiet, busy));
    const drainMs = await during(this.#drain(daemon, [quiet, busy]));
    await consumer.finish();
    stopping = true;
    const daemonExitCode = await daemon.stop();
    const { deliveries } = this.#ledger;
    return {
      plan: this.#plan,
      totals: this.#ledger.totals(),
      base: measure(deliveries, base),
      flood: measure(deliveries, flood),
      refused: this.#refused,
      drainMs,
      daemonExitCode,
      seconds: (hostMs() - startMs) / 1000,
    };
  }

  async #configure(daemon: DaemonProcess): Promise<void> {
    const { ratePerSec, burst } = this.#plan;
    await daemon.put(`destinations/${DESTINATION}`, { ratePerSec, burst });
    for (const { name, weight } of SETS) await daemon.put(`sets/${name}`, { weight });
    for (const { name, set, weight } of TENANTS)
      await daemon.put(`tenants/${name}`, { set, weight });
  }

  /** The quiet tenants have a process of their own, so that the flood is not in their way there. */
  async #startClients(
    daemon: DaemonProcess,
  ): Promise<[ClientProcess, ClientProcess, ClientProcess]> {
    const { url, token } = daemon;
    const tenants = TENANTS.map(({ name }) => name);
    const listen = (message: FromChild): void => this.#heard(message);
    const make = async (name: string, role: 'publish' | 'consume'): Promise<ClientProcess> => {
      const child = new ClientProcess(name, listen);
      this.#children.push(child);
      await child.start({ role, url, token, destination: DESTINATION, tenants });
      return child;
    };
    return Promise.all([
      make('publisher of quiet tenants', 'publish'),
      make('publisher of busy tenants', 'publish'),
      make('consumer', 'consume'),
    ]);
  }

  #heard(message: FromChild): void {
    if (message.is === 'accepted') this.#ledger.accept(message.block);
    else if (message.is === 'delivered') this.#ledger.deliver(message.block);
    else if (message.is === 'refused') this.#refused += message.count;
  }

  async #base(quiet: ClientProcess, busy: ClientProcess): Promise<Span> {
    this.#publish(quiet, busy, this.#plan.basePerSec);
    return this.#span('no flood', this.#plan.baseMs);
  }

  async #flood(quiet: ClientProcess, busy: ClientProcess): Promise<Span> {
    this.#publish(quiet, busy, this.#plan.floodPerSec);
    return this.#span('flood', this.#plan.windowMs);
  }

  async #span(phase: string, lengthMs: number): Promise<Span> {
    await sleep(this.#plan.warmUpMs);
    this.#display.phase(phase);
    const fromMs = hostMs();
    await sleep(lengthMs);
    return { fromMs, toMs: hostMs() };
  }

  #publish(quiet: ClientProcess, busy: ClientProcess, perSec: readonly number[]): void {
    const only = (isQuiet: boolean): number[] =>
      perSec.map((rate, index) => ((TENANTS[index]?.role === 'quiet') === isQuiet ? rate : 0));
    quiet.tell({ do: 'publish', perSec: only(true) });
    busy.tell({ do: 'publish', perSec: only(false) });
  }

  /** Lifts the limit while messages wait, and waits until every acknowledged one came out. */
  async #drain(daemon: DaemonProcess, publishers: readonly ClientProcess[]): Promise<number> {
    this.#display.phase('drain');
    await Promise.all(publishers.map((publisher) => publisher.finish()));
    const fromMs = hostMs();
    await daemon.put(`destinations/${DESTINATION}`, { ratePerSec: null });
    let delivered = 0;
    let movedMs = hostMs();
    while (this.#ledger.totals().lost > 0 && hostMs() - movedMs < STALLED_MS) {
      if (this.#ledger.totals().delivered > delivered) {
        delivered = this.#ledger.totals().delivered;
        movedMs = hostMs();
      }
      await sleep(POLL_MS);
    }
    const drainMs = hostMs() - fromMs;
    await sleep(LINGER_MS);
    return drainMs;
  }

  #killAll(): void {
    for (const child of this.#children) child.kill();
    this.#daemon?.kill();
  }
}

function interrupted(): { happened: Promise<never>; forget: () => void } {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  let forget = (): void => {};
  const happened = new Promise<never>((_, reject) => {
    const stop = (signal: string): void => reject(new Error(`stopped by ${signal}`));
    for (const signal of signals) process.on(signal, stop);
    forget = () => {
      for (const signal of signals) process.off(signal, stop);
    };
  });
  return { happened, forget };
}
