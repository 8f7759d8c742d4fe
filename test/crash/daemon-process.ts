/** The built daemon with plain Node, started again and again on the same data and port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Where the build is, unless a test brings a changed copy of it. */
export const BUILD = join(import.meta.dirname, '../..', 'dist');
const START_TIMEOUT_MS = 60_000;
const REST_TIMEOUT_MS = 10_000;

export interface DaemonOptions {
  readonly dataDir: string;
  readonly port: number;
  /** Folder with `main-launcher.cjs`; default the build of this tree. */
  readonly build?: string | undefined;
  readonly settings?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Called with what kills it before it is ready. */
  readonly onSpawn?: (kill: () => void) => void;
}

export interface ShardStatus {
  readonly shard: number;
  readonly waiting: number;
  readonly inFlight: number;
  readonly journalBytes: number;
}

export class BuiltDaemon {
  readonly url: string;
  readonly token: string;
  /** From its start to its line that it is ready. */
  readonly startMs: number;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #exit: Promise<[number | null, string | null]>;
  readonly #words: { text: string };

  /** @throws Error with its last words when it does not come up */
  static async start(options: DaemonOptions): Promise<BuiltDaemon> {
    const { dataDir, port, build = BUILD, settings = [], env = {} } = options;
    const startedMs = performance.now();
    const more = settings.flatMap((setting) => ['--set', setting]);
    const child = spawn(
      process.execPath,
      [
        join(build, 'main-launcher.cjs'),
        ...['dev', '--json', '--keep', '--data', dataDir, '--port', String(port)],
        ...more,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH ?? '', ...env } },
    );
    options.onSpawn?.(() => child.kill('SIGKILL'));
    const words = { text: '' };
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words.text = (words.text + text).slice(-4_000);
    });
    const exit = once(child, 'exit') as Promise<[number | null, string | null]>;
    const signal = AbortSignal.timeout(START_TIMEOUT_MS);
    const ended = exit.then(([code, by]) => {
      throw new Error(`it ended with ${by ?? `code ${code}`}`);
    });
    ended.catch(() => {});
    try {
      const lines = createInterface({ input: child.stdout });
      const [line] = (await Promise.race([once(lines, 'line', { signal }), ended])) as [string];
      const said = JSON.parse(line) as { url: string; token: string };
      return new BuiltDaemon({ child, exit, words, startMs: performance.now() - startedMs }, said);
    } catch (cause) {
      child.kill('SIGKILL');
      await exit;
      throw new Error(`the daemon did not start: ${String(cause)}\n${words.text}`);
    }
  }

  private constructor(
    parts: {
      child: ChildProcess;
      exit: Promise<[number | null, string | null]>;
      words: { text: string };
      startMs: number;
    },
    said: { url: string; token: string },
  ) {
    this.#child = parts.child;
    this.#exit = parts.exit;
    this.#words = parts.words;
    this.startMs = parts.startMs;
    this.pid = parts.child.pid ?? 0;
    this.url = said.url;
    this.token = said.token;
  }

  /** @throws Error when it had ended by itself */
  async kill(): Promise<void> {
    this.assertAlive();
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  /** Ends it in order. @returns its exit code */
  async stop(): Promise<number | null> {
    this.assertAlive();
    this.#child.kill('SIGTERM');
    const [code] = await this.#exit;
    return code;
  }

  /** For clean-up: whatever state it is in. */
  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  assertAlive(): void {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) return;
    throw new Error(`the daemon ended by itself: ${signalCode ?? exitCode}\n${this.#words.text}`);
  }

  async put(path: string, fields: object): Promise<unknown> {
    const init = { method: 'PUT', body: JSON.stringify(fields) };
    return JSON.parse(await this.#request(`/v1/${path}`, init));
  }

  async get(path: string): Promise<unknown> {
    return JSON.parse(await this.#request(`/v1/${path}`, {}));
  }

  /** Of any path, as it is. */
  async text(path: string): Promise<string> {
    return await this.#request(path, {});
  }

  async shards(): Promise<readonly ShardStatus[]> {
    const text = await this.#request('/v1/status', {});
    return (JSON.parse(text) as { shards: ShardStatus[] }).shards;
  }

  /** Ids of the dead letters of a destination. */
  async deadLetters(destination: string): Promise<string[]> {
    const ids: string[] = [];
    let cursor = '';
    do {
      const from = cursor === '' ? '' : `&cursor=${cursor}`;
      const text = await this.#request(`/v1/dead-letters?destination=${destination}${from}`, {});
      const page = JSON.parse(text) as { items: { id: string }[]; cursor: string | null };
      ids.push(...page.items.map(({ id }) => id));
      cursor = page.cursor ?? '';
    } while (cursor !== '');
    return ids;
  }

  /** Puts dead letters back into their queues. @returns how many there were */
  async replay(ids: readonly string[]): Promise<number> {
    const init = { method: 'POST', body: JSON.stringify({ ids }) };
    const text = await this.#request('/v1/dead-letters/replay', init);
    return (JSON.parse(text) as { replayed: number }).replayed;
  }

  async #request(path: string, init: RequestInit): Promise<string> {
    const response = await fetch(new URL(path, this.url.replace(/^ws/, 'http')), {
      ...init,
      headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
      signal: AbortSignal.timeout(REST_TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text;
  }
}

/** A port that was free a moment ago; the daemon comes back on it after each kill. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
