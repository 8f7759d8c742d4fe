/**
 * The Prometheus text exposition format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Pure.
 */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface Sample {
  /** Appended to the family's name: `_bucket`, `_sum`, `_count` of a histogram. */
  readonly suffix?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricFamily {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** Writes families in the order given; one without samples is left out. */
export function encodeMetrics(families: readonly MetricFamily[]): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of families) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`);
    for (const sample of samples) {
      lines.push(
        `${name}${sample.suffix ?? ''}${labelsOf(sample.labels)} ${numberOf(sample.value)}`,
      );
    }
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** A histogram's cumulative samples from counts a bucket; the last count is above every bound. */
export function histogramSamples(histogram: Histogram): Sample[] {
  const samples: Sample[] = [];
  let count = 0;
  for (const [index, bucket] of histogram.counts.entries()) {
    count += bucket;
    const bound = histogram.bounds[index];
    const le = bound === undefined ? '+Inf' : numberOf(bound);
    samples.push({ suffix: '_bucket', labels: { le }, value: count });
  }
  samples.push({ suffix: '_sum', value: histogram.sum }, { suffix: '_count', value: count });
  return samples;
}

export interface Histogram {
  /** Ascending upper bounds. */
  readonly bounds: readonly number[];
  /** How many fell into each, not cumulative; one more than bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

function labelsOf(labels: Readonly<Record<string, string>> | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(
    ([name, value]) => `${name}="${escapeLabel(value)}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function numberOf(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return `${value}`;
}
