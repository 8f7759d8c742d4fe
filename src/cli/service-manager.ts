// What systemd is told (sd_notify(3)): READY, STOPPING, WATCHDOG. Nothing happens without systemd.
import type { Logger } from '../base/logger.ts';
import type { StartedDaemon } from '../daemon.ts';
import { native } from '../native.ts';

export class ServiceManager {
  readonly #logger: Logger;
  #watchdog: NodeJS.Timeout | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  ready(daemon: StartedDaemon): void {
    this.#tell(`READY=1\nSTATUS=Serving at ${daemon.url}`);
    const timeoutMs = Number(process.env.WATCHDOG_USEC) / 1000;
    if (timeoutMs > 0) this.#watch(daemon, timeoutMs / 2);
  }

  stopping(): void {
    clearInterval(this.#watchdog);
    this.#tell('STOPPING=1\nSTATUS=Draining');
  }

  /** Reports only while every shard answers: a shard that hangs ends in a restart. */
  #watch(daemon: StartedDaemon, intervalMs: number): void {
    this.#watchdog = setInterval(() => {
      daemon.checkShards().then(
        () => this.#tell('WATCHDOG=1'),
        (error: unknown) => this.#logger.error({ err: error }, 'a shard does not answer'),
      );
    }, intervalMs).unref();
  }

  #tell(state: string): void {
    try {
      native.notify(state);
    } catch (error) {
      this.#logger.warn({ err: error, state }, 'the service manager was not told');
    }
  }
}
