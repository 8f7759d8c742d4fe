/**
 * Kills the built daemon again and again under load and settles the account at the end.
 *
 * Processes: this one, the daemon, a publisher, a consumer. Only the daemon is killed. Every start:
 * ready → clients connect → both see an answer (it takes load) → a random time → SIGKILL. After the
 * last kill the daemon drains all that waits and is ended in order; then the ledger is read.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tsHook } from '../support/ts-hook.ts';
import { BuiltDaemon, freePort } from './daemon-process.ts';
import { finalStatuses } from './final-statuses.ts';
import { Ledger } from './ledger.ts';
import { isConserved, type LedgerResult, wrongOf } from './ledger-figures.ts';
import {
  ATTEMPTS_MAX,
  DESTINATIONS,
  type DestinationName,
  FRAIL_ATTEMPTS_MAX,
  type FromClient,
  LEVELLED_TENANTS,
  randomFrom,
  SLOW_PER_SEC,
  type ToClient,
} from './traffic.ts';

export interface CrashOptions {
  readonly kills: number;
  readonly seed: number;
  /** Time under load before each kill. */
  readonly msBetween: readonly [from: number, to: number];
  readonly perSec?: number;
  /** Another build than this tree's. */
  readonly build?: string | undefined;
  /** Longest wait for the rest after the last kill. */
  readonly drainTimeoutMs?: number;
  /** Whether the daemon is asked for dead letters, which are put back, and statuses; default true. */
  readonly asks?: boolean;
}

export interface CrashResult extends LedgerResult {
  readonly kills: number;
  readonly seconds: number;
  readonly seed: number;
  readonly restartsMsP50: number;
  readonly restartsMsP99: number;
  readonly exitCode: number | null;
  readonly passed: boolean;
  /** Accepted is what ended in one of the ways there are, and nothing waits. */
  readonly conserved: boolean;
  /** The first violations, in words. */
  readonly faults: readonly string[];
}

const PER_SEC = 4_000;
const LOAD_TIMEOUT_MS = 60_000;
const DRAIN_TIMEOUT_MS = 60_000;
/** Time for a second delivery of something to show itself. */
const LINGER_MS = 300;
/** Kills between two replays of the dead letters so far. */
const KILLS_PER_REPLAY = 5;
/** Ended messages are asked for at the end: all of a long run. */
const RETENTION_BYTES = 2 ** 30;

const ENDLESS = { attemptsMax: ATTEMPTS_MAX };
const FIELDS: Readonly<Record<DestinationName, object>> = {
  alpha: ENDLESS,
  beta: ENDLESS,
  frail: { attemptsMax: FRAIL_ATTEMPTS_MAX, retryBaseMs: 20, retryMaxMs: 200 },
  once: { ...ENDLESS, onDoubt: 'fail' },
  slow: { ...ENDLESS, ratePerSec: SLOW_PER_SEC },
};

class ClientProcess {
  readonly #child: ChildProcess;
  readonly #heard: FromClient['is'][] = [];
  #notify = (): void => {};

  constructor(file: string, args: readonly string[]) {
    this.#child = fork(join(import.meta.dirname, file), args, {
      execArgv: ['--import', tsHook],
    });
    this.#child.on('message', (message) => {
      this.#heard.push((message as FromClient).is);
      this.#notify();
    });
    this.#child.on('exit', () => this.#notify());
  }

  tell(message: ToClient): void {
    this.#heard.length = 0;
    this.#child.send(message);
  }

  /** @throws Error when the process ended, or it takes too long */
  async hears(what: FromClient['is'], timeoutMs = LOAD_TIMEOUT_MS): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    while (!this.#heard.includes(what)) {
      if (this.#child.exitCode !== null) throw new Error(`a client ended: ${what} did not come`);
      if (performance.now() > endMs) throw new Error(`${what} did not come in ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#notify = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

export async function crashRun(options: CrashOptions): Promise<CrashResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-crash-'));
  const run = new CrashRun(options, folder);
  try {
    return await run.run();
  } finally {
    await run.end();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

class CrashRun {
  readonly #options: CrashOptions;
  readonly #folder: string;
  readonly #publisher: ClientProcess;
  readonly #consumer: ClientProcess;
  readonly #startsMs: number[] = [];
  readonly #replays: Parameters<Ledger['replayed']>[0][] = [];
  #port = 0;
  #daemon: BuiltDaemon | undefined;

  constructor(options: CrashOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    const { seed, perSec = PER_SEC } = options;
    const publisher = [join(folder, 'publisher.log'), String(seed + 1), String(perSec)];
    this.#publisher = new ClientProcess('publisher.ts', publisher);
    this.#consumer = new ClientProcess('consumer.ts', [
      join(folder, 'consumer.log'),
      String(seed + 2),
    ]);
  }

  async run(): Promise<CrashResult> {
    const startMs = performance.now();
    const { kills, seed, msBetween } = this.#options;
    const random = randomFrom(seed);
    this.#port = await freePort();
    for (let kill = 0; kill <= kills; kill += 1) {
      const daemon = await this.#start();
      if (kill === 0) await this.#configure(daemon);
      this.#publisher.tell({ do: 'connect', url: daemon.url, token: daemon.token });
      this.#consumer.tell({ do: 'connect', url: daemon.url, token: daemon.token });
      await Promise.all([this.#publisher.hears('loaded'), this.#consumer.hears('loaded')]);
      if (kill % KILLS_PER_REPLAY === KILLS_PER_REPLAY - 1) await this.#replay(daemon);
      await sleep(msBetween[0] + random() * (msBetween[1] - msBetween[0]));
      if (kill < kills) await daemon.kill();
    }
    await this.#drain();
    const [ledger, result] = await this.#account();
    const exitCode = await (this.#daemon as BuiltDaemon).stop();
    return this.#figures({
      ledger,
      result,
      seconds: (performance.now() - startMs) / 1000,
      exitCode,
    });
  }

  async end(): Promise<void> {
    this.#publisher.kill();
    this.#consumer.kill();
    await this.#daemon?.end();
  }

  async #start(): Promise<BuiltDaemon> {
    const daemon = await BuiltDaemon.start({
      dataDir: join(this.#folder, 'data'),
      port: this.#port,
      build: this.#options.build,
      settings: ['durability=flushed', 'shards=2', `dispatch.retentionBytes=${RETENTION_BYTES}`],
    });
    this.#daemon = daemon;
    this.#startsMs.push(daemon.startMs);
    return daemon;
  }

  async #configure(daemon: BuiltDaemon): Promise<void> {
    for (let tenant = 0; tenant < LEVELLED_TENANTS; tenant += 1) {
      await daemon.put(`tenants/t${tenant}`, { levelFloors: [0, 0.1] });
    }
    for (const name of DESTINATIONS) await daemon.put(`destinations/${name}`, FIELDS[name]);
  }

  /** Dead letters of `frail` go back to their queues; those of `once` stay. */
  async #replay(daemon: BuiltDaemon): Promise<void> {
    if (this.#options.asks === false) return;
    const ids = await daemon.deadLetters('frail');
    if (ids.length === 0) return;
    const replay = { boot: this.#startsMs.length, atMs: Date.now() };
    this.#replays.push({ ids, replay, replayed: await daemon.replay(ids) });
  }

  /** Lifts the limit and waits until nothing waits and nothing is in flight. */
  async #drain(): Promise<void> {
    const daemon = this.#daemon as BuiltDaemon;
    this.#publisher.tell({ do: 'drain' });
    this.#consumer.tell({ do: 'drain' });
    await this.#publisher.hears('drained');
    await daemon.put('destinations/slow', { ...FIELDS.slow, ratePerSec: null });
    await this.#untilEmpty(daemon);
    await this.#replay(daemon);
    await this.#untilEmpty(daemon);
    await sleep(LINGER_MS);
    this.#consumer.tell({ do: 'finish' });
    this.#publisher.tell({ do: 'finish' });
    await Promise.all([this.#consumer.hears('finished'), this.#publisher.hears('finished')]);
  }

  async #untilEmpty(daemon: BuiltDaemon): Promise<void> {
    const endMs = performance.now() + (this.#options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS);
    for (;;) {
      const shards = await daemon.shards();
      const left = shards.reduce((sum, { waiting, inFlight }) => sum + waiting + inFlight, 0);
      // What will never come is for the ledger to say.
      if (left === 0 || performance.now() > endMs) return;
      await sleep(30);
    }
  }

  /** Compares what was seen with the daemon's own word, before and after one more kill. */
  async #account(): Promise<[Ledger, LedgerResult]> {
    const ledger = new Ledger();
    const read = (name: string): string => readFileSync(join(this.#folder, name), 'utf8');
    ledger.readPublisher(read('publisher.log'));
    for (const replays of this.#replays) ledger.replayed(replays);
    ledger.readConsumer(read('consumer.log'));
    if (this.#options.asks === false) return [ledger, ledger.result()];
    const ids = ledger.ids();
    const daemon = this.#daemon as BuiltDaemon;
    const boots = this.#startsMs.length;
    const before = await finalStatuses(daemon, ids);
    await daemon.kill();
    const after = await finalStatuses(await this.#start(), ids);
    return [ledger, ledger.compare(before, after, boots)];
  }

  #figures(of: {
    ledger: Ledger;
    result: LedgerResult;
    seconds: number;
    exitCode: number | null;
  }): CrashResult {
    const { ledger, result, seconds, exitCode } = of;
    const restarts = this.#startsMs.slice(1).sort((a, b) => a - b);
    const at = (share: number) => Math.round(restarts[Math.ceil(share * restarts.length) - 1] ?? 0);
    const conserved = isConserved(result);
    const isRight = wrongOf(result) === 0 && conserved;
    return {
      kills: this.#options.kills,
      ...result,
      conserved,
      seconds: Number(seconds.toFixed(1)),
      seed: this.#options.seed,
      restartsMsP50: at(0.5),
      restartsMsP99: at(0.99),
      exitCode,
      passed: isRight && result.accepted > 0 && exitCode === 0,
      faults: ledger.faults,
    };
  }
}
