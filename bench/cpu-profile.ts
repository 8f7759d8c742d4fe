/** Sums up a CPU profile of V8 (`.cpuprofile`). */

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  /** µs since the sample before. */
  readonly timeDeltas: readonly number[];
}

export interface SelfTime {
  /** Function, file and line. */
  readonly name: string;
  /** Of the profile's whole time, idle time included. */
  readonly percent: number;
}

/** Time in each function itself, the most first. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): SelfTime[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  let totalUs = 0;
  for (const [at, id] of samples.entries()) {
    // A sample stands for the time until the next one.
    const us = timeDeltas[at + 1] ?? 0;
    const name = names.get(id) ?? 'unknown';
    times.set(name, (times.get(name) ?? 0) + us);
    totalUs += us;
  }
  return [...times]
    .map(([name, us]) => ({ name, percent: totalUs === 0 ? 0 : (100 * us) / totalUs }))
    .sort((a, b) => b.percent - a.percent);
}

function nameOf({
  functionName,
  url,
  lineNumber,
}: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? 'anonymous' : functionName;
  if (url === '') return name;
  return `${name} (${url.split('/').slice(-2).join('/')}:${lineNumber + 1})`;
}
