/** The daemon as the guarded side of a gate row: one resource, a hundred tenants. */
import { DaemonProcess, makeDataDirectory, removeDataDirectory } from '../daemon.ts';
import type { PairShape } from './load/pair-loop.ts';

export const GATE_DURABILITIES = ['strict', 'relaxed'] as const;
export type GateDurability = (typeof GATE_DURABILITIES)[number];

const POLL_MS = 10;
const EMPTY_TIMEOUT_MS = 10_000;

export class GateDaemon {
  readonly daemon: DaemonProcess;
  readonly #dataDir: string;

  static async start(
    durability: GateDurability,
    { resource, tenants, limit }: Pick<PairShape, 'resource' | 'tenants' | 'limit'>,
    nodeArgs: readonly string[] = [],
  ): Promise<GateDaemon> {
    const dataDir = makeDataDirectory();
    // As `serve` has it: resources are not made at their first use, so no frame is looked through for them.
    const settings = [`gate.durability=${durability}`, 'gate.autoCreateResources=false'];
    const options = { durability: 'flushed', dataDir, settings, nodeArgs } as const;
    const daemon = await DaemonProcess.start(options);
    try {
      await Promise.all(tenants.map((tenant) => daemon.put('tenants', tenant, {})));
      await daemon.put('resources', resource, { tenantLimit: limit });
      return new GateDaemon(daemon, dataDir);
    } catch (error) {
      await daemon.kill();
      removeDataDirectory(dataDir);
      throw error;
    }
  }

  private constructor(daemon: DaemonProcess, dataDir: string) {
    this.daemon = daemon;
    this.#dataDir = dataDir;
  }

  get pid(): number {
    return this.daemon.pid;
  }

  get target(): { readonly url: string; readonly token: string } {
    const { url, token } = this.daemon;
    return { url, token };
  }

  /** @throws Error when permits are left */
  async untilEmpty(): Promise<void> {
    const endMs = performance.now() + EMPTY_TIMEOUT_MS;
    for (;;) {
      const { permits, waiting } = await this.daemon.gate();
      if (permits === 0 && waiting === 0) return;
      if (performance.now() > endMs)
        throw new Error(`${permits} permits are left, ${waiting} wait`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async stop(): Promise<void> {
    await this.daemon.stop();
    removeDataDirectory(this.#dataDir);
  }
}
