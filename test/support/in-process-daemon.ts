// A daemon in the test's process, on any free port, with a key that the test signs tokens with.
import { silentLogger } from '../../src/base/logger.ts';
import { loadConfig } from '../../src/config/index.ts';
import { type StartedDaemon, startDaemon } from '../../src/daemon.ts';
import { Authenticator } from '../../src/ingress/auth.ts';

const secret = '0123456789abcdef0123456789abcdef';
const keys = [{ id: 'test', secret: new TextEncoder().encode(secret) }];
export const auth = new Authenticator({ keys, issuer: 'fairlead', audience: 'fairlead' });

/** `more`: options by dotted key. */
export async function start(
  dataDir: string,
  more: Readonly<Record<string, unknown>> = {},
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
    logger: silentLogger,
    version: '0',
    onFatal: (error) => {
      throw error;
    },
  });
}
