/**
 * `--scope restart`: how soon a daemon with a million waiting messages serves again after kill -9,
 * and how much memory it has then. Afterwards a consumer has to get every one of them once.
 */

import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DaemonProcess, makeDataDirectory, removeDataDirectory } from './daemon.ts';
import { setUp, shapeOf, TENANTS } from './dispatch.ts';
import { GeneratorProcess } from './generator-process.ts';
import { sumBelow } from './load/generator.ts';
import type { ProcessMemory } from './process-times.ts';
import { significant } from './statistics.ts';

const MESSAGES_PER_FRAME = 500;
const OUTSTANDING = 20_000;
const READY_POLL_MS = 5;
const MIB = 1024 * 1024;

export interface RestartResult {
  readonly scope: 'restart';
  readonly name: string;
  readonly messages: number;
  readonly payloadBytes: number;
  readonly tenants: number;
  /** From the start of the process until /readyz answers 200. */
  readonly readySec: number;
  readonly rssAnonMiB: number;
  readonly rssMiB: number;
  /** Of the files, holes left out. */
  readonly dataMiB: number;
  /** Until a consumer had and settled all of them. */
  readonly drainSec: number;
}

export async function measureRestart(messages: number): Promise<RestartResult> {
  const dataDir = makeDataDirectory();
  const options = { durability: 'flushed', dataDir, port: await freePort() } as const;
  const shape = shapeOf({ payloadBytes: 160, messagesPerFrame: MESSAGES_PER_FRAME }, 0);
  let daemon = await DaemonProcess.start(options);
  let generator: GeneratorProcess | undefined;
  try {
    await setUp(daemon, 1);
    await daemon.put('destinations', shape.destination, { paused: true });
    const { url, token } = daemon;
    const load = { url, token, shape, outstanding: OUTSTANDING };
    generator = await GeneratorProcess.open({ ...load, consume: false });
    await generator.publish(messages / MESSAGES_PER_FRAME);
    await expectWaiting(daemon, messages);
    await daemon.kill();
    await generator.stop();

    const startMs = performance.now();
    const starting = DaemonProcess.start(options);
    await untilReady(url);
    const readySec = (performance.now() - startMs) / 1000;
    daemon = await starting;
    const memory: ProcessMemory = daemon.memory();
    const dataMiB = diskBytes(dataDir) / MIB;
    // The status shows what the shard's last exchange left, so there has to be one.
    await daemon.explain(shape.destination);
    await expectWaiting(daemon, messages);

    await daemon.put('destinations', shape.destination, {});
    const drainStartMs = performance.now();
    generator = await GeneratorProcess.open({ ...load, token: daemon.token, consume: true });
    await generator.consume(messages, sumBelow(messages));
    await daemon.untilEmpty();
    return {
      scope: 'restart',
      name: `restart/${messages}`,
      messages,
      payloadBytes: shape.payloadBytes,
      tenants: TENANTS,
      readySec: significant(readySec),
      rssAnonMiB: Math.round(memory.rssAnonMiB),
      rssMiB: Math.round(memory.rssMiB),
      dataMiB: Math.round(dataMiB),
      drainSec: significant((performance.now() - drainStartMs) / 1000),
    };
  } finally {
    await generator?.stop();
    await daemon.kill();
    removeDataDirectory(dataDir);
  }
}

async function expectWaiting(daemon: DaemonProcess, messages: number): Promise<void> {
  const { waiting } = await daemon.status();
  if (waiting !== messages) throw new Error(`${messages} messages should wait, ${waiting} do`);
}

export async function untilReady(url: string): Promise<void> {
  for (;;) {
    const ready = await fetch(`${url}/readyz`).then(
      async (response) => {
        await response.arrayBuffer();
        return response.status === 200;
      },
      () => false,
    );
    if (ready) return;
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Of all files in it, holes left out. */
export function diskBytes(directory: string): number {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).reduce(
    (sum, name) => sum + statSync(join(directory, name)).blocks * 512,
    0,
  );
}
