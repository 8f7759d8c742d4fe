/** /livez, /readyz and /metrics: what a supervisor and a scraper ask. */
import type { HttpReply, Route } from './http-router.ts';
import { encodeMetrics, METRICS_CONTENT_TYPE, type MetricFamily } from './metrics-text.ts';

export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

export interface HealthOptions {
  readonly version: string;
  readonly readiness: () => Readiness;
  readonly collect: () => Promise<MetricFamily[]>;
  /** What /metrics asks for. */
  readonly metricsScope: 'none' | 'platform';
}

export function healthRoutes({
  version,
  readiness,
  collect,
  metricsScope,
}: HealthOptions): Route[] {
  const noStore = { 'cache-control': 'no-store' };
  // Scrapes at the same time share one collection, so that no crowd of them costs the shards more.
  let underway: Promise<MetricFamily[]> | undefined;
  const collectOnce = (): Promise<MetricFamily[]> => {
    underway ??= collect().finally(() => {
      underway = undefined;
    });
    return underway;
  };
  return [
    {
      method: 'GET',
      path: '/livez',
      scope: 'none',
      always: true,
      handler: () => ({ status: 200, body: { status: 'live', version }, headers: noStore }),
    },
    {
      method: 'GET',
      path: '/readyz',
      scope: 'none',
      always: true,
      handler: (): HttpReply => {
        const { ready, reasons } = readiness();
        const body = { status: ready ? 'ready' : 'not ready', reasons };
        return { status: ready ? 200 : 503, body, headers: noStore };
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      scope: metricsScope,
      always: true,
      handler: async (): Promise<HttpReply> => {
        const text = encodeMetrics(await collectOnce());
        return { status: 200, text, headers: { 'content-type': METRICS_CONTENT_TYPE, ...noStore } };
      },
    },
  ];
}
