/** All metrics of the daemon: names, help and where each number comes from; those of counters are in message-metrics.ts. */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { Logger } from '../base/logger.ts';
import { errorName } from '../errors.ts';
import { type Counters, encodeStats, INPUT_OP } from '../protocol/exchange.ts';
import { BOUNDS } from './bounds.ts';
import { messageMetrics } from './message-metrics.ts';
import {
  type Histogram,
  histogramSamples,
  type MetricFamily,
  type Sample,
} from './metrics-text.ts';
import { refusedByCode, type ShardStats, type TenantSums, topTenants } from './tenant-stats.ts';

/** What is measured of one shard. */
export interface ShardMeter {
  /** Of its newest exchange. */
  readonly counters: Counters;
  /** Bytes of frames that it has not been given yet. */
  readonly openInputBytes: number;
  /** Seconds from a transaction's commit to its flush. */
  readonly flush: Histogram;
  request(op: number, body: Uint8Array): Promise<string>;
}

/** What is measured of the ingress. */
export interface IngressMeter {
  readonly connections: { readonly size: number; readonly parked: number };
  readonly refused: ReadonlyMap<number, number>;
}

export interface MetricsOptions {
  readonly shards: readonly ShardMeter[];
  readonly ingress: IngressMeter;
  readonly version: string;
  readonly logger: Logger;
  readonly nowMs?: () => number;
}

export class Metrics {
  readonly #options: MetricsOptions;
  readonly #loopDelay: IntervalHistogram;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#loopDelay = monitorEventLoopDelay({ resolution: 10 });
    this.#loopDelay.enable();
  }

  stop(): void {
    this.#loopDelay.disable();
  }

  /** Never rejects: a shard that does not answer is missing in what only it knows. */
  async collect(): Promise<MetricFamily[]> {
    const { shards, ingress, version } = this.#options;
    const answers = await this.#stats();
    return [
      gauge('fairlead_info', 'The version that runs.', [{ labels: { version }, value: 1 }]),
      ...messageMetrics((name) => this.#sum(name)),
      single(
        'fairlead_oldest_message_age_seconds',
        'Age of the oldest message that waits; 0 when none does.',
        this.#oldestAgeSec(),
      ),
      counter(
        'fairlead_messages_refused_total',
        'Messages refused at admission, by error code.',
        [...refusedByCode(answers)].map(([code, value]) => refusal(Number(code), value)),
      ),
      ...this.#tenants(answers),
      {
        name: 'fairlead_flush_seconds',
        type: 'histogram',
        help: 'How long a flush of the journal took.',
        samples: histogramSamples(sumOf(shards.map(({ flush }) => flush))),
      },
      single('fairlead_connections', 'Open client connections.', ingress.connections.size),
      single(
        'fairlead_connections_parked',
        'Connections whose deliveries rest because they read too slowly.',
        ingress.connections.parked,
      ),
      counter(
        'fairlead_frames_refused_total',
        'Client frames that the ingress refused by itself, by error code.',
        [...ingress.refused].map(([code, value]) => refusal(code, value)),
      ),
      ...this.#process(),
    ];
  }

  async #stats(): Promise<ShardStats[]> {
    const body = encodeStats(BOUNDS.tenantsShown);
    const asked = this.#options.shards.map(async (shard): Promise<ShardStats | undefined> => {
      try {
        return JSON.parse(await shard.request(INPUT_OP.stats, body)) as ShardStats;
      } catch (error) {
        this.#options.logger.warn({ err: error }, 'a shard gave no statistics');
        return undefined;
      }
    });
    return (await Promise.all(asked)).filter((answer) => answer !== undefined);
  }

  #sum(name: keyof Counters): number {
    return this.#options.shards.reduce((sum, { counters }) => sum + counters[name], 0);
  }

  #oldestAgeSec(): number {
    const times = this.#options.shards
      .map(({ counters }) => counters.oldestAcceptedMs)
      .filter((acceptedMs) => acceptedMs > 0);
    if (times.length === 0) return 0;
    const nowMs = (this.#options.nowMs ?? Date.now)();
    return Math.max(0, nowMs - Math.min(...times)) / 1000;
  }

  #tenants(answers: readonly ShardStats[]): MetricFamily[] {
    // Without every shard's answer the rest would be counted as other tenants'.
    if (answers.length < this.#options.shards.length) return [];
    const totals: TenantSums = {
      waiting: this.#sum('waiting'),
      inFlight: this.#sum('inFlight'),
      accepted: this.#sum('accepted'),
      delivered: this.#sum('delivered'),
    };
    const top = topTenants(answers, totals, BOUNDS.tenantsShown);
    const samples = (key: keyof TenantSums): Sample[] =>
      [...top].map(([tenant, sums]) => ({ labels: { tenant }, value: sums[key] }));
    const name = 'fairlead_tenant_messages';
    return [
      gauge(`${name}_waiting`, 'Messages that wait, by tenant.', samples('waiting')),
      gauge(`${name}_in_flight`, 'Messages handed out, by tenant.', samples('inFlight')),
      counter(`${name}_accepted_total`, 'Messages accepted, by tenant.', samples('accepted')),
      counter(`${name}_delivered_total`, 'Deliveries, by tenant.', samples('delivered')),
    ];
  }

  #process(): MetricFamily[] {
    const { user, system } = process.cpuUsage();
    const openInput = this.#options.shards.reduce((sum, shard) => sum + shard.openInputBytes, 0);
    const delay = [0.5, 0.99].map((quantile) => ({
      labels: { quantile: `${quantile}` },
      value: this.#loopDelay.percentile(100 * quantile) / 1e9 || 0,
    }));
    // Since the last scrape, so that one bad second does not stay for ever.
    this.#loopDelay.reset();
    return [
      single('fairlead_input_bytes', 'Frames that no exchange has taken yet.', openInput),
      counter('process_cpu_seconds_total', 'CPU time used, user and system.', [
        { value: (user + system) / 1e6 },
      ]),
      single('process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
      gauge('fairlead_event_loop_delay_seconds', 'Delay of the main thread’s loop.', delay),
    ];
  }
}

function counter(name: string, help: string, samples: readonly Sample[]): MetricFamily {
  return { name, type: 'counter', help, samples };
}

function gauge(name: string, help: string, samples: readonly Sample[]): MetricFamily {
  return { name, type: 'gauge', help, samples };
}

function single(name: string, help: string, value: number): MetricFamily {
  return gauge(name, help, [{ value }]);
}

function refusal(code: number, value: number): Sample {
  return { labels: { code: `${code}`, error: errorName(code) }, value };
}

/** Histograms of the same bounds as one. */
function sumOf(histograms: readonly Histogram[]): Histogram {
  const [first, ...others] = histograms;
  if (first === undefined) return { bounds: [], counts: [0], sum: 0 };
  return others.reduce(
    (sum, each) => ({
      bounds: sum.bounds,
      counts: sum.counts.map((count, index) => count + (each.counts[index] ?? 0)),
      sum: sum.sum + each.sum,
    }),
    first,
  );
}
