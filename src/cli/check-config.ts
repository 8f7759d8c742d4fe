import { OPTIONS, readAuthKeys, redact } from '../config/index.ts';
import { checkOutbound } from '../outbound/open-outbound.ts';
import { type ConfigFlags, loadFromFlags } from './config-flags.ts';
import { formatTable, printJson, printLine, printNote } from './output.ts';

/** Prints each option, its value and where it came from; fails like `serve` would. */
export async function checkConfig(flags: ConfigFlags & { readonly json?: boolean }): Promise<void> {
  const { config, origins, warnings } = await loadFromFlags(flags, { defaultFile: true });
  readAuthKeys(config, process.env);
  checkOutbound(config.outbound);
  const rows = OPTIONS.map(({ key, env, schema }) => ({
    key,
    value: redact(valueAt(config, key)) ?? null,
    from: origins.get(key) ?? 'default',
    variable: env,
    meaning: schema.description ?? '',
  }));
  for (const warning of warnings) printNote(`warning: ${warning}`);
  if (flags.json) {
    printJson({ options: rows, warnings });
    return;
  }
  printLine(
    formatTable(
      ['option', 'value', 'from', 'meaning'],
      rows.map(({ key, value, from, meaning }) => [key, value, from, meaning]),
    ),
  );
}

function valueAt(config: object, key: string): unknown {
  return key
    .split('.')
    .reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], config);
}
