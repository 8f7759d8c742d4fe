/**
 * `--scope dispatch`: publish → flush → deliver → settle through the daemon as it is shipped.
 * A row has a fresh daemon on an empty data directory, is checked before it is timed, and has to
 * leave nothing waiting.
 */
import { DaemonProcess, makeDataDirectory, removeDataDirectory } from './daemon.ts';
import type { DispatchRow } from './dispatch-rows.ts';
import { GeneratorProcess } from './generator-process.ts';
import type { RunResult } from './load/generator.ts';
import { percentilesMs } from './load/latency.ts';
import { type MessageShape, tenantName } from './load/message-shape.ts';
import { median, significant } from './statistics.ts';

export const TENANTS = 100;
const SETS = 4;
const CHECKED_MESSAGES = 5_000;
/** An open loop keeps its pace for a while before it is measured. */
const HALF_LOAD = 0.5;

export interface Pace {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Generator processes, each with a publisher and a consumer. */
  readonly generators: number;
}

/** Looks at the daemon while the closed loop of a row runs. */
export interface Observer {
  readonly nodeArgs: readonly string[];
  /** Called before the rounds; what it returns is called after them. */
  start(daemon: DaemonProcess): Promise<() => Promise<void>>;
}

export interface DispatchResult {
  readonly scope: 'dispatch';
  readonly name: string;
  readonly loop: 'closed' | 'open';
  readonly durability: string;
  readonly payloadBytes: number;
  readonly messagesPerFrame: number;
  readonly tenants: number;
  readonly sets: number;
  /** Closed loop: messages published and not delivered, at most. */
  readonly outstanding: number | null;
  readonly offeredPerSec: number | null;
  readonly messagesPerSec: number;
  readonly messagesPerSecMin: number;
  readonly messagesPerSecMax: number;
  readonly serverCpuUsPerMessage: number;
  readonly serverMainThreadPct: number;
  readonly serverOtherThreadsPct: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly flushMs: number | null;
  readonly rssMiB: number;
  readonly rssAnonMiB: number;
  readonly loadGeneratorCpuPct: number;
  readonly loadGeneratorCpuUsPerMessage: number;
  readonly generators: number;
  readonly seconds: number;
  readonly rounds: number;
}

/** Measures one row; its open loop follows on the same daemon. */
export async function* measureRow(
  row: DispatchRow,
  pace: Pace,
  observer?: Observer,
): AsyncGenerator<DispatchResult, void> {
  const dataDir = makeDataDirectory();
  const { durability } = row;
  const { nodeArgs } = observer ?? {};
  const daemon = await DaemonProcess.start({ durability, dataDir, nodeArgs });
  const generators: GeneratorProcess[] = [];
  try {
    await setUp(daemon, pace.generators);
    for (let at = 0; at < pace.generators; at += 1) {
      const outstanding = Math.ceil(row.outstanding / pace.generators);
      const { url, token } = daemon;
      const options = { url, token, shape: shapeOf(row, at), outstanding, consume: true };
      generators.push(await GeneratorProcess.open(options));
    }
    const frames = Math.ceil(CHECKED_MESSAGES / row.messagesPerFrame);
    for (const generator of generators) await generator.check(frames);
    await daemon.untilEmpty();
    const stopObserving = await observer?.start(daemon);
    const closed = await measure(row, pace, daemon, generators);
    await stopObserving?.();
    yield closed;
    if (row.halfLoad && observer === undefined) {
      const ratePerSec = closed.messagesPerSec * HALF_LOAD;
      yield await measure(row, pace, daemon, generators, ratePerSec);
    }
  } finally {
    for (const generator of generators) await generator.stop();
    await daemon.stop();
    removeDataDirectory(dataDir);
  }
}

/** The destinations without a quota, the sets, and the tenants in turn in the sets. */
export async function setUp(daemon: DaemonProcess, destinations: number): Promise<void> {
  for (let at = 0; at < destinations; at += 1) await daemon.put('destinations', `bench-${at}`, {});
  for (let set = 0; set < SETS; set += 1) await daemon.put('sets', `set-${set}`, {});
  const tenants = Array.from({ length: TENANTS }, (_, tenant) =>
    daemon.put('tenants', tenantName(tenant), { set: `set-${tenant % SETS}` }),
  );
  await Promise.all(tenants);
}

export function shapeOf(
  row: Pick<DispatchRow, 'payloadBytes' | 'messagesPerFrame'>,
  generator: number,
): MessageShape {
  const { payloadBytes, messagesPerFrame } = row;
  return { destination: `bench-${generator}`, tenants: TENANTS, payloadBytes, messagesPerFrame };
}

async function measure(
  row: DispatchRow,
  pace: Pace,
  daemon: DaemonProcess,
  generators: readonly GeneratorProcess[],
  offeredPerSec?: number,
): Promise<DispatchResult> {
  const rounds: Round[] = [];
  let rssMiB = 0;
  let rssAnonMiB = 0;
  const ratePerSec = offeredPerSec === undefined ? undefined : offeredPerSec / generators.length;
  for (let round = 0; round < pace.rounds; round += 1) {
    const { warmUpMs, measureMs } = pace;
    const options = { warmUpMs, measureMs, ratePerSec, serverPid: daemon.pid };
    rounds.push(roundOf(await Promise.all(generators.map((generator) => generator.run(options)))));
    const memory = daemon.memory();
    rssMiB = Math.max(rssMiB, memory.rssMiB);
    rssAnonMiB = Math.max(rssAnonMiB, memory.rssAnonMiB);
    await daemon.untilEmpty();
  }
  const middle = (value: (round: Round) => number): number =>
    significant(median(rounds.map(value)));
  const rates = rounds.map(({ messagesPerSec }) => Math.round(messagesPerSec));
  const { flushMs } = await daemon.status();
  return {
    scope: 'dispatch',
    name: offeredPerSec === undefined ? row.name : `${row.name}/half load`,
    loop: offeredPerSec === undefined ? 'closed' : 'open',
    durability: row.durability,
    payloadBytes: row.payloadBytes,
    messagesPerFrame: row.messagesPerFrame,
    tenants: TENANTS,
    sets: SETS,
    outstanding: offeredPerSec === undefined ? row.outstanding : null,
    offeredPerSec: offeredPerSec === undefined ? null : Math.round(offeredPerSec),
    messagesPerSec: Math.round(median(rates)),
    messagesPerSecMin: Math.min(...rates),
    messagesPerSecMax: Math.max(...rates),
    serverCpuUsPerMessage: middle((round) => round.serverCpuUsPerMessage),
    serverMainThreadPct: middle((round) => round.serverMainThreadPct),
    serverOtherThreadsPct: middle((round) => round.serverOtherThreadsPct),
    p50Ms: middle(({ latencyMs }) => latencyMs[0] as number),
    p99Ms: middle(({ latencyMs }) => latencyMs[1] as number),
    p999Ms: middle(({ latencyMs }) => latencyMs[2] as number),
    ackP50Ms: middle(({ ackMs }) => ackMs[0] as number),
    ackP99Ms: middle(({ ackMs }) => ackMs[1] as number),
    flushMs: flushMs === null ? null : significant(flushMs),
    rssMiB: Math.round(rssMiB),
    rssAnonMiB: Math.round(rssAnonMiB),
    loadGeneratorCpuPct: middle((round) => round.generatorPct),
    loadGeneratorCpuUsPerMessage: middle((round) => round.generatorCpuUsPerMessage),
    generators: generators.length,
    seconds: pace.measureMs / 1000,
    rounds: pace.rounds,
  };
}

interface Round {
  readonly messagesPerSec: number;
  readonly serverCpuUsPerMessage: number;
  readonly serverMainThreadPct: number;
  readonly serverOtherThreadsPct: number;
  readonly generatorPct: number;
  readonly generatorCpuUsPerMessage: number;
  readonly latencyMs: readonly number[];
  readonly ackMs: readonly number[];
}

/** Joins what the generators measured at the same time; each one saw the whole server. */
function roundOf(results: readonly RunResult[]): Round {
  const sum = (value: (result: RunResult) => number): number =>
    results.reduce((total, result) => total + value(result), 0);
  const messagesPerSec = sum(({ messages, seconds }) => messages / seconds);
  const mean = (value: (result: RunResult) => number): number => sum(value) / results.length;
  const serverUsPerSec = mean(({ server, seconds }) => server.processUs / seconds);
  const mainUsPerSec = mean(({ server, seconds }) => server.mainThreadUs / seconds);
  const generatorUsPerSec = sum(({ generatorCpuUs, seconds }) => generatorCpuUs / seconds);
  const usToPct = 100 / 1e6;
  return {
    messagesPerSec,
    serverCpuUsPerMessage: serverUsPerSec / messagesPerSec,
    serverMainThreadPct: mainUsPerSec * usToPct,
    serverOtherThreadsPct: (serverUsPerSec - mainUsPerSec) * usToPct,
    generatorPct: generatorUsPerSec * usToPct,
    generatorCpuUsPerMessage: generatorUsPerSec / messagesPerSec,
    latencyMs: percentilesMs(
      results.map(({ latency }) => latency),
      [50, 99, 99.9],
    ),
    ackMs: percentilesMs(
      results.map(({ ackLatency }) => ackLatency),
      [50, 99],
    ),
  };
}
