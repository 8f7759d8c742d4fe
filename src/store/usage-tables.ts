/**
 * The environment of usage (DIR/usage): what its machine wrote, one transaction a step.
 *
 *   01 01 whose it is   0b marks   0c all-time cells   0d day cells   0e log records
 *   0f keys of events   10 triggers   11 firings that are not told yet
 *
 * The records are the core's (docs/exchange.md); here they are stored, and read back in the order of
 * their keys. Day cells are not read at a start: there may be millions, and the core asks for those
 * it needs.
 */
import { LIMITS } from '../limits.ts';
import { pack, unpack } from '../protocol/msgpack.ts';
import { META_IDENTITY } from '../protocol/records.ts';
import { type Durability, type Entry, Environment } from './environment.ts';
import { IdentityError } from './identity.ts';

const IDENTITY_TABLE = 0x01;
const FIRST_TABLE = 0x0b;
const DAY_CELLS = 0x0d;
const LAST_TABLE = 0x11;
const FORMAT = 1;

export interface UsageEnvironmentOptions {
  /** DIR/usage. */
  readonly path: string;
  /** Of the data directory. */
  readonly dataId: string;
  readonly durability: Durability;
  /** Trust flushed transactions only, as after a power cut. */
  readonly safeRestore?: boolean;
}

/**
 * Opens it, and writes whose it is when it is empty.
 *
 * @throws Error when LMDB cannot open or make the files; IdentityError when it is another's, or a
 *   newer daemon's
 */
export function openUsageEnvironment(options: UsageEnvironmentOptions): Environment {
  const { dataId, ...rest } = options;
  const environment = Environment.open({ ...rest, mapBytes: LIMITS.usageMapBytes });
  try {
    claim(environment, dataId);
    checkTables(environment);
    return environment;
  } catch (error) {
    void environment.close();
    throw error;
  }
}

/** All records that recovery reads, in its order. */
export function* usageRecords(environment: Environment): Generator<Entry, void> {
  yield* environment.range(Uint8Array.of(FIRST_TABLE), Uint8Array.of(DAY_CELLS));
  yield* environment.range(Uint8Array.of(DAY_CELLS + 1), Uint8Array.of(LAST_TABLE + 1));
}

function claim(environment: Environment, dataId: string): void {
  const stored = environment.get(META_IDENTITY);
  if (stored === undefined) {
    const [first] = environment.range(Uint8Array.of(0), Uint8Array.of(255));
    if (first !== undefined) {
      throw new IdentityError('the environment of usage holds records but no identity');
    }
    const identity = pack({ format: FORMAT, dataId });
    environment.commitNow((writes) => writes.put(META_IDENTITY, identity));
    return;
  }
  const { format, dataId: found } = unpack(stored) as { format: number; dataId: string };
  if (format > FORMAT) {
    throw new IdentityError(
      `the environment of usage has format ${format}, this daemon knows up to ${FORMAT}: a newer daemon wrote it; start that one`,
    );
  }
  if (found === dataId) return;
  throw new IdentityError(
    `the environment of usage in data directory ${dataId} is that of ${found}: its folder was moved or mixed up with another`,
  );
}

function checkTables(environment: Environment): void {
  const ranges = [
    [IDENTITY_TABLE + 1, FIRST_TABLE],
    [LAST_TABLE + 1, 255],
  ] as const;
  for (const [start, end] of ranges) {
    const [first] = environment.range(Uint8Array.of(start), Uint8Array.of(end));
    if (first === undefined) continue;
    throw new Error(
      `the store of usage holds a key this daemon does not know (${Buffer.from(first.key).toString('hex')}): ` +
        'a newer daemon wrote it; start that one',
    );
  }
}
