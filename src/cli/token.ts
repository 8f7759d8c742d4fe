import { ConfigError, readAuthKeys } from '../config/index.ts';
import { FairleadError } from '../errors.ts';
import { Authenticator } from '../ingress/auth.ts';
import { CliError, EXIT } from './cli-error.ts';
import { type ConfigFlags, loadFromFlags } from './config-flags.ts';
import { printJson, printLine } from './output.ts';

export interface TokenFlags extends ConfigFlags {
  readonly tenant?: string;
  readonly subject?: string;
  readonly scope?: string;
  readonly ttl: string;
  readonly key?: string;
  readonly keyFile?: string;
  readonly json?: boolean;
}

/** Prints a token signed with a key of the configuration. */
export async function issueToken(flags: TokenFlags): Promise<void> {
  const file = flags.keyFile;
  const settings =
    file === undefined
      ? []
      : [
          {
            key: 'auth.keys',
            value: [{ id: flags.key ?? 'file', secretFile: file }],
            from: '--key-file',
          },
        ];
  const { config } = await loadFromFlags(flags, { settings, defaultFile: file === undefined });
  const { issuer, audience } = config.auth;
  const keys = readAuthKeys(config, process.env).filter(
    ({ id }) => flags.key === undefined || id === flags.key,
  );
  if (keys.length === 0) {
    const why = flags.key === undefined ? 'no key is configured' : `there is no key ${flags.key}`;
    throw new ConfigError([{ key: 'auth.keys', why, from: 'fairlead token issue' }]);
  }
  // A tenant's own token publishes unless more is asked for; without a tenant it is an operator's.
  const scope =
    flags.scope ?? (flags.tenant === undefined ? 'publish consume gate usage platform' : 'publish');
  checkScope(scope);
  const ttlSec = parseDurationSec(flags.ttl);
  const request = { tenant: flags.tenant, subject: flags.subject, scope, ttlSec };
  const auth = new Authenticator({ keys, issuer, audience });
  const token = await auth.issueToken(request).catch((error: unknown) => {
    if (!(error instanceof FairleadError)) throw error;
    throw new CliError(EXIT.usage, error.message);
  });
  if (!flags.json) {
    printLine(token);
    return;
  }
  const expiresAt = new Date((Math.floor(Date.now() / 1000) + ttlSec) * 1000).toISOString();
  printJson({ token, tenant: flags.tenant ?? null, scope, key: keys[0]?.id, expiresAt });
}

/** The daemon ignores scopes it does not know; here a mistyped one is better refused. */
function checkScope(scope: string): void {
  const known = ['publish', 'consume', 'gate', 'usage', 'platform', 'receive'];
  const unknown = scope.split(' ').find((word) => !known.includes(word));
  if (unknown === undefined) return;
  throw new CliError(EXIT.usage, `There is no scope ${JSON.stringify(unknown)}.`, {
    hint: `Scopes are ${known.join(', ')}, separated by spaces.`,
  });
}

/** `90s`, `15m`, `12h`, `30d`, or seconds. */
export function parseDurationSec(text: string): number {
  const match = /^(\d+)([smhd]?)$/.exec(text);
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[match?.[2] || 's'] ?? 1;
  const seconds = Number(match?.[1] ?? 0) * unit;
  if (seconds > 0) return seconds;
  throw new CliError(EXIT.usage, `--ttl takes a duration, received ${JSON.stringify(text)}.`, {
    hint: 'For example 90s, 15m, 12h or 30d.',
  });
}
