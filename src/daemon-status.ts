// The answer of /v1/status.
import type { Config } from './config/index.ts';
import { isNative } from './ingress/library.ts';
import type { Ingress } from './ingress/server.ts';
import { FLUSH_BOUNDS_SECONDS, type FlushSnapshot } from './shard/flush-histogram.ts';
import type { ShardPort } from './shard/shard-port.ts';

export interface StatusParts {
  readonly config: Config;
  readonly version: string;
  readonly ports: readonly ShardPort[];
  readonly ingress: Ingress | undefined;
}

export async function daemonStatus({
  config,
  version,
  ports,
  ingress,
}: StatusParts): Promise<object> {
  return {
    version,
    uptimeSec: Math.floor(process.uptime()),
    durability: config.durability,
    transport: isNative() ? 'native' : 'fallback',
    connections: ingress?.connections.size ?? 0,
    connectionsParked: ingress?.connections.parked ?? 0,
    shards: ports.map(({ shard, counters, flushes }) => {
      const { waiting, inFlight, queues, logBytes, oldestAcceptedMs } = counters;
      const flush = flushes.snapshot();
      return {
        shard,
        waiting,
        inFlight,
        queues,
        oldestAcceptedMs: oldestAcceptedMs === 0 ? null : oldestAcceptedMs,
        journalBytes: logBytes,
        flushMs: flush.count === 0 ? null : (1_000 * flush.sumSeconds) / flush.count,
        flushP99Ms: flushP99Ms(flush),
      };
    }),
  };
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
