/** `fairlead dev`: a daemon to try things out, with nothing to configure and nothing left behind. */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { StartedDaemon } from '../daemon.ts';
import { Authenticator } from '../ingress/auth.ts';
import { createLogger } from '../log.ts';
import { CliError, EXIT } from './cli-error.ts';
import { type ConfigFlags, loadFromFlags } from './config-flags.ts';
import { printJson, printLine } from './output.ts';
import { runDaemon } from './run-daemon.ts';
import { packageVersion } from './version.ts';

const TOKEN_TTL_SEC = 30 * 24 * 3600;
const KEY_ID = 'dev';
/** Kept with the data, so that tokens are good again after a restart. */
const KEY_FILE = 'dev.key';

export interface DevFlags extends ConfigFlags {
  readonly keep?: boolean;
  readonly json?: boolean;
}

export async function dev({ data, ...flags }: DevFlags): Promise<void> {
  const throwAway = flags.keep !== true;
  const dataDir = data === undefined ? mkdtempSync(join(tmpdir(), 'fairlead-dev-')) : resolve(data);
  if (data !== undefined && throwAway) refuseUsed(dataDir);
  const onEnd = (): void => {
    if (throwAway) rmSync(dataDir, { recursive: true, force: true });
  };
  const secret = devSecret(dataDir);
  const from = 'fairlead dev';
  const { config } = await loadFromFlags(flags, {
    defaultFile: false,
    settings: [
      { key: 'dataDir', value: dataDir, from },
      { key: 'auth.keys', value: [{ id: KEY_ID, secret }], from },
    ],
    defaults: [
      { key: 'dispatch.autoCreateDestinations', value: true, from },
      { key: 'gate.autoCreateResources', value: true, from },
      { key: 'ingress.port', value: 0, from },
      { key: 'ingress.allowFallback', value: true, from },
      // Webhooks may go to a server on this machine.
      { key: 'outbound.allow', value: ['127.0.0.0/8', '::1'], from },
      { key: 'log.level', value: 'warn', from },
    ],
  }).catch((error: unknown) => {
    onEnd();
    throw error;
  });
  const { issuer, audience } = config.auth;
  const keys = [{ id: KEY_ID, secret: new TextEncoder().encode(secret) }];
  const token = await new Authenticator({ keys, issuer, audience }).issueToken({
    scope: 'publish consume gate usage platform',
    ttlSec: TOKEN_TTL_SEC,
  });
  await runDaemon({
    config,
    env: process.env,
    logger: createLogger(config.log.level),
    version: packageVersion(),
    onEnd,
    onReady: (daemon) => {
      const { url } = daemon;
      if (flags.json) printJson({ url, token, dataDir, pid: process.pid });
      else printLine(banner(daemon, { token, throwAway }));
    },
  });
}

function refuseUsed(dataDir: string): void {
  if (!existsSync(dataDir) || readdirSync(dataDir).length === 0) return;
  throw new CliError(EXIT.usage, `${dataDir} is not empty, and dev removes its data at its end.`, {
    hint: 'Add --keep to go on with the data there, or name an empty directory.',
  });
}

function devSecret(dataDir: string): string {
  const file = join(dataDir, KEY_FILE);
  if (existsSync(file)) return readFileSync(file, 'utf8');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const secret = randomBytes(32).toString('hex');
  writeFileSync(file, secret, { mode: 0o600 });
  return secret;
}

function banner(
  { url, dataDir }: StartedDaemon,
  { token, throwAway }: { token: string; throwAway: boolean },
): string {
  const end = throwAway ? 'removed when this ends' : 'kept';
  return `Fairlead ${packageVersion()} is ready at ${url}
Data in ${dataDir} (${end}). Ctrl-C ends it.

In another terminal:

  export FAIRLEAD_URL=${url}
  export FAIRLEAD_TOKEN=${token}

  fairlead publish sms-de "Hello" --tenant acme --sender 4930 --recipient 491511
  fairlead consume sms-de --max 1
  fairlead destination put sms-de --rate-per-sec 100
  fairlead explain sms-de
  fairlead status`;
}
