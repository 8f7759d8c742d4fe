/**
 * `usage/dispatch-triggers`: what a message costs a daemon whose tenants have triggers, beside one whose tenants
 * have none. Both daemons are there all the time and take turns; the one that does not run has nothing to do.
 */
import { loadavg } from 'node:os';
import { setUp, shapeOf, TENANTS } from '../dispatch.ts';
import { GeneratorProcess } from '../generator-process.ts';
import type { RunResult } from '../load/generator.ts';
import { tenantName } from '../load/message-shape.ts';
import { median, significant } from '../statistics.ts';
import { type NewTrigger, UsageDaemon, type UsageRow } from './daemon-usage.ts';
import type { UsePace } from './use.ts';

export interface DispatchSide {
  readonly messagesPerSec: number;
  readonly serverCpuUsPerMessage: number;
  readonly serverCpuUsPerMessageMin: number;
  readonly serverCpuUsPerMessageMax: number;
  readonly serverMainThreadPct: number;
}

export interface DispatchTriggersResult {
  readonly scope: 'usage';
  readonly name: 'usage/dispatch-triggers';
  readonly kind: 'dispatch';
  readonly payloadBytes: number;
  readonly messagesPerFrame: number;
  readonly tenants: number;
  readonly triggers: number;
  readonly without: DispatchSide;
  readonly with: DispatchSide;
  /** CPU a message with triggers ÷ without: of the medians, and the median of the turns' own. */
  readonly ratio: number;
  readonly ratioOfTurns: number;
  readonly seconds: number;
  readonly runs: number;
  readonly loadBefore: number;
}

const ROW = { payloadBytes: 160, messagesPerFrame: 100 } as const;
const OUTSTANDING = 26_200;
const CHECKED_FRAMES = 50;
/** What triggers look at, in turn: never reached, so that none of them fires. */
const WATCHED = [
  ['messages-accepted', 'count'],
  ['messages', 'usage'],
  ['message-bytes', 'usage'],
  ['messages-sent', 'count'],
] as const;
const VALUE = 1_000_000_000_000;
const US_TO_PCT = 100 / 1e6;

/** @param pace its rounds are the runs of each side */
export async function measureDispatchTriggers(pace: UsePace): Promise<DispatchTriggersResult> {
  const loadBefore = Number((loadavg()[0] ?? 0).toFixed(2));
  const sides: Side[] = [];
  try {
    sides.push(await openSide(), await openSide());
    const [bare, watched] = sides as [Side, Side];
    const triggers = Array.from({ length: TENANTS }, (_, at) => triggerAt(at));
    const sids = await watched.daemon.makeTriggers(triggers);
    for (const { generator, daemon } of sides) {
      await generator.check(CHECKED_FRAMES);
      await daemon.process.untilEmpty();
    }
    await checkWatched(watched.daemon, triggers, sids);
    for (let run = 0; run < pace.rounds; run += 1) {
      // Who goes first changes, so that what grows with time is in both.
      for (const side of run % 2 === 0 ? [bare, watched] : [watched, bare])
        await runOnce(side, pace);
    }
    await checkWatched(watched.daemon, triggers, sids);
    const [without, with_] = [sideOf(bare.runs), sideOf(watched.runs)];
    const turns = watched.runs.map((run, at) => cpuUs(run) / cpuUs(bare.runs[at] as RunResult));
    return {
      ...{ scope: 'usage', name: 'usage/dispatch-triggers', kind: 'dispatch' },
      ...ROW,
      tenants: TENANTS,
      triggers: triggers.length,
      without,
      with: with_,
      ratio: significant(with_.serverCpuUsPerMessage / without.serverCpuUsPerMessage),
      ratioOfTurns: significant(median(turns)),
      seconds: pace.measureMs / 1000,
      runs: pace.rounds,
      loadBefore,
    };
  } finally {
    for (const { generator, daemon } of sides) {
      await generator.stop();
      await daemon.end();
    }
  }
}

interface Side {
  readonly daemon: UsageDaemon;
  readonly generator: GeneratorProcess;
  readonly runs: RunResult[];
}

async function openSide(): Promise<Side> {
  const daemon = await UsageDaemon.start();
  try {
    await setUp(daemon.process, 1);
    const options = { shape: shapeOf(ROW, 0), outstanding: OUTSTANDING, consume: true };
    const generator = await GeneratorProcess.open({ ...daemon.target, ...options });
    return { daemon, generator, runs: [] };
  } catch (error) {
    await daemon.end();
    throw error;
  }
}

function triggerAt(at: number): NewTrigger {
  const [category, by] = WATCHED[at % WATCHED.length] as (typeof WATCHED)[number];
  return { tenant: tenantName(at % TENANTS), category, by, value: VALUE };
}

async function runOnce(side: Side, { warmUpMs, measureMs }: UsePace): Promise<void> {
  const serverPid = side.daemon.process.pid;
  side.runs.push(await side.generator.run({ warmUpMs, measureMs, serverPid }));
  await side.daemon.process.untilEmpty();
}

/** @throws Error when a trigger does not see what its counter says */
async function checkWatched(
  daemon: UsageDaemon,
  triggers: readonly NewTrigger[],
  sids: readonly string[],
): Promise<void> {
  const rows = await daemon.records('');
  const seen = new Map(
    rows.map((row): [string, UsageRow] => [`${row.account}/${row.category}`, row]),
  );
  for (const [at, { tenant, category, by }] of triggers.entries()) {
    const counted = seen.get(`${tenant}/${category}`)?.[by] ?? 0;
    const watched = await daemon.currentValue(sids[at] as string);
    if (counted === 0 || counted !== watched) {
      throw new Error(`${tenant} ${category} is ${counted}, its trigger sees ${watched}`);
    }
  }
}

function cpuUs({ server, messages }: RunResult): number {
  return server.processUs / messages;
}

function sideOf(runs: readonly RunResult[]): DispatchSide {
  const all = runs.map((run) => significant(cpuUs(run)));
  const middle = (value: (run: RunResult) => number): number => median(runs.map(value));
  return {
    messagesPerSec: Math.round(middle(({ messages, seconds }) => messages / seconds)),
    serverCpuUsPerMessage: significant(middle(cpuUs)),
    serverCpuUsPerMessageMin: Math.min(...all),
    serverCpuUsPerMessageMax: Math.max(...all),
    serverMainThreadPct: significant(
      middle(({ server, seconds }) => (server.mainThreadUs / seconds) * US_TO_PCT),
    ),
  };
}
