// Brings the daemon's entities to what a file says: shows the difference, then makes the changes.
import { readFileSync } from 'node:fs';
import { ConfigError } from '../config/config-error.ts';
import { readTomlFile } from '../config/toml-file.ts';
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { printJson, printLine, printNote } from './output.ts';

export interface ApplyOptions extends RemoteOptions {
  readonly dryRun?: boolean;
  readonly prune?: boolean;
}

interface Change {
  readonly action: 'create' | 'change' | 'delete';
  readonly kind: string;
  readonly name: string;
  readonly fields: Readonly<Record<string, { readonly from: unknown; readonly to: unknown }>>;
}

const marks = { create: '+', change: '~', delete: '-' } as const;

/** A file of many entities takes longer than one request of another kind. */
const TIMEOUT_MS = 300_000;

export async function applyFile(file: string, options: ApplyOptions): Promise<void> {
  const { dryRun = false, prune = false, json = false } = options;
  const body = file.endsWith('.json') || file === '-' ? readJson(file) : readToml(file);
  const api = new ApiClient(options);
  const ask = (dry: boolean): Promise<JsonObject> =>
    api.request({
      method: 'POST',
      path: ['v1', 'apply'],
      query: { dryRun: String(dry), prune: String(prune) },
      body,
      timeoutMs: TIMEOUT_MS,
    });
  if (json) {
    printJson(await ask(dryRun));
    return;
  }
  const plan = await ask(true);
  for (const change of plan.changes as Change[]) printLine(linesOf(change));
  const counts = `${plan.created} created, ${plan.changed} changed, ${plan.deleted} deleted, ${plan.unchanged} unchanged`;
  if (dryRun) {
    printNote(`dry run: ${counts}`);
    return;
  }
  const done = (plan.changes as Change[]).length === 0 ? plan : await ask(false);
  printNote(
    `${done.created} created, ${done.changed} changed, ${done.deleted} deleted, ${done.unchanged} unchanged`,
  );
}

/** `~ destination sms-de` and a line for each field: `ratePerSec: none → 100`. */
function linesOf({ action, kind, name, fields }: Change): string {
  const lines = Object.entries(fields).map(([field, { from, to }]) =>
    action === 'create'
      ? `    ${field}: ${shown(to)}`
      : `    ${field}: ${shown(from)} → ${shown(to)}`,
  );
  return [`${marks[action]} ${kind} ${name}`, ...lines].join('\n');
}

function shown(value: unknown): string {
  if (value === null) return 'none';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function readToml(file: string): unknown {
  try {
    return readTomlFile(file).tree;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CliError(EXIT.data, `The file cannot be used. ${error.message}`);
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8'));
  } catch (error) {
    throw new CliError(EXIT.data, `${file} cannot be used: ${(error as Error).message}.`);
  }
}
