/**
 * Runs the daemon as this process: signals, the service manager, crash-only endings.
 *
 * starting → ready → stopping → ended. A signal while starting ends at once, which is safe: nothing
 * was accepted. The first one when ready drains; a second one does not wait (code 70).
 */
import type { Logger } from '../base/logger.ts';
import { type DaemonOptions, type StartedDaemon, startDaemon } from '../daemon.ts';
import { native } from '../native.ts';
import { DataDirectoryError } from '../store/data-directory.ts';
import { CliError, EXIT } from './cli-error.ts';
import { ServiceManager } from './service-manager.ts';

/** A terminal and a wrapper (npm, a shell) may both pass on one signal: within this time it is one. */
const SAME_SIGNAL_MS = 500;

export interface RunOptions extends DaemonOptions {
  readonly onReady: (daemon: StartedDaemon) => void;
  /** Called after everything is closed, and before a forced end. */
  readonly onEnd?: () => void;
}

/** Resolves never: ends the process. @throws what keeps the daemon from starting */
export async function runDaemon(options: RunOptions): Promise<void> {
  const { logger, onReady, onEnd } = options;
  crashOnFaults(logger);
  let daemon: StartedDaemon | undefined;
  let stoppingSinceMs: number | undefined;
  const manager = new ServiceManager(logger);
  const end = (code: number): never => {
    onEnd?.();
    return native.exitNow(code);
  };
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (daemon === undefined) {
      logger.info({ signal }, 'ended before it was ready');
      end(0);
    } else if (stoppingSinceMs !== undefined) {
      if (performance.now() - stoppingSinceMs < SAME_SIGNAL_MS) return;
      logger.warn({ signal }, 'a second signal: not waiting');
      end(EXIT.internal);
    } else {
      stoppingSinceMs = performance.now();
      manager.stopping();
      logger.info({ signal }, 'stopping');
      await daemon.stop();
      logger.info({}, 'stopped');
      end(0);
    }
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, (received) => void stop(received));
  }
  try {
    daemon = await startDaemon(options);
  } catch (error) {
    onEnd?.();
    throw startError(error, options);
  }
  manager.ready(daemon);
  onReady(daemon);
  await new Promise<never>(() => {});
}

function crashOnFaults(logger: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error, event }, 'a fault: the process ends');
      native.exitNow(EXIT.internal);
    });
  }
}

/** Faults of the surroundings get a sentence and a code; the others stay as they are. */
function startError(error: unknown, { config }: RunOptions): unknown {
  if (error instanceof DataDirectoryError) return new CliError(EXIT.config, error.message);
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'ENOTDIR' || code === 'EROFS' || code === 'ENOSPC') {
    return new CliError(EXIT.cannotCreate, `dataDir ${config.dataDir} cannot be used: ${message}`, {
      hint: 'Name a directory that this account may write with --data or dataDir.',
    });
  }
  if (/cannot listen on/.test(message)) {
    return new CliError(EXIT.unavailable, message, {
      hint: 'Another daemon may run there; choose another port with --port or ingress.port.',
    });
  }
  if (/slow JavaScript imitation/.test(message)) return new CliError(EXIT.unavailable, message);
  return error;
}
