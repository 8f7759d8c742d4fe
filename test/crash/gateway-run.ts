/**
 * Kills the built daemon with webhook, SMPP and pull gateways, receipts and callbacks in flight, and
 * settles the account at the end.
 *
 * Processes: this one with publishers and the pull consumer, the daemon, the gateways' far ends, the
 * callback server. Only the daemon is killed: after a random time under load, right after an answer
 * of a gateway, a callback or an acknowledgement, or during its start.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BuiltDaemon, freePort } from './daemon-process.ts';
import { finalStatuses } from './final-statuses.ts';
import type { GatewayFigures } from './gateway-figures.ts';
import { GatewayLedger, type Kill } from './gateway-ledger.ts';
import { PeerProcess } from './gateway-peer-process.ts';
import { Accepted, RestPublisher, StreamPublisher } from './gateway-publishers.ts';
import { PullConsumer } from './gateway-pull.ts';
import { configure, SECRET, SECRET_NAME } from './gateway-setup.ts';
import type { CallbacksReport, Keys, PeersReport } from './gateway-traffic.ts';
import { type Random, randomFrom } from './traffic.ts';

export interface GatewayRunOptions {
  readonly kills: number;
  readonly seed: number;
  /** Time under load before each kill. */
  readonly msBetween: readonly [from: number, to: number];
  /** Messages a second. */
  readonly perSec?: number;
  /** Another build than this tree's. */
  readonly build?: string | undefined;
  /** Longest wait for the rest after the last kill. */
  readonly drainTimeoutMs?: number;
}

export interface GatewayRunResult extends GatewayFigures {
  readonly kills: number;
  /** Of the kills: those before the daemon was ready. */
  readonly killsAtStart: number;
  readonly seconds: number;
  readonly seed: number;
  readonly restartMsP50: number;
  readonly exitCode: number | null;
  readonly passed: boolean;
  /** The first violations, in words. */
  readonly faults: readonly string[];
}

const PER_SEC = 80;
const DRAIN_TIMEOUT_MS = 60_000;
/** With nothing to do, and no request for so long, everything is done. */
const QUIET_MS = 2_000;
const POLL_MS = 100;
const LOAD_TIMEOUT_MS = 15_000;
const HIT_TIMEOUT_MS = 2_000;
const RETENTION_BYTES = 2 ** 30;
const START_KILL_SHARE = 0.2;
/** Waits between attempts of a callback: mostly short, then long enough for any run. */
const RETRY_MS = [0, 20, 50, 100, 100, 200, 200, 200, 400, 400, 400, 400, 60_000, 600_000];

export async function gatewayRun(options: GatewayRunOptions): Promise<GatewayRunResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-gateways-'));
  const run = new GatewayRun(options, folder);
  try {
    return await run.run();
  } finally {
    await run.end();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

class GatewayRun {
  readonly #options: GatewayRunOptions;
  readonly #folder: string;
  readonly #random: Random;
  readonly #accepted = new Accepted();
  readonly #stream: StreamPublisher;
  readonly #rest: readonly RestPublisher[];
  readonly #pull: PullConsumer;
  readonly #kills: Kill[] = [];
  /** Of the kills: after these no other daemon was ready yet. */
  #open: { fromMs: number; toMs: number }[] = [];
  readonly #startsMs: number[] = [];
  #killsAtStart = 0;
  #peers: PeerProcess | undefined;
  #callbacks: PeerProcess | undefined;
  #daemon: BuiltDaemon | undefined;
  #port = 0;
  #keys: Keys = {};

  constructor(options: GatewayRunOptions, folder: string) {
    const { seed, perSec = PER_SEC } = options;
    this.#options = options;
    this.#folder = folder;
    this.#random = randomFrom(seed);
    this.#stream = new StreamPublisher(this.#accepted, randomFrom(seed + 1), perSec);
    this.#rest = [
      new RestPublisher(this.#accepted, 'json', perSec),
      new RestPublisher(this.#accepted, 'form', perSec),
    ];
    this.#pull = new PullConsumer(randomFrom(seed + 2));
  }

  async run(): Promise<GatewayRunResult> {
    const startMs = performance.now();
    const { kills, seed, msBetween } = this.#options;
    mkdirSync(join(this.#folder, 'secrets'));
    writeFileSync(join(this.#folder, 'secrets', SECRET_NAME), SECRET);
    this.#port = await freePort();
    this.#peers = await PeerProcess.start('gateway-peers.ts', [String(seed + 3), SECRET]);
    this.#callbacks = await PeerProcess.start('gateway-callbacks.ts', [String(seed + 4)]);
    while (this.#kills.length < kills) {
      await this.#begin(await this.#start());
      await sleep(msBetween[0] + this.#random() * (msBetween[1] - msBetween[0]));
      await this.#untilMoment();
      await this.#kill();
      const isMore = this.#kills.length < kills && this.#random() < START_KILL_SHARE;
      if (isMore) await this.#killAtStart();
    }
    await this.#begin(await this.#start());
    await sleep(msBetween[1]);
    await this.#drain();
    const ledger = await this.#account();
    const exitCode = await (this.#daemon as BuiltDaemon).stop();
    return this.#result(ledger, exitCode, (performance.now() - startMs) / 1000);
  }

  async end(): Promise<void> {
    this.#stream.end();
    for (const each of this.#rest) each.end();
    this.#pull.end();
    this.#peers?.kill();
    this.#callbacks?.kill();
    await this.#daemon?.end();
  }

  async #start(onSpawn?: (kill: () => void) => void): Promise<BuiltDaemon> {
    const daemon = await BuiltDaemon.start({
      dataDir: join(this.#folder, 'data'),
      port: this.#port,
      build: this.#options.build,
      ...(onSpawn !== undefined && { onSpawn }),
      settings: [
        ...['durability=flushed', 'shards=2', `dispatch.retentionBytes=${RETENTION_BYTES}`],
        ...['outbound.allow=["127.0.0.0/8"]', `outbound.retryMs=${JSON.stringify(RETRY_MS)}`],
        ...['outbound.timeoutMs=1000', `secrets.dir=${join(this.#folder, 'secrets')}`],
      ],
    });
    this.#daemon = daemon;
    this.#startsMs.push(daemon.startMs);
    for (const kill of this.#open) kill.toMs = Date.now();
    this.#open = [];
    return daemon;
  }

  /** Brings load, and waits until some of it went all the way. */
  async #begin(daemon: BuiltDaemon): Promise<void> {
    if (this.#startsMs.length === 1) {
      this.#keys = await configure(daemon, this.#peers?.ports ?? {});
    }
    const { url, token } = daemon;
    const http = url.replace(/^ws/, 'http');
    const begin = { do: 'begin', url: http, token, keys: this.#keys } as const;
    this.#peers?.tell(begin);
    this.#callbacks?.tell(begin);
    const callbacksPort = this.#callbacks?.ports.callbacks ?? 0;
    const target = { url, token, keys: this.#keys, callbacksPort };
    for (const each of this.#rest) each.connect(target);
    await Promise.all([this.#stream.connect(target), this.#pull.connect(daemon)]);
    const accepted = this.#accepted.ids.size;
    const before = await this.#requests();
    const endMs = performance.now() + LOAD_TIMEOUT_MS;
    while (this.#accepted.ids.size === accepted || (await this.#requests()) === before) {
      daemon.assertAlive();
      if (performance.now() > endMs) throw new Error('the daemon takes no load');
      await sleep(20);
    }
  }

  async #requests(): Promise<number> {
    const counts = await Promise.all([this.#peers?.count(), this.#callbacks?.count()]);
    return counts.reduce((sum, count) => sum + (count?.requests ?? 0), 0);
  }

  /** Half of the kills wait for nothing, the others for an answer of someone. */
  async #untilMoment(): Promise<void> {
    const dice = this.#random();
    if (dice < 0.5) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, HIT_TIMEOUT_MS);
      const hit = (): void => {
        clearTimeout(timer);
        this.#accepted.onAccepted = () => {};
        resolve();
      };
      if (dice < 0.65) {
        this.#accepted.onAccepted = hit;
        return;
      }
      const peer = dice < 0.85 ? this.#peers : this.#callbacks;
      if (peer === undefined) return;
      peer.onHit = hit;
      peer.tell({ do: 'arm' });
    });
  }

  async #kill(): Promise<void> {
    const fromMs = Date.now();
    await (this.#daemon as BuiltDaemon).kill();
    this.#killed(fromMs);
  }

  #killed(fromMs: number): void {
    const kill = { fromMs, toMs: Number.POSITIVE_INFINITY };
    this.#kills.push(kill);
    this.#open.push(kill);
  }

  /** Somewhere between its first instruction and shortly after it is ready. */
  async #killAtStart(): Promise<void> {
    const afterMs = this.#random() * (this.#startsMs.at(-1) ?? 0) * 1.1;
    let fromMs = Number.POSITIVE_INFINITY;
    const start = this.#start((kill) => {
      setTimeout(() => {
        fromMs = Date.now();
        kill();
      }, afterMs);
    });
    const daemon = await start.catch(() => undefined);
    if (daemon === undefined && fromMs === Number.POSITIVE_INFINITY) await start;
    // It was ready first.
    if (daemon !== undefined) await daemon.end();
    else this.#killsAtStart += 1;
    this.#killed(Math.min(fromMs, Date.now()));
  }

  async #drain(): Promise<void> {
    const daemon = this.#daemon as BuiltDaemon;
    for (const each of [this.#stream, ...this.#rest]) each.isDraining = true;
    this.#pull.isDraining = true;
    this.#peers?.tell({ do: 'drain' });
    this.#callbacks?.tell({ do: 'drain' });
    const endMs = performance.now() + (this.#options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS);
    let quietMs = performance.now();
    let requests = -1;
    // What will never come is for the ledger to say.
    while (performance.now() < endMs && performance.now() - quietMs < QUIET_MS) {
      const now = await this.#requests();
      const shards = await daemon.shards();
      const inside = shards.reduce((sum, { waiting, inFlight }) => sum + waiting + inFlight, 0);
      const pending = (await this.#peers?.count())?.pending ?? 0;
      const left = inside + pending + this.#accepted.unanswered;
      if (left > 0 || now !== requests) quietMs = performance.now();
      requests = now;
      await sleep(POLL_MS);
    }
  }

  /** Compares what was seen with the daemon's own word, before and after one more kill. */
  async #account(): Promise<GatewayLedger> {
    const ids = [...this.#accepted.ids.values()];
    const before = await finalStatuses(this.#daemon as BuiltDaemon, ids);
    await this.#kill();
    const daemon = await this.#start();
    const after = await finalStatuses(daemon, ids);
    // Time for something that comes again to show itself.
    await sleep(QUIET_MS / 2);
    const peers = (await this.#peers?.report<PeersReport>()) as PeersReport;
    const callbacks = (await this.#callbacks?.report<CallbacksReport>()) as CallbacksReport;
    const ledger = new GatewayLedger({
      ids: this.#accepted.ids,
      repeatedPublishes: this.#accepted.repeats,
      kills: this.#kills,
      ...{ peers, callbacks, before, after },
      pulled: this.#pull.attempts,
      strange: [...this.#accepted.strange, ...this.#pull.strange],
    });
    ledger.judge();
    return ledger;
  }

  #result(ledger: GatewayLedger, exitCode: number | null, seconds: number): GatewayRunResult {
    const starts = this.#startsMs.slice(1).sort((a, b) => a - b);
    const result = ledger.figures.result();
    const isRight = ledger.figures.isRight && result.accepted > 0;
    return {
      kills: this.#kills.length,
      killsAtStart: this.#killsAtStart,
      ...result,
      seconds: Number(seconds.toFixed(1)),
      seed: this.#options.seed,
      restartMsP50: Math.round(starts[Math.floor(starts.length / 2)] ?? 0),
      exitCode,
      passed: isRight && exitCode === 0,
      faults: ledger.figures.faults,
    };
  }
}
