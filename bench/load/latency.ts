/** Histograms of latencies in µs, from 1 µs to 1 minute with three digits (HDR histogram). */
import * as hdr from 'hdr-histogram-js';

const HIGHEST_US = 60_000_000;

export function newHistogram(): hdr.Histogram {
  return hdr.build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_US,
    numberOfSignificantValueDigits: 3,
    autoResize: true,
  });
}

export function encodeHistogram(histogram: hdr.Histogram): string {
  return hdr.encodeIntoCompressedBase64(histogram);
}

/** Percentiles in ms of all given histograms together. */
export function percentilesMs(encoded: readonly string[], percents: readonly number[]): number[] {
  const sum = newHistogram();
  for (const text of encoded) sum.add(hdr.decodeFromCompressedBase64(text));
  return percents.map((percent) => sum.getValueAtPercentile(percent) / 1000);
}
