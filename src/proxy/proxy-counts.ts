// What the proxy counts for its metrics: for each resource how requests ended, and what is under way.

export const ENDINGS = ['1xx', '2xx', '3xx', '4xx', '5xx', 'impeded', 'aborted'] as const;
export type Ending = (typeof ENDINGS)[number];

/** Of a status from 100 to 599. */
export function endingOf(status: number): Ending {
  return ENDINGS[Math.floor(status / 100) - 1] as Ending;
}

export interface ResourceCounts {
  /** By class of status; `impeded`: the gate said no; `aborted`: the client or a time-out ended it before its end. */
  readonly requests: Record<Ending, number>;
  /** By what went wrong. */
  readonly upstreamFailures: Record<string, number>;
  /** Between their pass and their end. */
  underway: number;
  /** For the gate. */
  waiting: number;
}

export function countFailure({ upstreamFailures }: ResourceCounts, kind: string): void {
  upstreamFailures[kind] = (upstreamFailures[kind] ?? 0) + 1;
}

export interface ProxyMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly Sample[];
}

interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export class ProxyCounts {
  readonly #resources = new Map<string, ResourceCounts>();
  /** Refused before a route or a tenant was known, by error code. */
  readonly refused = new Map<number, number>();
  /** Body bytes that are held for requests on their way. */
  heldBytes = 0;

  of(resource: string): ResourceCounts {
    let counts = this.#resources.get(resource);
    if (counts === undefined) {
      const requests = Object.fromEntries(ENDINGS.map((ending) => [ending, 0]));
      counts = {
        requests: requests as Record<Ending, number>,
        upstreamFailures: {},
        underway: 0,
        waiting: 0,
      };
      this.#resources.set(resource, counts);
    }
    return counts;
  }

  refuse(code: number): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }

  metrics(): ProxyMetric[] {
    const resources = [...this.#resources];
    const each = (value: (counts: ResourceCounts) => number): Sample[] =>
      resources.map(([resource, counts]) => ({ labels: { resource }, value: value(counts) }));
    const by = (label: string, values: (counts: ResourceCounts) => object): Sample[] =>
      resources.flatMap(([resource, counts]) =>
        (Object.entries(values(counts)) as [string, number][]).map(([key, value]) => {
          return { labels: { resource, [label]: key }, value };
        }),
      );
    const refused = [...this.refused].map(([code, value]) => ({
      labels: { code: `${code}` },
      value,
    }));
    return [
      counter(
        'fairlead_proxy_requests_total',
        'Proxied requests, by how they ended.',
        by('end', ({ requests }) => requests),
      ),
      counter(
        'fairlead_proxy_upstream_failures_total',
        'Requests that a backend failed.',
        by('what', ({ upstreamFailures }) => upstreamFailures),
      ),
      counter(
        'fairlead_proxy_refused_total',
        'Requests refused before the gate, by code.',
        refused,
      ),
      gauge(
        'fairlead_proxy_under_way',
        'Requests between their pass and their end.',
        each(({ underway }) => underway),
      ),
      gauge(
        'fairlead_proxy_waiting',
        'Requests that wait for the gate.',
        each(({ waiting }) => waiting),
      ),
      gauge('fairlead_proxy_held_bytes', 'Body bytes held for requests on their way.', [
        { value: this.heldBytes },
      ]),
    ];
  }
}

function counter(name: string, help: string, samples: readonly Sample[]): ProxyMetric {
  return { name, type: 'counter', help, samples };
}

function gauge(name: string, help: string, samples: readonly Sample[]): ProxyMetric {
  return { name, type: 'gauge', help, samples };
}
