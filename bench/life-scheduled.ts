/**
 * `life/scheduled/punctual`: how late scheduled messages arrive at a consumer that has credit.
 * `life/scheduled/drain`: how soon all are delivered and settled that are due at one moment.
 */
import { GeneratorProcess } from './generator-process.ts';
import { LIFE_QUEUES, LifeDaemon, lifeShape } from './life-daemon.ts';
import type { ArrivalResult } from './load/arrivals.ts';
import { percentilesMs } from './load/latency.ts';
import { significant } from './statistics.ts';

const MESSAGES_PER_FRAME = 500;
const OUTSTANDING = 20_000;
const CHECKED_FRAMES = 40;
/** Times begin when the checked messages' pace says that all are published, and this much later. */
const LEAD_SHARE = 1.5;
const LEAD_MS = 4_000;
/** Publishing has to be over so long before the first is due, ms. */
const QUIET_MS = 1_000;

interface Lateness {
  readonly p50LateMs: number;
  readonly p99LateMs: number;
  readonly maxLateMs: number;
  /** Delays of the load generator's own event loop meanwhile; they are part of the lateness. */
  readonly generatorDelayP99Ms: number;
  readonly generatorDelayMaxMs: number;
}

export interface PunctualResult extends Lateness {
  readonly scope: 'life';
  readonly name: 'life/scheduled/punctual';
  readonly messages: number;
  readonly queues: number;
  readonly duePerSec: number;
}

export interface DrainResult extends Lateness {
  readonly scope: 'life';
  readonly name: 'life/scheduled/drain';
  readonly messages: number;
  readonly queues: number;
  /** From the moment at which all were due until all were settled. */
  readonly seconds: number;
  readonly messagesPerSec: number;
}

export async function measurePunctual(
  messages: number,
  duePerSec: number,
): Promise<PunctualResult> {
  const { arrival } = await measureArrivals(messages, duePerSec / 1000);
  return {
    scope: 'life',
    name: 'life/scheduled/punctual',
    messages,
    queues: LIFE_QUEUES,
    duePerSec,
    ...latenessOf(arrival),
  };
}

export async function measureDrain(messages: number): Promise<DrainResult> {
  const { arrival, settledSec } = await measureArrivals(messages, null);
  return {
    scope: 'life',
    name: 'life/scheduled/drain',
    messages,
    queues: LIFE_QUEUES,
    seconds: significant(settledSec),
    messagesPerSec: Math.round(messages / settledSec),
    ...latenessOf(arrival),
  };
}

/** @returns what arrived, and seconds from the first time until all were settled */
async function measureArrivals(
  messages: number,
  perMs: number | null,
): Promise<{ arrival: ArrivalResult; settledSec: number }> {
  const daemon = await LifeDaemon.start(1);
  const shape = lifeShape(0, MESSAGES_PER_FRAME, 'at');
  let generator: GeneratorProcess | undefined;
  try {
    const load = { shape, outstanding: OUTSTANDING, consume: true };
    generator = await GeneratorProcess.open({ ...daemon.target, ...load });
    const startMs = performance.now();
    await generator.check(CHECKED_FRAMES);
    const messagesPerMs = (CHECKED_FRAMES * MESSAGES_PER_FRAME) / (performance.now() - startMs);
    await daemon.process.untilEmpty();

    const leadMs = LEAD_MS + (LEAD_SHARE * messages) / messagesPerMs;
    const firstAtMs = Math.ceil(Date.now() + leadMs);
    await generator.schedule(messages / MESSAGES_PER_FRAME, { firstAtMs, perMs });
    const aheadMs = firstAtMs - Date.now();
    if (aheadMs < QUIET_MS) throw new Error(`publishing ended ${aheadMs} ms before the first time`);
    const arrival = await generator.arrive();
    await daemon.process.untilEmpty();
    return { arrival, settledSec: (Date.now() - firstAtMs) / 1000 };
  } finally {
    await generator?.stop();
    await daemon.end();
  }
}

function latenessOf(arrival: ArrivalResult): Lateness {
  const [p50 = 0, p99 = 0] = percentilesMs([arrival.lateness], [50, 99]);
  return {
    p50LateMs: significant(p50),
    p99LateMs: significant(p99),
    maxLateMs: significant(arrival.maxLateMs),
    generatorDelayP99Ms: significant(arrival.loopDelayP99Ms),
    generatorDelayMaxMs: significant(arrival.loopDelayMaxMs),
  };
}
