/** A redis-server of a row's own, with its append-only file on the same disk as a daemon's journal. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { makeDataDirectory, removeDataDirectory } from '../daemon.ts';
import { freePort } from '../restart.ts';
import type { PairShape } from './load/pair-loop.ts';
import { SCRIPTS, type ScriptHashes, setName } from './redis-scripts.ts';

const PROGRAM = 'redis-server';
const TOO_MANY = 7;

/** `Redis server v=7.0.15 …` → 7.0.15; undefined where it is not installed. */
export function redisVersion(): string | undefined {
  const { stdout, error } = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' });
  if (error !== undefined) return undefined;
  return /v=(\S+)/.exec(stdout)?.[1] ?? 'unknown';
}

export class RedisServer {
  readonly port: number;
  readonly scripts: ScriptHashes;
  readonly #child: ChildProcess;
  readonly #client: Redis;
  readonly #directory: string;

  /** @param strict answers after a flush: `appendfsync always`; else `no`: the system writes when it likes */
  static async start(strict: boolean): Promise<RedisServer> {
    const directory = makeDataDirectory();
    const port = await freePort();
    const options: readonly (readonly [string, string])[] = [
      ['port', String(port)],
      ['bind', '127.0.0.1'],
      ['dir', directory],
      ['save', ''],
      ['appendonly', 'yes'],
      ['appendfsync', strict ? 'always' : 'no'],
      // A rewrite of the file would take time from a round.
      ['auto-aof-rewrite-percentage', '0'],
      ['loglevel', 'warning'],
    ];
    const args = options.flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn(PROGRAM, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 50 });
    // Until it listens, each attempt is told here.
    client.on('error', () => undefined);
    try {
      await Promise.race([client.ping(), ended(child)]);
      return new RedisServer(child, client, { port, directory, scripts: await load(client) });
    } catch (error) {
      client.disconnect();
      child.kill('SIGKILL');
      removeDataDirectory(directory);
      throw error;
    }
  }

  private constructor(
    child: ChildProcess,
    client: Redis,
    of: { readonly port: number; readonly directory: string; readonly scripts: ScriptHashes },
  ) {
    this.#child = child;
    this.#client = client;
    this.#directory = of.directory;
    this.port = of.port;
    this.scripts = of.scripts;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** The same check as of the daemon: the limit, no more, and each permit is taken back once. */
  async check({ resource, tenants, limit, leaseMs }: PairShape): Promise<void> {
    const key = setName(resource, tenants[0] ?? '');
    const { acquireOne, acquireList, releaseList } = this.scripts;
    const permits = Array.from({ length: limit + TOO_MANY }, (_, at) => `check-${at}`);
    const ends = [limit, leaseMs];
    const first = await this.#client.evalsha(acquireOne, 1, key, ...ends, permits[0] as string);
    expect('the first use', first, 1);
    const others = permits.slice(1);
    const keys = others.map(() => key);
    const used = await this.#client.evalsha(acquireList, keys.length, ...keys, ...ends, ...others);
    const granted = (used as number[]).filter((answer) => answer > 0);
    expect('permits granted', granted.length + 1, limit);
    expect('the most used', Math.max(...granted, 1), limit);
    for (const left of [limit, 0]) {
      const all = permits.map(() => key);
      const released = await this.#client.evalsha(releaseList, all.length, ...all, ...permits);
      expect('permits released', released, left);
    }
  }

  /** Permits that are held in all sets: an empty one is not kept. */
  async keysLeft(): Promise<number> {
    return await this.#client.dbsize();
  }

  async stop(): Promise<void> {
    this.#client.disconnect();
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await exited;
    }
    removeDataDirectory(this.#directory);
  }
}

async function load(client: Redis): Promise<ScriptHashes> {
  const entries = await Promise.all(
    Object.entries(SCRIPTS).map(async ([name, text]) => [name, await client.script('LOAD', text)]),
  );
  return Object.fromEntries(entries) as ScriptHashes;
}

async function ended(child: ChildProcess): Promise<never> {
  const [error] = (await Promise.race([once(child, 'error'), once(child, 'exit')])) as [unknown];
  throw new Error(`${PROGRAM} ended with ${error}`);
}

function expect(what: string, found: unknown, wanted: number): void {
  if (found !== wanted) throw new Error(`on Redis ${what} is ${found}, not ${wanted}`);
}
