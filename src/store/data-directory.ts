/**
 * The data directory: its layout, its identity and the lock against a second daemon.
 *
 *   DIR/fairlead.json   format, data id, hash key, number of shards; written once
 *   DIR/lock            held with flock(2) while a daemon uses the directory: kill -9 frees it
 *   DIR/main/           environment of the main thread (entities)
 *   DIR/outbound/       environment of what is sent out, and of what is waited for (outbound-tables.ts)
 *   DIR/gate/           environment of permits (gate-tables.ts)
 *   DIR/usage/          environment of counters and triggers (usage-tables.ts)
 *   DIR/shard-0/ …      environment of each shard
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { LIMITS } from '../limits.ts';
import { native } from '../native.ts';
import type { Durability } from './environment.ts';

/** Layout this daemon writes; it opens no newer one. */
const FORMAT = 1;
const ID_BYTES = 16;

export interface DataDirectoryOptions {
  path: string;
  /** Configured number of shards; undefined: what the directory has. */
  shards: number | undefined;
  /** Number of shards of a new directory when none is configured. */
  shardsDefault: number;
  durability: Durability;
}

interface Identity {
  format: number;
  dataId: string;
  hashKey: string;
  shards: number;
  /** False: made for durability `memory`, whose files may be damaged after a crash. */
  durable: boolean;
}

/** The directory cannot be used as configured; the message says what to do. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
}

export class DataDirectory {
  readonly path: string;
  /** Random, made with the directory: every environment in it carries it. */
  readonly dataId: string;
  /** Key of the hash in message ids, so that they cannot be guessed. */
  readonly hashKey: Uint8Array;
  readonly shards: number;
  readonly #lock: number;

  private constructor(path: string, identity: Identity, lock: number) {
    this.path = path;
    this.dataId = identity.dataId;
    this.hashKey = Buffer.from(identity.hashKey, 'hex');
    this.shards = identity.shards;
    this.#lock = lock;
  }

  /**
   * Opens the directory, making it when absent, and locks it for this process.
   *
   * @throws DataDirectoryError when another daemon has it or it does not fit the options
   */
  static open(options: DataDirectoryOptions): DataDirectory {
    const path = resolve(options.path);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const lock = takeLock(path);
    try {
      const identity = readIdentity(path) ?? createIdentity(path, options);
      checkIdentity(path, identity, options);
      return new DataDirectory(path, identity, lock);
    } catch (error) {
      native.unlockFile(lock);
      throw error;
    }
  }

  /** Folder of the main thread's environment. */
  get mainPath(): string {
    return join(this.path, 'main');
  }

  /** Folder of the environment of outgoing requests. */
  get outboundPath(): string {
    return join(this.path, 'outbound');
  }

  /** Folder of the environment of permits. */
  get gatePath(): string {
    return join(this.path, 'gate');
  }

  /** Folder of the environment of counters and triggers. */
  get usagePath(): string {
    return join(this.path, 'usage');
  }

  /** Gives the lock back; everything in the directory must be closed before. */
  close(): void {
    native.unlockFile(this.#lock);
  }
}

/** Folder of a shard's environment. */
export function shardPath(directory: string, shard: number): string {
  return join(directory, `shard-${shard}`);
}

function takeLock(path: string): number {
  const file = join(path, 'lock');
  const lock = native.lockFile(file);
  if (lock < 0) {
    const pid = readFileSync(file, 'utf8').trim();
    throw new DataDirectoryError(
      `${path} is in use by another daemon${pid === '' ? '' : ` (pid ${pid})`}; stop it or choose another dataDir`,
    );
  }
  writeFileSync(file, `${process.pid}\n`);
  return lock;
}

function readIdentity(path: string): Identity | undefined {
  const file = join(path, 'fairlead.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as Identity;
  } catch {
    throw new DataDirectoryError(`${file} is damaged: it is no JSON; restore it from a backup`);
  }
}

function createIdentity(path: string, options: DataDirectoryOptions): Identity {
  const identity: Identity = {
    format: FORMAT,
    dataId: randomBytes(ID_BYTES).toString('hex'),
    hashKey: randomBytes(ID_BYTES).toString('hex'),
    shards: options.shards ?? options.shardsDefault,
    durable: options.durability !== 'memory',
  };
  const file = join(path, 'fairlead.json');
  const draft = `${file}.new`;
  const descriptor = openSync(draft, 'w', 0o600);
  try {
    writeSync(descriptor, `${JSON.stringify(identity, null, 2)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(draft, file);
  // The name is durable when the folder is, and the folder when its parent is.
  syncFolder(path);
  syncFolder(dirname(path));
  return identity;
}

function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function checkIdentity(path: string, identity: Identity, options: DataDirectoryOptions): void {
  const { format, dataId, hashKey, shards, durable } = identity;
  if (Number.isInteger(format) && format > FORMAT) {
    throw new DataDirectoryError(
      `${path} has format ${format}, this daemon knows up to ${FORMAT}: a newer daemon made it; start that one`,
    );
  }
  const isId = (text: unknown) => typeof text === 'string' && /^[0-9a-f]{32}$/.test(text);
  const isCount = Number.isInteger(shards) && shards >= 1 && shards <= LIMITS.shardsMax;
  if (format !== FORMAT || !isId(dataId) || !isId(hashKey) || !isCount) {
    throw new DataDirectoryError(
      `${join(path, 'fairlead.json')} is damaged; restore it from a backup`,
    );
  }
  if (options.shards !== undefined && options.shards !== shards) {
    throw new DataDirectoryError(
      `${path} was made with ${shards} shard(s) and ${options.shards} are configured: the number is fixed when a ` +
        `data directory is made. Set shards to ${shards}, leave it out, or start with an empty dataDir`,
    );
  }
  if (durable && options.durability === 'memory') {
    throw new DataDirectoryError(
      `${path} holds durable data and durability memory would endanger it; choose an empty dataDir`,
    );
  }
  if (!durable && options.durability !== 'memory') {
    throw new DataDirectoryError(
      `${path} was made for durability memory and may be incomplete; choose an empty dataDir`,
    );
  }
}
