import { createLogger } from '../log.ts';
import { type ConfigFlags, loadFromFlags } from './config-flags.ts';
import { runDaemon } from './run-daemon.ts';
import { packageVersion } from './version.ts';

/** Runs the daemon until a signal. */
export async function serve(flags: ConfigFlags): Promise<void> {
  const { config, warnings } = await loadFromFlags(flags, { defaultFile: true });
  const logger = createLogger(config.log.level);
  for (const warning of warnings) logger.warn({ warning }, 'configuration');
  await runDaemon({
    config,
    env: process.env,
    logger,
    version: packageVersion(),
    onReady: ({ url, dataDir }) => logger.info({ url, dataDir }, 'ready'),
  });
}
