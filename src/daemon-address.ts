// Who may speak to the daemon, and under which address.
import { type Config, ConfigError, readAuthKeys } from './config/index.ts';
import { Authenticator } from './ingress/auth.ts';

/** @throws ConfigError without a key, or with one that cannot be read */
export function authenticatorOf(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
): Authenticator {
  const keys = readAuthKeys(config, env);
  if (keys.length === 0) {
    const why =
      'at least one key is needed to check tokens; `fairlead dev` makes one for trying things out';
    throw new ConfigError([{ key: 'auth.keys', why, from: 'default' }]);
  }
  const { issuer, audience } = config.auth;
  return new Authenticator({ keys, issuer, audience });
}

/** An address that a client on this host can use. */
export function urlOf({ ingress: { host, tls } }: Config, port: number): string {
  const everywhere = host === '0.0.0.0' || host === '::';
  const name = everywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `${tls.certFile === undefined ? 'http' : 'https'}://${name}:${port}`;
}
