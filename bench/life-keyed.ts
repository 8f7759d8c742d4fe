/**
 * `life/keyed`: what an idempotency key costs, against the same messages without one in the same
 * run; and after kill -9 whether keys that come again get the first answer and no second delivery.
 */
import { readFileSync } from 'node:fs';
import { LIMITS } from '../src/limits.ts';
import { messageIdAt, messageIdToText } from '../src/protocol/message-id.ts';
import { GeneratorProcess } from './generator-process.ts';
import { LifeClient } from './life-client.ts';
import { bytesEach, LifeDaemon, lifeShape } from './life-daemon.ts';
import { type MessageShape, tenantName } from './load/message-shape.ts';
import { keyOf } from './load/option-field.ts';
import { parseProcessTimes } from './process-times.ts';
import { median, significant } from './statistics.ts';

const MESSAGES_PER_FRAME = 100;
const OUTSTANDING = 20_000;
const CHECKED_FRAMES = 50;
const REPEATED_MAX = 100_000;
/** Settlements reach the disk meanwhile; and deliveries that must not come would have come. */
const SETTLE_MS = 1_000;

export interface KeyedResult {
  readonly scope: 'life';
  readonly name: 'life/keyed';
  /** In the window at the end. */
  readonly keys: number;
  readonly messagesPerFrame: number;
  readonly keyedCpuUsPerMessage: number;
  readonly unkeyedCpuUsPerMessage: number;
  readonly keyedPerSec: number;
  readonly unkeyedPerSec: number;
  readonly rounds: number;
  /** After kill -9. */
  readonly readySec: number;
  /** After the restart, against a daemon that had the same messages without keys. */
  readonly anonBytesPerKey: number;
  readonly anonRestartedMiB: number;
  /** Keys that came again: each was answered with its first id, none was delivered again. */
  readonly repeated: number;
}

interface Round {
  readonly cpuUsPerMessage: number;
  readonly perSec: number;
}

export async function measureKeyed(keys: number, rounds: number): Promise<KeyedResult> {
  const plan = { keys, rounds };
  const without = await withRounds(plan, undefined, async (daemon) => {
    await daemon.restart();
    return await daemon.restedAnonMiB();
  });
  return await withRounds(plan, 'key', async (daemon, measured) => {
    const readySec = await daemon.restart();
    const anonRestartedMiB = await daemon.restedAnonMiB();
    const repeated = await repeatKeys(daemon, measured.firstIds);
    const middle = (of: readonly Round[], value: (round: Round) => number): number =>
      median(of.map(value));
    const cpuUs = ({ cpuUsPerMessage }: Round): number => cpuUsPerMessage;
    const perSec = (round: Round): number => round.perSec;
    return {
      scope: 'life',
      name: 'life/keyed',
      keys,
      messagesPerFrame: MESSAGES_PER_FRAME,
      keyedCpuUsPerMessage: significant(middle(measured.keyed, cpuUs)),
      unkeyedCpuUsPerMessage: significant(middle(measured.unkeyed, cpuUs)),
      keyedPerSec: Math.round(middle(measured.keyed, perSec)),
      unkeyedPerSec: Math.round(middle(measured.unkeyed, perSec)),
      rounds,
      readySec: significant(readySec),
      anonBytesPerKey: bytesEach(anonRestartedMiB - without, keys),
      anonRestartedMiB: Math.round(anonRestartedMiB),
      repeated,
    };
  });
}

interface Measured {
  readonly keyed: readonly Round[];
  readonly unkeyed: readonly Round[];
  /** Message ids, of the first of each frame with keys. */
  readonly firstIds: readonly Uint8Array[];
}

/**
 * Publishes in turn through a generator with the option and one without, each to a destination of
 * its own; the first round of each is not measured. Goes on with `then` when all is settled.
 */
async function withRounds<T>(
  { keys, rounds }: { keys: number; rounds: number },
  option: 'key' | undefined,
  then: (daemon: LifeDaemon, measured: Measured) => Promise<T>,
): Promise<T> {
  const daemon = await LifeDaemon.start(2);
  const generators: GeneratorProcess[] = [];
  try {
    const keptIds = keys / MESSAGES_PER_FRAME;
    for (const [place, shape] of [
      lifeShape(0, MESSAGES_PER_FRAME, option),
      plainShape(),
    ].entries()) {
      const load = { shape, outstanding: OUTSTANDING, consume: true };
      generators.push(
        await GeneratorProcess.open({
          ...daemon.target,
          ...load,
          keptIds: place === 0 ? keptIds : 0,
        }),
      );
    }
    const measured: [Round[], Round[]] = [[], []];
    const frames = Math.floor(keptIds / (rounds + 1));
    const warmUpFrames = keptIds - rounds * frames;
    for (const generator of generators) {
      await generator.check(CHECKED_FRAMES);
      await generator.publish(warmUpFrames - CHECKED_FRAMES);
      await daemon.process.untilEmpty();
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const [place, generator] of generators.entries()) {
        measured[place]?.push(await measureRound(daemon, generator, frames));
      }
    }
    const firstIds = await (generators[0] as GeneratorProcess).firstIds();
    const [keyed, unkeyed] = measured;
    for (const generator of generators) await generator.stop();
    await pause(SETTLE_MS);
    return await then(daemon, { keyed, unkeyed, firstIds });
  } finally {
    for (const generator of generators) await generator.stop();
    await daemon.end();
  }
}

function plainShape(): MessageShape {
  return lifeShape(1, MESSAGES_PER_FRAME);
}

/** Until all of them are settled. */
async function measureRound(
  { process }: LifeDaemon,
  generator: GeneratorProcess,
  frames: number,
): Promise<Round> {
  const cpuUs = (): number =>
    parseProcessTimes(readFileSync(`/proc/${process.pid}/stat`, 'latin1'));
  const messages = frames * MESSAGES_PER_FRAME;
  const [startMs, beforeUs] = [performance.now(), cpuUs()];
  await generator.publish(frames);
  await process.untilEmpty();
  const perSec = (messages * 1000) / (performance.now() - startMs);
  return { cpuUsPerMessage: (cpuUs() - beforeUs) / messages, perSec };
}

/** Publishes keys again, spread over all. @returns how many @throws Error at any other answer */
async function repeatKeys(daemon: LifeDaemon, firstIds: readonly Uint8Array[]): Promise<number> {
  const { destination, tenants } = lifeShape(0, MESSAGES_PER_FRAME, 'key');
  const consumer = await LifeClient.open(daemon.target);
  await consumer.subscribe(destination, LIMITS.creditDefault);
  const publisher = await LifeClient.open(daemon.target);
  const step = Math.ceil((firstIds.length * MESSAGES_PER_FRAME) / REPEATED_MAX);
  let repeated = 0;
  for (let frame = 0; frame < firstIds.length; frame += step) {
    const messages = Array.from({ length: MESSAGES_PER_FRAME }, (_, at) => {
      const sequence = frame * MESSAGES_PER_FRAME + at;
      return {
        tenant: tenantName(sequence % tenants),
        payload: 'again',
        options: { k: keyOf(sequence) },
      };
    });
    const result = await publisher.publish({ destination, messages });
    const first = firstIds[frame] as Uint8Array;
    for (const [at, { index, messageId }] of result.repeated.entries()) {
      const wanted = messageIdToText(messageIdAt(first, at));
      if (index !== at || messageIdToText(messageId) !== wanted) {
        throw new Error(
          `frame ${frame}: key ${at} got ${messageIdToText(messageId)}, not ${wanted}`,
        );
      }
    }
    repeated += result.repeated.length;
    if (result.repeated.length !== MESSAGES_PER_FRAME || result.refused.length > 0) {
      throw new Error(`frame ${frame}: ${result.repeated.length} keys were known`);
    }
  }
  await pause(SETTLE_MS);
  const waiting = await daemon.waiting();
  publisher.close();
  consumer.close();
  if (consumer.delivered > 0 || waiting > 0) {
    throw new Error(`${consumer.delivered} were delivered again, ${waiting} wait`);
  }
  return repeated;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
