/** `life/scheduled/memory`: what messages take in memory that are scheduled a week ahead. */
import { MESSAGE_STATUS } from '../src/protocol/kinds.ts';
import { GeneratorProcess } from './generator-process.ts';
import { LifeClient } from './life-client.ts';
import { bytesEach, destinationOf, LIFE_QUEUES, LifeDaemon, lifeShape } from './life-daemon.ts';
import { significant } from './statistics.ts';

const MESSAGES_PER_FRAME = 500;
const OUTSTANDING = 20_000;
/** Sent before anything is read: buffers, caches and heap have their size then. */
const WARM_UP_FRAMES = 400;
const CHECKED_FRAMES = 10;
const WEEK_MS = 7 * 24 * 3_600_000;
/** Due in one millisecond: a million of them within 17 minutes. */
const DUE_PER_MS = 1;
/** Messages asked for by their id: the first of so many frames. */
const ASKED_MAX = 1_000;

export interface MemoryResult {
  readonly scope: 'life';
  readonly name: 'life/scheduled/memory';
  readonly messages: number;
  readonly payloadBytes: number;
  readonly queues: number;
  readonly anonBeforeMiB: number;
  readonly anonAfterMiB: number;
  /** Of the process that scheduled them. */
  readonly anonBytesPerMessage: number;
  /** A new process without, and after kill -9 with all of them. */
  readonly anonFreshMiB: number;
  readonly anonRestartedMiB: number;
  readonly anonRestartedBytesPerMessage: number;
  readonly readySec: number;
  /** Until all were cancelled. */
  readonly cancelSec: number;
}

export async function measureScheduledMemory(messages: number): Promise<MemoryResult> {
  const daemon = await LifeDaemon.start(1);
  const shape = lifeShape(0, MESSAGES_PER_FRAME, 'at');
  let generator: GeneratorProcess | undefined;
  try {
    await warmUp(daemon);
    await daemon.restart();
    const anonFreshMiB = await daemon.restedAnonMiB();
    await warmUp(daemon);
    const anonBeforeMiB = await daemon.restedAnonMiB();
    const frames = messages / MESSAGES_PER_FRAME;
    const load = { outstanding: OUTSTANDING, consume: true, keptIds: frames };
    generator = await GeneratorProcess.open({ ...daemon.target, shape, ...load });
    const firstAtMs = Date.now() + WEEK_MS;
    await generator.schedule(frames, { firstAtMs, perMs: DUE_PER_MS });
    const ids = await generator.firstIds();
    const dueMs = (frame: number): number =>
      firstAtMs + Math.floor((frame * MESSAGES_PER_FRAME) / DUE_PER_MS);
    await expectScheduled(daemon, messages, ids, dueMs);
    const anonAfterMiB = await daemon.restedAnonMiB();
    await generator.stop();

    const readySec = await daemon.restart();
    const anonRestartedMiB = await daemon.restedAnonMiB();
    await expectScheduled(daemon, messages, ids, dueMs);
    const cancelSec = await cancelAll(daemon, messages);
    return {
      scope: 'life',
      name: 'life/scheduled/memory',
      messages,
      payloadBytes: shape.payloadBytes,
      queues: LIFE_QUEUES,
      anonBeforeMiB: Math.round(anonBeforeMiB),
      anonAfterMiB: Math.round(anonAfterMiB),
      anonBytesPerMessage: bytesEach(anonAfterMiB - anonBeforeMiB, messages),
      anonFreshMiB: Math.round(anonFreshMiB),
      anonRestartedMiB: Math.round(anonRestartedMiB),
      anonRestartedBytesPerMessage: bytesEach(anonRestartedMiB - anonFreshMiB, messages),
      readySec: significant(readySec),
      cancelSec: significant(cancelSec),
    };
  } finally {
    await generator?.stop();
    await daemon.end();
  }
}

/** Messages that are due at once, to the same queues, all delivered and settled. */
async function warmUp(daemon: LifeDaemon): Promise<void> {
  const shape = lifeShape(0, MESSAGES_PER_FRAME, 'at');
  const load = { outstanding: OUTSTANDING, consume: true };
  const generator = await GeneratorProcess.open({ ...daemon.target, shape, ...load });
  try {
    await generator.check(CHECKED_FRAMES);
    await generator.publish(WARM_UP_FRAMES);
    await daemon.process.untilEmpty();
  } finally {
    await generator.stop();
  }
}

/** All wait, and those asked for are scheduled for their time. */
async function expectScheduled(
  daemon: LifeDaemon,
  messages: number,
  ids: readonly Uint8Array[],
  dueMs: (frame: number) => number,
): Promise<void> {
  const waiting = await daemon.waiting();
  if (waiting !== messages) throw new Error(`${messages} messages should wait, ${waiting} do`);
  const step = Math.ceil(ids.length / ASKED_MAX);
  const frames = ids.map((_, frame) => frame).filter((frame) => frame % step === 0);
  const client = await LifeClient.open(daemon.target);
  const entries = await client.status(frames.map((frame) => ids[frame] as Uint8Array));
  client.close();
  for (const [at, frame] of frames.entries()) {
    const entry = entries[at];
    if (entry?.status !== MESSAGE_STATUS.scheduled || entry.dueMs !== dueMs(frame)) {
      throw new Error(`frame ${frame}: not scheduled for its time, ${JSON.stringify(entry)}`);
    }
  }
}

/** @returns seconds until none of them waits */
async function cancelAll(daemon: LifeDaemon, messages: number): Promise<number> {
  const startMs = performance.now();
  const cancelled = await daemon.process.cancelAll(destinationOf(0));
  if (cancelled !== messages) throw new Error(`${cancelled} of ${messages} were cancelled`);
  await daemon.process.untilEmpty();
  return (performance.now() - startMs) / 1000;
}
