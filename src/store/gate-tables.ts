/**
 * The environment of permits (DIR/gate): what the gate wrote, one transaction a step.
 *
 *   01 01 identity: the data directory it belongs to, written once
 *   07 01 … 07 04 marks    08 snapshot:u64 piece:u32 snapshots    09 sequence:u64 log records
 *
 * The records are the core's (docs/exchange.md); here they are only stored, and read back in the
 * order of their keys, which is that of recovery.
 */
import { LIMITS } from '../limits.ts';
import { pack, unpack } from '../protocol/msgpack.ts';
import { META_IDENTITY } from '../protocol/records.ts';
import { type Durability, type Entry, Environment } from './environment.ts';
import { IdentityError } from './identity.ts';

/** Layout that this daemon writes. */
const FORMAT = 1;
const META_TABLE = 1;
const FIRST_TABLE = 7;
const LAST_TABLE = 9;

interface GateIdentity {
  readonly format: number;
  readonly dataId: string;
}

export interface GateEnvironmentOptions {
  /** DIR/gate. */
  readonly path: string;
  readonly durability: Durability;
  /** Of the data directory. */
  readonly dataId: string;
  /** Trust flushed transactions only, as after a power cut. */
  readonly safeRestore?: boolean;
}

/**
 * Opens it, and claims it for its data directory; one that was never claimed is from before claims.
 *
 * @throws IdentityError when it is another directory's; Error when LMDB cannot open or make the files
 */
export function openGateEnvironment(options: GateEnvironmentOptions): Environment {
  const { dataId, ...rest } = options;
  const environment = Environment.open({ ...rest, mapBytes: LIMITS.gateMapBytes });
  const stored = environment.get(META_IDENTITY);
  if (stored === undefined) {
    const identity = pack({ format: FORMAT, dataId });
    environment.commitNow((writes) => writes.put(META_IDENTITY, identity));
    return environment;
  }
  const fault = faultOf(unpack(stored) as GateIdentity, dataId);
  if (fault === undefined) return environment;
  void environment.close();
  throw new IdentityError(`the store of permits of data directory ${dataId} ${fault}`);
}

function faultOf({ format, dataId }: GateIdentity, expected: string): string | undefined {
  if (format > FORMAT) {
    return `has format ${format}, this daemon knows up to ${FORMAT}: a newer daemon wrote it; start that one`;
  }
  if (dataId === expected) return undefined;
  return `is that of ${dataId}: its folder was moved or mixed up with another`;
}

/**
 * All records of the gate, in the order of recovery.
 *
 * @throws Error when there is a key that this daemon does not know
 */
export function* gateRecords(environment: Environment): Generator<Entry, void> {
  for (const entry of environment.range(Uint8Array.of(0), Uint8Array.of(255))) {
    const table = entry.key[0] as number;
    if (table === META_TABLE && Buffer.from(entry.key).equals(META_IDENTITY)) continue;
    if (table < FIRST_TABLE || table > LAST_TABLE) {
      throw new Error(
        `the store of permits holds a key this daemon does not know (${Buffer.from(entry.key).toString('hex')}): ` +
          'a newer daemon wrote it; start that one',
      );
    }
    yield entry;
  }
}
