import { readFileSync } from 'node:fs';
import { ConfigError, type ConfigProblem } from './config-error.ts';
import type { Config } from './schema.ts';

/** HMAC-SHA-256 wants a key no shorter than its output. */
const SECRET_BYTES_MIN = 32;

/** A key that signs tokens, with its secret at hand. */
export interface AuthKey {
  readonly id: string;
  readonly secret: Uint8Array;
}

/**
 * Fetches the secrets of `auth.keys` from where they are kept.
 *
 * @throws ConfigError when a key names no secret or several, one cannot be read or is too short, or two keys share an id.
 */
export function readAuthKeys(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
): AuthKey[] {
  const problems: ConfigProblem[] = [];
  const keys: AuthKey[] = [];
  for (const [index, option] of config.auth.keys.entries()) {
    const problem = (why: string, name = ''): void => {
      problems.push({ key: `auth.keys.${index}${name}`, why, from: `key ${option.id}` });
    };
    const sources = [option.secret, option.secretFile, option.secretEnv];
    if (sources.filter((source) => source !== undefined).length !== 1) {
      problem('needs exactly one of secret, secretFile, secretEnv');
      continue;
    }
    if (keys.some((key) => key.id === option.id)) problem('the id is used twice', '.id');
    const text = option.secret ?? readFrom(option.secretFile, option.secretEnv, env, problem);
    if (text === undefined) continue;
    const secret = new TextEncoder().encode(text.trim());
    if (secret.length < SECRET_BYTES_MIN) {
      problem(`the secret has ${secret.length} bytes and needs at least ${SECRET_BYTES_MIN}`);
    }
    keys.push({ id: option.id, secret });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return keys;
}

function readFrom(
  file: string | undefined,
  variable: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  problem: (why: string, name: string) => void,
): string | undefined {
  if (file === undefined) {
    const text = variable === undefined ? undefined : env[variable];
    if (text === undefined) problem(`the variable ${variable} is not set`, '.secretEnv');
    return text;
  }
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    problem(`the file cannot be read: ${(error as Error).message}`, '.secretFile');
    return undefined;
  }
}
