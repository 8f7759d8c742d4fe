/**
 * What a proxy adds to the latency of a request while it has half of the requests it can take, in turns with others:
 * each has an open loop, and at the same time one process sends a part of that to the backend alone, so that what
 * the machine and the generator add is in both.
 */
import type { Child } from '../gateways/child.ts';
import { percentilesMs } from '../load/latency.ts';
import { median, significant } from '../statistics.ts';
import type { HttpLoadQuestions } from './load/http-main.ts';
import { type ProxyShape, requestOf } from './proxy-shapes.ts';
import type { GatePace } from './sides.ts';

/** Requests to the backend alone beside those through the proxy, of whose rate this is a part. */
const DIRECT_PART = 0.25;
const DIRECT_CONNECTIONS = 16;

export interface HalfLoad {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly directP50Ms: number;
  readonly directP99Ms: number;
  /** Median of the rounds' differences. */
  readonly addedP99Ms: number;
}

export interface LoadedTarget {
  readonly port: number;
  readonly ratePerSec: number;
}

export interface HalfLoadTerms {
  readonly shape: ProxyShape;
  readonly pace: GatePace;
  readonly directPort: number;
  readonly bodyBytes: number;
  readonly connections: number;
}

/** Each target once a round. */
export async function halfLoads<N extends string>(
  load: Child<HttpLoadQuestions>,
  targets: Readonly<Record<N, LoadedTarget>>,
  terms: HalfLoadTerms,
): Promise<Record<N, HalfLoad>> {
  const entries = Object.entries(targets) as [N, LoadedTarget][];
  const found = new Map<N, number[][]>(entries.map(([name]) => [name, []]));
  for (let round = 0; round < terms.pace.rounds; round += 1) {
    for (const [name, target] of entries)
      found.get(name)?.push(await oneRound(load, target, terms));
  }
  const results = entries.map(([name]) => [name, summed(found.get(name) ?? [])] as const);
  return Object.fromEntries(results) as Record<N, HalfLoad>;
}

/** @returns p50 and p99 through the proxy, then of the backend alone */
async function oneRound(
  load: Child<HttpLoadQuestions>,
  { port, ratePerSec }: LoadedTarget,
  { shape, pace, directPort, bodyBytes, connections }: HalfLoadTerms,
): Promise<number[]> {
  const loop = { request: requestOf(shape), bodyBytes };
  const direct = { port: directPort, connections: DIRECT_CONNECTIONS };
  const loops = [
    { ...loop, port, connections, ratePerSec },
    { ...loop, ...direct, ratePerSec: ratePerSec * DIRECT_PART },
  ];
  const { warmUpMs, measureMs } = pace;
  const results = await load.ask('run', { loops, warmUpMs, measureMs });
  return results.flatMap(({ latency }) => percentilesMs([latency], [50, 99]));
}

function summed(rounds: readonly number[][]): HalfLoad {
  const middle = (at: number): number => significant(median(rounds.map((of) => of[at] as number)));
  return {
    p50Ms: middle(0),
    p99Ms: middle(1),
    directP50Ms: middle(2),
    directP99Ms: middle(3),
    addedP99Ms: significant(median(rounds.map((of) => (of[1] as number) - (of[3] as number)))),
  };
}
