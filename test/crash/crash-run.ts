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
import { BuiltDaemon, freePort } from './daemon-process.ts';
import { Ledger, type LedgerResult } from './ledger.ts';
import { DESTINATIONS, type FromClient, randomFrom, SLOW, type ToClient } from './traffic.ts';

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
}

export interface CrashResult extends LedgerResult {
  readonly kills: number;
  readonly seconds: number;
  readonly seed: number;
  readonly restartsMsP50: number;
  readonly restartsMsP99: number;
  readonly exitCode: number | null;
  readonly passed: boolean;
  /** The first violations, in words. */
  readonly faults: readonly string[];
}

const SLOW_PER_SEC = 900;
const ATTEMPTS_MAX = 1_000;
const PER_SEC = 4_000;
const LOAD_TIMEOUT_MS = 20_000;
const DRAIN_TIMEOUT_MS = 60_000;
/** Time for a second delivery of something to show itself. */
const LINGER_MS = 300;

class ClientProcess {
  readonly #child: ChildProcess;
  readonly #heard: FromClient['is'][] = [];
  #notify = (): void => {};

  constructor(file: string, args: readonly string[]) {
    this.#child = fork(join(import.meta.dirname, file), args, {
      execArgv: ['--import', import.meta.resolve('tsx')],
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
      await sleep(msBetween[0] + random() * (msBetween[1] - msBetween[0]));
      if (kill < kills) await daemon.kill();
    }
    const exitCode = await this.#drain();
    return this.#account((performance.now() - startMs) / 1000, exitCode);
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
      settings: ['durability=flushed', 'shards=2'],
    });
    this.#daemon = daemon;
    this.#startsMs.push(daemon.startMs);
    return daemon;
  }

  async #configure(daemon: BuiltDaemon): Promise<void> {
    for (const name of DESTINATIONS) {
      const ratePerSec = name === DESTINATIONS[SLOW] ? SLOW_PER_SEC : null;
      await daemon.put(`destinations/${name}`, { ratePerSec, attemptsMax: ATTEMPTS_MAX });
    }
  }

  /** Lifts the limit and waits until nothing waits and nothing is in flight. */
  async #drain(): Promise<number | null> {
    const daemon = this.#daemon as BuiltDaemon;
    this.#publisher.tell({ do: 'drain' });
    this.#consumer.tell({ do: 'drain' });
    await this.#publisher.hears('drained');
    await daemon.put(`destinations/${DESTINATIONS[SLOW]}`, { attemptsMax: ATTEMPTS_MAX });
    const endMs = performance.now() + (this.#options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS);
    for (;;) {
      const shards = await daemon.shards();
      const left = shards.reduce((sum, { waiting, inFlight }) => sum + waiting + inFlight, 0);
      // What will never come is for the ledger to say.
      if (left === 0 || performance.now() > endMs) break;
      await sleep(30);
    }
    await sleep(LINGER_MS);
    this.#consumer.tell({ do: 'finish' });
    this.#publisher.tell({ do: 'finish' });
    await Promise.all([this.#consumer.hears('finished'), this.#publisher.hears('finished')]);
    return daemon.stop();
  }

  #account(seconds: number, exitCode: number | null): CrashResult {
    const ledger = new Ledger();
    ledger.readPublisher(readFileSync(join(this.#folder, 'publisher.log'), 'utf8'));
    ledger.readConsumer(readFileSync(join(this.#folder, 'consumer.log'), 'utf8'));
    const result = ledger.result();
    const restarts = this.#startsMs.slice(1).sort((a, b) => a - b);
    const at = (share: number) => Math.round(restarts[Math.ceil(share * restarts.length) - 1] ?? 0);
    const { lost, duplicatesNotInFlight, orderErrors } = result;
    const { partialFrames, strange, unknownSettles } = result;
    const wrong = lost + duplicatesNotInFlight + orderErrors + partialFrames + strange;
    return {
      kills: this.#options.kills,
      ...result,
      seconds: Number(seconds.toFixed(1)),
      seed: this.#options.seed,
      restartsMsP50: at(0.5),
      restartsMsP99: at(0.99),
      exitCode,
      passed: wrong + unknownSettles === 0 && result.accepted > 0 && exitCode === 0,
      faults: ledger.faults,
    };
  }
}
