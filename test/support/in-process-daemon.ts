// A daemon in the test's process, on any free port, with a key that the test signs tokens with.
import { type Logger, silentLogger } from '../../src/base/logger.ts';
import { loadConfig } from '../../src/config/index.ts';
import { type StartedDaemon, startDaemon } from '../../src/daemon.ts';
import { Authenticator } from '../../src/ingress/auth.ts';

const secret = '0123456789abcdef0123456789abcdef';
const keys = [{ id: 'test', secret: new TextEncoder().encode(secret) }];
export const auth = new Authenticator({ keys, issuer: 'fairlead', audience: 'fairlead' });

/** A logger that keeps its lines, each with its message. */
export function loggerInto(lines: object[], fields: object = {}): Logger {
  const line = (more: object, message: string): void => {
    lines.push({ ...fields, ...more, message });
  };
  return {
    ...{ debug: line, info: line, warn: line, error: line, fatal: line },
    child: (more) => loggerInto(lines, { ...fields, ...more }),
  };
}

/** `more`: options by dotted key. */
export async function start(
  dataDir: string,
  more: Readonly<Record<string, unknown>> = {},
  logger: Logger = silentLogger,
): Promise<StartedDaemon> {
  const values = {
    dataDir,
    'auth.keys': [{ id: 'test', secret }],
    'ingress.port': 0,
    'ingress.allowFallback': true,
    ...more,
  };
  const settings = Object.entries(values).map(([key, value]) => ({ key, value, from: 'test' }));
  const { config } = loadConfig({ file: undefined, env: {}, settings });
  return await startDaemon({
    config,
    env: {},
    logger,
    version: '0',
    onFatal: (error) => {
      throw error;
    },
  });
}
