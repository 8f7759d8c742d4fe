/**
 * `--scope generator`: what the load generator costs, measured against a stand-in that does no
 * work of its own. It bounds what the dispatch rows can show on a machine that both share.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { type Pace, shapeOf } from './dispatch.ts';
import type { DispatchRow } from './dispatch-rows.ts';
import { GeneratorProcess } from './generator-process.ts';
import type { RunResult } from './load/generator.ts';
import { percentilesMs } from './load/latency.ts';
import type { MessageShape } from './load/message-shape.ts';
import { median, significant } from './statistics.ts';

/** Well below what any row saturates at. */
const FLOOR_FRAMES_PER_SEC = 2_000;

export interface GeneratorResult {
  readonly scope: 'generator';
  readonly name: string;
  readonly payloadBytes: number;
  readonly messagesPerFrame: number;
  readonly outstanding: number;
  readonly messagesPerSec: number;
  readonly loadGeneratorCpuUsPerMessage: number;
  readonly loadGeneratorCpuPct: number;
  readonly sinkCpuUsPerMessage: number;
  /** An open loop at this rate through the stand-in: the latency that machine and generator have alone. */
  readonly floorOfferedPerSec: number;
  readonly floorP50Ms: number;
  readonly floorP99Ms: number;
  readonly seconds: number;
  readonly rounds: number;
}

export async function measureGenerator(row: DispatchRow, pace: Pace): Promise<GeneratorResult> {
  const shape = shapeOf(row, 0);
  const { child, url, pid } = await startSink(shape);
  let generator: GeneratorProcess | undefined;
  try {
    const { outstanding } = row;
    generator = await GeneratorProcess.open({ url, token: '-', shape, outstanding, consume: true });
    const runs: RunResult[] = [];
    for (let round = 0; round < pace.rounds; round += 1) {
      const { warmUpMs, measureMs } = pace;
      runs.push(await generator.run({ warmUpMs, measureMs, serverPid: pid }));
    }
    const floorPerSec = FLOOR_FRAMES_PER_SEC * row.messagesPerFrame;
    const pacing = { ...pace, ratePerSec: floorPerSec, serverPid: pid };
    const { latency } = await generator.run(pacing);
    const [floorP50Ms = 0, floorP99Ms = 0] = percentilesMs([latency], [50, 99]);
    const middle = (value: (run: RunResult) => number): number =>
      significant(median(runs.map(value)));
    return {
      scope: 'generator',
      name: `generator/${row.payloadBytes}B/${row.messagesPerFrame}`,
      payloadBytes: row.payloadBytes,
      messagesPerFrame: row.messagesPerFrame,
      outstanding,
      messagesPerSec: Math.round(median(runs.map((run) => run.messages / run.seconds))),
      loadGeneratorCpuUsPerMessage: middle((run) => run.generatorCpuUs / run.messages),
      loadGeneratorCpuPct: middle((run) => run.generatorCpuUs / run.seconds / 1e4),
      sinkCpuUsPerMessage: middle((run) => run.server.processUs / run.messages),
      floorOfferedPerSec: floorPerSec,
      floorP50Ms: significant(floorP50Ms),
      floorP99Ms: significant(floorP99Ms),
      seconds: pace.measureMs / 1000,
      rounds: pace.rounds,
    };
  } finally {
    await generator?.stop();
    child.kill();
  }
}

async function startSink(
  shape: MessageShape,
): Promise<{ child: ChildProcess; url: string; pid: number }> {
  const hook = pathToFileURL(join(import.meta.dirname, '..', 'scripts', 'ts-hook.mjs')).href;
  const program = join(import.meta.dirname, 'load', 'sink.ts');
  const child = spawn(process.execPath, ['--import', hook, program, JSON.stringify(shape)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, ...(JSON.parse(line) as { url: string; pid: number }) };
}
