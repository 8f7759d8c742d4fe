/**
 * The sides of a gate row in turn, in one run: the daemon, Redis by a client as lean as the daemon's, and
 * Redis by ioredis. Each has load generators of its own, which rest while another side is measured.
 */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import type { Observer } from '../dispatch.ts';
import { Child } from '../gateways/child.ts';
import { percentilesMs } from '../load/latency.ts';
import { median, significant } from '../statistics.ts';
import { GateDaemon, type GateDurability } from './daemon-gate.ts';
import type { PairRun, PairShape, RunOptions } from './load/pair-loop.ts';
import type { PairQuestions } from './load/pairs-main.ts';
import { RedisServer, redisVersion } from './redis.ts';

export interface GatePace {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Generator processes of each side. */
  readonly generators: number;
}

export interface SidePlan {
  readonly durability: GateDurability;
  /** Of one generator. */
  readonly shape: Omit<PairShape, 'tenants'>;
  /** Of one generator. */
  readonly tenants: number;
  readonly pace: GatePace;
  /** With one that looks at the daemon, the daemon alone is measured. */
  readonly observer?: Observer | undefined;
}

/** Rounds of one side; each with a run of every generator at the same time. */
export type SideRuns = readonly (readonly PairRun[])[];

export interface MeasuredSides {
  readonly daemon: SideRuns;
  /** Undefined where Redis is not installed. */
  readonly redis: SideRuns | undefined;
  readonly ioredis: SideRuns | undefined;
  readonly redisVersion: string | undefined;
  /** Of the last minute, before the first round. */
  readonly loadBefore: number;
}

interface Side {
  readonly pid: number;
  readonly generators: readonly Child<PairQuestions>[];
  /** @throws Error when something is held after a round */
  checkEmpty(): Promise<void>;
}

const PROGRAM = join(import.meta.dirname, 'load', 'pairs-main.ts');

export async function measureSides(plan: SidePlan): Promise<MeasuredSides> {
  const version = plan.observer === undefined ? redisVersion() : undefined;
  const loadBefore = Number((loadavg()[0] ?? 0).toFixed(2));
  const closers: (() => Promise<void>)[] = [];
  try {
    const daemon = await openDaemon(plan, closers);
    const others = version === undefined ? undefined : await openRedis(plan, closers);
    const sides = [daemon, ...(others ?? [])];
    const stopObserving = await plan.observer?.start(daemon.daemon);
    const runs: PairRun[][][] = sides.map(() => []);
    for (let round = 0; round < plan.pace.rounds; round += 1) {
      for (const [at, side] of sides.entries())
        (runs[at] as PairRun[][]).push(await run(side, plan));
    }
    await stopObserving?.();
    const [ours, redis, ioredis] = runs;
    return { daemon: ours as SideRuns, redis, ioredis, redisVersion: version, loadBefore };
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function run(side: Side, { pace }: SidePlan): Promise<PairRun[]> {
  const { warmUpMs, measureMs } = pace;
  const options: RunOptions = { warmUpMs, measureMs, serverPid: side.pid };
  const runs = await Promise.all(side.generators.map((child) => child.ask('run', options)));
  await side.checkEmpty();
  return runs;
}

/** Each generator has tenants, and so keys, of its own. */
function shapeOf({ shape, tenants }: SidePlan, generator: number): PairShape {
  const names = Array.from({ length: tenants }, (_, at) => `tenant-${generator}-${at}`);
  return { ...shape, tenants: names };
}

async function openDaemon(
  plan: SidePlan,
  closers: (() => Promise<void>)[],
): Promise<Side & { readonly daemon: GateDaemon['daemon'] }> {
  const shapes = Array.from({ length: plan.pace.generators }, (_, at) => shapeOf(plan, at));
  const tenants = shapes.flatMap((shape) => shape.tenants);
  const gate = await GateDaemon.start(
    plan.durability,
    { ...plan.shape, tenants },
    plan.observer?.nodeArgs,
  );
  closers.push(() => gate.stop());
  const generators = shapes.map(() => generator(closers));
  for (const [at, child] of generators.entries()) {
    const shape = shapes[at] as PairShape;
    await child.ask('checkDaemon', gate.target, shape);
    await gate.untilEmpty();
    await child.ask('openDaemon', gate.target, shape);
  }
  const { daemon, pid } = gate;
  return { daemon, pid, generators, checkEmpty: () => gate.untilEmpty() };
}

/** Two sides on one server: none of them is at work while the other is. */
async function openRedis(plan: SidePlan, closers: (() => Promise<void>)[]): Promise<Side[]> {
  const server = await RedisServer.start(plan.durability === 'strict');
  closers.push(() => server.stop());
  await server.check(shapeOf(plan, 0));
  const { pid, port, scripts } = server;
  const checkEmpty = async (): Promise<void> => {
    const left = await server.keysLeft();
    if (left > 0) throw new Error(`${left} sets of permits are left on Redis`);
  };
  const sides: Side[] = [];
  for (const open of ['openRedis', 'openClient'] as const) {
    const generators: Child<PairQuestions>[] = [];
    for (let at = 0; at < plan.pace.generators; at += 1) {
      const child = generator(closers);
      await child.ask(open, { port, scripts }, shapeOf(plan, at));
      generators.push(child);
    }
    sides.push({ pid, generators, checkEmpty });
  }
  return sides;
}

function generator(closers: (() => Promise<void>)[]): Child<PairQuestions> {
  const child = new Child<PairQuestions>(PROGRAM);
  closers.push(() => child.stop());
  return child;
}

/** Medians of a side's rounds. */
export interface PairSide {
  readonly pairsPerSec: number;
  readonly pairsPerSecMin: number;
  readonly pairsPerSecMax: number;
  readonly serverCpuUsPerPair: number;
  /** Shares of one core. */
  readonly serverMainThreadPct: number;
  readonly serverOtherThreadsPct: number;
  /** From asking until all permits of a request are granted. */
  readonly acquireP50Ms: number;
  readonly acquireP99Ms: number;
  readonly loadGeneratorCpuPct: number;
  readonly loadGeneratorCpuUsPerPair: number;
}

const US_TO_PCT = 100 / 1e6;

export function pairSide(runs: SideRuns): PairSide {
  const rounds = runs.map(roundOf);
  const middle = (value: (round: ReturnType<typeof roundOf>) => number): number =>
    significant(median(rounds.map(value)));
  const rates = rounds.map(({ pairsPerSec }) => Math.round(pairsPerSec));
  return {
    pairsPerSec: Math.round(median(rates)),
    pairsPerSecMin: Math.min(...rates),
    pairsPerSecMax: Math.max(...rates),
    serverCpuUsPerPair: middle((round) => round.serverUsPerSec / round.pairsPerSec),
    serverMainThreadPct: middle((round) => round.mainUsPerSec * US_TO_PCT),
    serverOtherThreadsPct: middle(
      (round) => (round.serverUsPerSec - round.mainUsPerSec) * US_TO_PCT,
    ),
    acquireP50Ms: middle(({ latencyMs }) => latencyMs[0] as number),
    acquireP99Ms: middle(({ latencyMs }) => latencyMs[1] as number),
    loadGeneratorCpuPct: middle((round) => round.generatorUsPerSec * US_TO_PCT),
    loadGeneratorCpuUsPerPair: middle((round) => round.generatorUsPerSec / round.pairsPerSec),
  };
}

/** Joins what the generators measured at the same time; each one saw the whole server. */
function roundOf(runs: readonly PairRun[]) {
  const sum = (value: (run: PairRun) => number): number =>
    runs.reduce((total, one) => total + value(one), 0);
  return {
    pairsPerSec: sum(({ pairs, seconds }) => pairs / seconds),
    serverUsPerSec: sum(({ server, seconds }) => server.processUs / seconds) / runs.length,
    mainUsPerSec: sum(({ server, seconds }) => server.mainThreadUs / seconds) / runs.length,
    generatorUsPerSec: sum(({ generatorCpuUs, seconds }) => generatorCpuUs / seconds),
    latencyMs: percentilesMs(
      runs.map(({ latency }) => latency),
      [50, 99],
    ),
  };
}
