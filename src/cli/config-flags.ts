// The flags that set the daemon's options, shared by serve, dev, token issue and check-config.
import { existsSync } from 'node:fs';
import type { LoadedConfig, Setting } from '../config/index.ts';
import { CliError, EXIT } from './cli-error.ts';

/** Read when neither --config nor FAIRLEAD_CONFIG names another one. */
export const CONFIG_FILE_DEFAULT = '/etc/fairlead/fairlead.toml';

export interface ConfigFlags {
  readonly config?: string;
  readonly set?: readonly string[];
  readonly port?: string;
  readonly data?: string;
}

export interface LoadOptions {
  /** In place of the defaults of the options. */
  readonly defaults?: readonly Setting[];
  /** Like flags, but the flags that were given win. */
  readonly settings?: readonly Setting[];
  /** Read the file in /etc when no other is named. */
  readonly defaultFile: boolean;
}

/** @throws ConfigError, CliError */
export async function loadFromFlags(
  flags: ConfigFlags,
  { defaults = [], settings = [], defaultFile }: LoadOptions,
): Promise<LoadedConfig> {
  const { loadConfig } = await import('../config/index.ts');
  const { FAIRLEAD_CONFIG: named, ...env } = process.env;
  const file = flags.config ?? named ?? (defaultFile ? existing(CONFIG_FILE_DEFAULT) : undefined);
  return loadConfig({ file, env, defaults, settings: [...settings, ...settingsOf(flags)] });
}

function settingsOf({ set = [], port, data }: ConfigFlags): Setting[] {
  const settings: Setting[] = set.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) {
      throw new CliError(EXIT.usage, `--set takes KEY=VALUE, received ${JSON.stringify(text)}.`, {
        hint: 'For example --set ingress.port=7601; `fairlead check-config` lists the keys.',
      });
    }
    const key = text.slice(0, at).trim();
    return { key, value: text.slice(at + 1).trim(), from: `--set ${key}` };
  });
  if (port !== undefined) settings.push({ key: 'ingress.port', value: port, from: '--port' });
  if (data !== undefined) settings.push({ key: 'dataDir', value: data, from: '--data' });
  return settings;
}

function existing(file: string): string | undefined {
  return existsSync(file) ? file : undefined;
}
