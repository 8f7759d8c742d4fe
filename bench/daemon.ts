/** The built daemon as a process of its own, with plain Node, and its REST API. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type ProcessMemory, parseProcessMemory } from './process-times.ts';

const root = join(import.meta.dirname, '..');
const POLL_MS = 10;
const IDLE_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 60_000;

export type Durability = 'flushed' | 'committed' | 'memory';

export interface DaemonOptions {
  readonly durability: Durability;
  readonly dataDir: string;
  /** 0 takes any free one. */
  readonly port?: number | undefined;
  /** Options of the daemon beside these, as KEY=VALUE. */
  readonly settings?: readonly string[] | undefined;
  /** Arguments of Node, before the program. */
  readonly nodeArgs?: readonly string[] | undefined;
}

/** A new directory beside the system's temporary files, which have to be on the disk to measure. */
export function makeDataDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'fairlead-bench-'));
}

export class DaemonProcess {
  readonly pid: number;
  readonly url: string;
  readonly token: string;
  readonly #child: ChildProcess;

  /** Resolves when it said that it is ready. */
  static async start(options: DaemonOptions): Promise<DaemonProcess> {
    const { durability, dataDir, port = 0, settings = [], nodeArgs = [] } = options;
    const program = join(root, 'dist', 'main.js');
    if (!existsSync(program)) throw new Error(`${program} is not there: run npm run build first`);
    const command = ['dev', '--json', '--data', dataDir, '--keep', '--port', String(port)];
    const args = [
      ...nodeArgs,
      launcherOf(program),
      ...command,
      ...[`durability=${durability}`, ...settings].flatMap((setting) => ['--set', setting]),
    ];
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      return new DaemonProcess(child, JSON.parse(await firstLine(child)) as Ready);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  private constructor(child: ChildProcess, { url, token, pid }: Ready) {
    this.#child = child;
    this.url = url;
    this.token = token;
    this.pid = pid;
  }

  memory(): ProcessMemory {
    return parseProcessMemory(readFileSync(`/proc/${this.pid}/status`, 'latin1'));
  }

  /** Makes or replaces an entity, for example `('destinations', 'bench', { paused: true })`. */
  async put(resource: string, name: string, fields: object): Promise<void> {
    await this.#request(`/v1/${resource}/${name}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(fields),
    });
  }

  /** One request of the REST interface with a JSON answer. @throws Error at any status that is none of success */
  async ask(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    if (body === undefined) return await this.#request(path, { method });
    const headers = { 'content-type': 'application/json' };
    return await this.#request(path, { method, headers, body: JSON.stringify(body) });
  }

  /** Cancels all that waits for a destination. @returns how many */
  async cancelAll(destination: string): Promise<number> {
    const answer = await this.#request('/v1/messages/cancel', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ destination }),
    });
    return (answer as { cancelled: number }).cancelled;
  }

  /** Queues of a destination that hold something, one at most: shows that its shard answers. */
  async explain(destination: string): Promise<unknown> {
    return await this.#request(`/v1/destinations/${destination}/explain?limit=1`, {});
  }

  /** Sums over all shards; `flushMs` is that of the slowest. */
  async status(): Promise<ShardSums> {
    const { shards } = (await this.#request('/v1/status', {})) as { shards: ShardSums[] };
    return shards.reduce(
      (sum, shard) => ({
        waiting: sum.waiting + shard.waiting,
        inFlight: sum.inFlight + shard.inFlight,
        flushMs: Math.max(sum.flushMs ?? 0, shard.flushMs ?? 0),
      }),
      { waiting: 0, inFlight: 0, flushMs: 0 },
    );
  }

  /** Waits until nothing waits and nothing is in flight. @throws Error after 30 s */
  async untilEmpty(): Promise<void> {
    const endMs = performance.now() + IDLE_TIMEOUT_MS;
    for (;;) {
      const { waiting, inFlight } = await this.status();
      if (waiting === 0 && inFlight === 0) return;
      if (performance.now() > endMs) {
        throw new Error(`after the run ${waiting} messages wait, ${inFlight} are in flight`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Totals of the gate. */
  async gate(): Promise<GateTotals> {
    return (await this.#request('/v1/gate', {})) as GateTotals;
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    process.kill(this.pid, signal);
    await ended;
  }

  async #request(path: string, init: RequestInit): Promise<unknown> {
    const headers = { ...init.headers, authorization: `Bearer ${this.token}` };
    const response = await fetch(`${this.url}${path}`, { ...init, headers });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status} ${text}`);
    return JSON.parse(text);
  }
}

export interface ShardSums {
  readonly waiting: number;
  readonly inFlight: number;
  /** Mean time of a flush since the start; null before the first. */
  readonly flushMs: number | null;
}

export interface GateTotals {
  /** That are out, with a lease. */
  readonly permits: number;
  /** Of the daemon's own REST interface and its proxy. */
  readonly localPermits: number;
  readonly waiting: number;
}

interface Ready {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
}

/** The launcher that sets the thread pool's size, where there is one. */
function launcherOf(program: string): string {
  const launcher = join(root, 'dist', 'main-launcher.cjs');
  return existsSync(launcher) ? launcher : program;
}

async function firstLine(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
  try {
    for await (const line of lines) return line;
  } finally {
    clearTimeout(timer);
    // Nothing else is written there; what is must not fill the pipe.
    child.stdout?.resume();
  }
  throw new Error('the daemon ended before it was ready');
}

export function removeDataDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
