/** What a part tells the metrics: a family with its samples. */
export interface MetricSample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly MetricSample[];
}

export function counterMetric(
  name: string,
  help: string,
  value: number | readonly MetricSample[],
): Metric {
  return { name, type: 'counter', help, samples: samplesOf(value) };
}

export function gaugeMetric(
  name: string,
  help: string,
  value: number | readonly MetricSample[],
): Metric {
  return { name, type: 'gauge', help, samples: samplesOf(value) };
}

function samplesOf(value: number | readonly MetricSample[]): readonly MetricSample[] {
  return typeof value === 'number' ? [{ value }] : value;
}
