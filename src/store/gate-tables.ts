/**
 * The environment of permits (DIR/gate): what the gate wrote, one transaction a step.
 *
 *   07 01 … 07 04 marks    08 snapshot:u64 piece:u32 snapshots    09 sequence:u64 log records
 *
 * The records are the core's (docs/exchange.md); here they are only stored, and read back in the
 * order of their keys, which is that of recovery.
 */
import { LIMITS } from '../limits.ts';
import { type Durability, type Entry, Environment } from './environment.ts';

const FIRST_TABLE = 7;
const LAST_TABLE = 9;

export interface GateEnvironmentOptions {
  /** DIR/gate. */
  readonly path: string;
  readonly durability: Durability;
  /** Trust flushed transactions only, as after a power cut. */
  readonly safeRestore?: boolean;
}

/** @throws Error when LMDB cannot open or make the files. */
export function openGateEnvironment(options: GateEnvironmentOptions): Environment {
  return Environment.open({ ...options, mapBytes: LIMITS.gateMapBytes });
}

/**
 * All records of the gate, in the order of recovery.
 *
 * @throws Error when there is a key that this daemon does not know
 */
export function* gateRecords(environment: Environment): Generator<Entry, void> {
  for (const entry of environment.range(Uint8Array.of(0), Uint8Array.of(255))) {
    const table = entry.key[0] as number;
    if (table < FIRST_TABLE || table > LAST_TABLE) {
      throw new Error(
        `the store of permits holds a key this daemon does not know (${Buffer.from(entry.key).toString('hex')}): ` +
          'a newer daemon wrote it; start that one',
      );
    }
    yield entry;
  }
}
