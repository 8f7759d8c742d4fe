// What the metrics read of the daemon's parts.

import { FLUSH_BOUNDS_SECONDS } from './exchange/flush-histogram.ts';
import type { GateService } from './gate/gate-service.ts';
import { gateMetrics } from './gate/gate-totals.ts';
import type { ShardMeter } from './ingress/metrics.ts';
import type { ShardPort } from './shard/shard-port.ts';

export async function gateMetricsOf({
  port,
}: GateService): Promise<ReturnType<typeof gateMetrics>> {
  return gateMetrics(await port.counters(), port.flushes.snapshot());
}

export function meterOf(port: ShardPort): ShardMeter {
  return {
    get counters() {
      return port.counters;
    },
    get openInputBytes() {
      return port.inputBytes;
    },
    get flush() {
      const { counts, sumSeconds } = port.flushes.snapshot();
      return { bounds: FLUSH_BOUNDS_SECONDS, counts, sum: sumSeconds };
    },
    request: (op, body) => port.request(op, body),
  };
}
