/**
 * `usage/firing-latency`: from the answer to an event that crosses a trigger's value to the arrival of the
 * callback, one after another and by the clock; beside it the same of a process that does nothing else.
 */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { Child } from '../gateways/child.ts';
import { percentilesMs } from '../load/latency.ts';
import { processTimes } from '../process-times.ts';
import { significant } from '../statistics.ts';
import { UsageDaemon } from './daemon-usage.ts';
import type { BareQuestions } from './load/bare-main.ts';
import type { FiringRun } from './load/firing-loop.ts';
import type { FiringQuestions } from './load/firing-main.ts';
import { FIRING_CATEGORY } from './load/firing-sender.ts';
import { useTenant } from './load/use-frames.ts';

export interface FiringSide {
  readonly firings: number;
  readonly firingsPerSec: number;
  /** From an event to its answer, when it is on disk. */
  readonly answerP50Ms: number;
  readonly answerP99Ms: number;
  /** From that answer to the callback's arrival. */
  readonly callbackP50Ms: number;
  readonly callbackP99Ms: number;
  readonly callbackMaxMs: number;
  /** User and system time of all threads of the daemon, or of what stands beside it. */
  readonly cpuUsPerFiring: number;
}

export interface FiringResult {
  readonly scope: 'usage';
  readonly name: 'usage/firing-latency';
  readonly kind: 'firing';
  /** Each with a trigger and an endpoint. */
  readonly tenants: number;
  readonly oneByOne: FiringSide;
  readonly clocked: FiringSide;
  /** One write that waits for the disk and one request, by the clock: what the machine takes for itself. */
  readonly bare: FiringSide;
  readonly flushMs: number;
  readonly loadBefore: number;
}

const LOAD = join(import.meta.dirname, 'load', 'firing-main.ts');
const BARE = join(import.meta.dirname, 'load', 'bare-main.ts');
const TENANTS = 100;
const PER_SEC = 200;
const WARM_UP = 0.2;

/** @param firings of each of the two ways */
export async function measureFiring(firings: number): Promise<FiringResult> {
  const loadBefore = Number((loadavg()[0] ?? 0).toFixed(2));
  const daemon = await UsageDaemon.start(['outbound.allow=["127.0.0.0/8"]']);
  const child = new Child<FiringQuestions>(LOAD);
  try {
    const port = await child.ask('listen');
    await child.ask('openDaemon', daemon.target, TENANTS);
    const tenants = Array.from({ length: TENANTS }, (_, index) => useTenant(index));
    await daemon.makeTriggers(
      tenants.map((tenant) => {
        const callbacks = [{ url: `http://127.0.0.1:${port}/${tenant}` }];
        const at = { category: FIRING_CATEGORY, by: 'usage', value: 1, step: 1 } as const;
        return { tenant, ...at, callbacks };
      }),
    );
    const warmUp = Math.ceil(firings * WARM_UP);
    await child.ask('oneByOne', warmUp);
    const { pid } = daemon.process;
    const oneByOne = await measured(pid, () => child.ask('oneByOne', firings));
    const clocked = await measured(pid, () => child.ask('clocked', firings, PER_SEC));
    await checkSum(daemon, warmUp + 2 * firings);
    const { flushMs } = await daemon.process.status();
    return {
      scope: 'usage',
      name: 'usage/firing-latency',
      kind: 'firing',
      tenants: TENANTS,
      ...{ oneByOne, clocked, bare: await measureBare(child, port, firings) },
      flushMs: significant(flushMs ?? 0),
      loadBefore,
    };
  } finally {
    await child.stop();
    await daemon.end();
  }
}

async function measureBare(
  child: Child<FiringQuestions>,
  port: number,
  firings: number,
): Promise<FiringSide> {
  const bare = new Child<BareQuestions>(BARE);
  try {
    const to = await bare.ask('listen', `http://127.0.0.1:${port}`);
    await child.ask('openBare', to, TENANTS);
    await child.ask('clocked', Math.ceil(firings * WARM_UP), PER_SEC);
    return await measured(bare.pid, () => child.ask('clocked', firings, PER_SEC));
  } finally {
    await bare.ask('end').catch(() => {});
    await bare.stop();
  }
}

async function checkSum(daemon: UsageDaemon, events: number): Promise<void> {
  const rows = await daemon.records(`category=${FIRING_CATEGORY}`);
  const usage = rows.reduce((sum, row) => sum + row.usage, 0);
  if (usage !== events) throw new Error(`${events} events were sent, ${usage} are counted`);
}

async function measured(pid: number, run: () => Promise<FiringRun>): Promise<FiringSide> {
  const before = processTimes(pid).processUs;
  const { firings, seconds, answer, callback } = await run();
  const cpuUsPerFiring = Math.round((processTimes(pid).processUs - before) / firings);
  const [answerP50Ms, answerP99Ms] = percentilesMs([answer], [50, 99]) as [number, number];
  const [callbackP50Ms, callbackP99Ms, callbackMaxMs] = percentilesMs(
    [callback],
    [50, 99, 100],
  ) as [number, number, number];
  const firingsPerSec = significant(firings / seconds);
  return {
    ...{ firings, firingsPerSec, answerP50Ms, answerP99Ms },
    ...{ callbackP50Ms, callbackP99Ms, callbackMaxMs, cpuUsPerFiring },
  };
}
