/** A daemon of one life row: started, killed and started again on the same data and port. */
import { DaemonProcess, makeDataDirectory, removeDataDirectory } from './daemon.ts';
import { setUp, TENANTS } from './dispatch.ts';
import { InspectorClient } from './inspector.ts';
import type { MessageShape } from './load/message-shape.ts';
import { freePort, untilReady } from './restart.ts';

/** Memory is read when a process had this long to come to rest, before and after a collection. */
const REST_MS = 1_000;
const PAYLOAD_BYTES = 160;
/** Of each tenant: some thousand queues together. */
const SENDERS_PER_TENANT = 40;
export const LIFE_QUEUES = TENANTS * SENDERS_PER_TENANT;

interface StartOptions {
  readonly durability: 'flushed';
  readonly dataDir: string;
  readonly port: number;
  readonly nodeArgs: readonly string[];
}

export class LifeDaemon {
  process: DaemonProcess;
  readonly #options: StartOptions;
  readonly #inspectorPort: number;

  static async start(destinations: number): Promise<LifeDaemon> {
    const dataDir = makeDataDirectory();
    const [port, inspectorPort] = [await freePort(), await freePort()];
    const nodeArgs = [`--inspect=127.0.0.1:${inspectorPort}`];
    const options = { durability: 'flushed', dataDir, port, nodeArgs } as const;
    const daemon = new LifeDaemon(await DaemonProcess.start(options), options, inspectorPort);
    await setUp(daemon.process, destinations);
    return daemon;
  }

  private constructor(process: DaemonProcess, options: StartOptions, inspectorPort: number) {
    this.process = process;
    this.#options = options;
    this.#inspectorPort = inspectorPort;
  }

  /** What a generator needs to know. */
  get target(): { readonly url: string; readonly token: string } {
    const { url, token } = this.process;
    return { url, token };
  }

  /** After kill -9; resolves when it is ready. @returns seconds from the start of the process */
  async restart(): Promise<number> {
    await this.process.kill();
    const { url } = this.process;
    const startMs = performance.now();
    const starting = DaemonProcess.start(this.#options);
    await untilReady(url);
    const readySec = (performance.now() - startMs) / 1000;
    this.process = await starting;
    return readySec;
  }

  async restedAnonMiB(): Promise<number> {
    return await restedAnonMiB(this.process, this.#inspectorPort);
  }

  /** Messages that wait; asks the shard first, as the status shows what its last exchange left. */
  async waiting(): Promise<number> {
    await this.process.explain(destinationOf(0));
    return (await this.process.status()).waiting;
  }

  async end(): Promise<void> {
    await this.process.kill();
    removeDataDirectory(this.#options.dataDir);
  }
}

/** Anonymous memory of a daemon at rest, when V8 has collected what nobody holds any more. */
export async function restedAnonMiB(
  daemon: DaemonProcess,
  inspectorPort: number,
  restMs = REST_MS,
): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, restMs));
  const inspector = await InspectorClient.connect(inspectorPort);
  for (const thread of await inspector.threads()) {
    await thread.send('HeapProfiler.collectGarbage', {});
  }
  inspector.close();
  await new Promise((resolve) => setTimeout(resolve, restMs));
  return daemon.memory().rssAnonMiB;
}

export function destinationOf(place: number): string {
  return `bench-${place}`;
}

export function lifeShape(
  place: number,
  messagesPerFrame: number,
  option?: 'at' | 'key',
): MessageShape {
  return {
    destination: destinationOf(place),
    tenants: TENANTS,
    sendersPerTenant: SENDERS_PER_TENANT,
    payloadBytes: PAYLOAD_BYTES,
    messagesPerFrame,
    ...(option === undefined ? {} : { option }),
  };
}

/** Bytes for each of `count`, from a difference in MiB. */
export function bytesEach(differenceMiB: number, count: number): number {
  return Math.round((differenceMiB * 1024 * 1024 * 10) / count) / 10;
}
