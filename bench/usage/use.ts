/** `usage/use`, `usage/use-keys`: events of programs a second, in frames over the WebSocket. */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import type { Observer } from '../dispatch.ts';
import { Child } from '../gateways/child.ts';
import { percentilesMs } from '../load/latency.ts';
import { median, significant } from '../statistics.ts';
import { UsageDaemon } from './daemon-usage.ts';
import { frameSums, type UseShape } from './load/use-frames.ts';
import type { UseRun } from './load/use-loop.ts';
import type { UseQuestions } from './load/use-main.ts';

export interface UsePace {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface UseResult {
  readonly scope: 'usage';
  readonly name: 'usage/use' | 'usage/use-keys';
  readonly kind: 'use';
  readonly eventsPerFrame: number;
  readonly tenants: number;
  readonly categories: number;
  /** Frames that wait for their answer. */
  readonly framesUnderWay: number;
  /** Known before it was measured; 0: events had none. */
  readonly liveKeys: number;
  /** How long those took to be counted. */
  readonly filledPerSec: number | null;
  readonly eventsPerSec: number;
  readonly eventsPerSecMin: number;
  readonly eventsPerSecMax: number;
  readonly serverCpuUsPerEvent: number;
  /** Shares of one core. */
  readonly serverMainThreadPct: number;
  readonly serverOtherThreadsPct: number;
  /** From a frame to its answer: it is on disk then. */
  readonly answerP50Ms: number;
  readonly answerP99Ms: number;
  readonly loadGeneratorCpuPct: number;
  readonly rssAnonMiB: number;
  /** Keys sent again at the end, all of them known. */
  readonly repeated: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly loadBefore: number;
}

const PROGRAM = join(import.meta.dirname, 'load', 'use-main.ts');
const SHAPE = { tenants: 100, categories: 4, connections: 4, slots: 16 } as const;
const EVENTS_PER_FRAME = 1000;
/** Counted before it is timed, and then looked at. */
const CHECKED_FRAMES = 5;
const REPEATED_FRAMES = 100;
const US_TO_PCT = 100 / 1e6;

/** @param keys that are live before the first round; 0: events have none */
export async function measureUse(
  keys: number,
  pace: UsePace,
  observer?: Observer,
): Promise<UseResult> {
  const keyed = keys > 0;
  const shape: UseShape = { ...SHAPE, eventsPerFrame: EVENTS_PER_FRAME, keyed };
  const loadBefore = Number((loadavg()[0] ?? 0).toFixed(2));
  const daemon = await UsageDaemon.start(['usage.eventKeysMax=20000000'], observer?.nodeArgs);
  const generator = new Child<UseQuestions>(PROGRAM);
  try {
    await generator.ask('open', daemon.target, shape);
    await generator.ask('fill', CHECKED_FRAMES);
    const check = async () =>
      await daemon.checkRecords(frameSums(shape), await generator.ask('counted'));
    await check();
    const filledPerSec = await fill(generator, keys - CHECKED_FRAMES * EVENTS_PER_FRAME);
    const { eventKeys: liveKeys = 0 } = await daemon.stats();
    const stopObserving = await observer?.start(daemon.process);
    const runs: UseRun[] = [];
    for (let round = 0; round < pace.rounds; round += 1) {
      const { warmUpMs, measureMs } = pace;
      const serverPid = daemon.process.pid;
      runs.push(await generator.ask('run', { warmUpMs, measureMs, serverPid }));
    }
    await stopObserving?.();
    const { rssAnonMiB } = daemon.process.memory();
    const repeated = keyed ? await repeat(generator) : 0;
    await check();
    return {
      scope: 'usage',
      name: keyed ? 'usage/use-keys' : 'usage/use',
      kind: 'use',
      eventsPerFrame: EVENTS_PER_FRAME,
      tenants: shape.tenants,
      categories: shape.categories,
      framesUnderWay: shape.slots,
      liveKeys,
      filledPerSec: keyed ? Math.round(filledPerSec) : null,
      ...figuresOf(runs),
      rssAnonMiB: Math.round(rssAnonMiB),
      repeated,
      seconds: pace.measureMs / 1000,
      rounds: pace.rounds,
      loadBefore,
    };
  } finally {
    await generator.stop();
    await daemon.end();
  }
}

/** @returns events a second */
async function fill(generator: Child<UseQuestions>, events: number): Promise<number> {
  const frames = Math.ceil(Math.max(0, events) / EVENTS_PER_FRAME);
  const startMs = performance.now();
  await generator.ask('fill', frames);
  return (frames * EVENTS_PER_FRAME * 1000) / (performance.now() - startMs);
}

/** Sends frames again, spread over all, the first and the last among them. @returns their events */
async function repeat(generator: Child<UseQuestions>): Promise<number> {
  const last = (await generator.ask('counted')) - 1;
  const count = Math.min(REPEATED_FRAMES, last + 1);
  const step = last / Math.max(1, count - 1);
  const numbers = Array.from({ length: count }, (_, at) => Math.round(at * step));
  await generator.ask('repeat', numbers);
  return numbers.length * EVENTS_PER_FRAME;
}

function figuresOf(runs: readonly UseRun[]) {
  const rates = runs.map(({ events, seconds }) => Math.round(events / seconds));
  const middle = (value: (run: UseRun) => number): number => significant(median(runs.map(value)));
  const latency = runs.map((run) => percentilesMs([run.latency], [50, 99]));
  const ofLatency = (at: number): number =>
    significant(median(latency.map((each) => each[at] as number)));
  return {
    eventsPerSec: Math.round(median(rates)),
    eventsPerSecMin: Math.min(...rates),
    eventsPerSecMax: Math.max(...rates),
    serverCpuUsPerEvent: middle(({ server, events }) => server.processUs / events),
    serverMainThreadPct: middle(
      ({ server, seconds }) => (server.mainThreadUs / seconds) * US_TO_PCT,
    ),
    serverOtherThreadsPct: middle(
      ({ server, seconds }) => ((server.processUs - server.mainThreadUs) / seconds) * US_TO_PCT,
    ),
    answerP50Ms: ofLatency(0),
    answerP99Ms: ofLatency(1),
    loadGeneratorCpuPct: middle(
      ({ generatorCpuUs, seconds }) => (generatorCpuUs / seconds) * US_TO_PCT,
    ),
  };
}
