// The answer of /v1/status.
import type { Config } from './config/index.ts';
import { FLUSH_BOUNDS_SECONDS, type FlushSnapshot } from './exchange/flush-histogram.ts';
import { isNative } from './ingress/library.ts';
import type { Ingress } from './ingress/server.ts';
import type { ShardPort } from './shard/shard-port.ts';
import type { UsageService } from './usage/usage-service.ts';

export interface StatusParts {
  readonly config: Config;
  readonly version: string;
  readonly ports: readonly ShardPort[];
  readonly ingress: Ingress | undefined;
  readonly usage: Pick<UsageService, 'stats'>;
}

/** Counters that say how a shard is now. */
const SHARD_NOW = [
  'waiting',
  'scheduled',
  'inFlight',
  'deadLetters',
  'queues',
  'endedBytes',
  'idempotencyKeys',
] as const;
/** What is shown of usage. */
const USAGE = [
  'counters',
  'triggers',
  'eventKeys',
  'dirtyCells',
  'firingsUntold',
  'logBytes',
] as const;
/** Those that say what happened since its start. */
const SHARD_SINCE_START = [
  'expired',
  'cancelled',
  'undelivered',
  'repeated',
  'deadLettersDropped',
  'acceptedThenExpired',
  'refusedByTime',
  'refusedWouldHaveMadeIt',
] as const;

export async function daemonStatus({
  config,
  version,
  ports,
  ingress,
  usage,
}: StatusParts): Promise<object> {
  return {
    version,
    uptimeSec: Math.floor(process.uptime()),
    durability: config.durability,
    transport: isNative() ? 'native' : 'fallback',
    connections: ingress?.connections.size ?? 0,
    connectionsParked: ingress?.connections.parked ?? 0,
    usage: pick(await usage.stats(), USAGE),
    shards: ports.map(({ shard, counters, flushes }) => {
      const { logBytes, oldestAcceptedMs } = counters;
      const flush = flushes.snapshot();
      return {
        shard,
        ...pick(counters, SHARD_NOW),
        ...pick(counters, SHARD_SINCE_START),
        oldestAcceptedMs: oldestAcceptedMs === 0 ? null : oldestAcceptedMs,
        journalBytes: logBytes,
        flushMs: flush.count === 0 ? null : (1_000 * flush.sumSeconds) / flush.count,
        flushP99Ms: flushP99Ms(flush),
      };
    }),
  };
}

function pick<K extends string>(from: Readonly<Record<K, number>>, names: readonly K[]): object {
  return Object.fromEntries(names.map((name) => [name, from[name]]));
}

/** Upper bound of the bucket that holds the 99th of 100 flushes; null before the first, or above all. */
function flushP99Ms({ counts, count }: FlushSnapshot): number | null {
  let seen = 0;
  for (const [index, bound] of FLUSH_BOUNDS_SECONDS.entries()) {
    seen += counts[index] ?? 0;
    if (count > 0 && seen >= 0.99 * count) return 1_000 * bound;
  }
  return null;
}
