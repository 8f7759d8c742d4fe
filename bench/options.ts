/** Arguments of `npm run bench`. */
import { parseArgs } from 'node:util';

export const SCOPES = [
  'core',
  'generator',
  'dispatch',
  'restart',
  'life',
  'gateways',
  'gate',
  'usage',
] as const;
export type Scope = (typeof SCOPES)[number];

export interface BenchOptions {
  readonly scopes: readonly Scope[];
  readonly json: boolean;
  readonly quick: boolean;
  readonly help: boolean;
  readonly filter: string | undefined;
  readonly generators: number;
  readonly rounds: number;
  readonly measureMs: number;
  readonly warmUpMs: number;
  /** That wait at a restart or in the outbox; scheduled ones and keys of the life rows. */
  readonly messages: number;
}

export const USAGE = `usage: npm run bench -- [options]

  --scope SCOPE      core, generator, dispatch, restart, life, gateways, gate, usage or all
                     (default: all)
  --filter TEXT      only rows whose name contains TEXT, for example flushed/160B/100
  --json             one JSON object a row, a line each
  --quick            few rows, one short round: shows that it works, measures little
  --rounds N         rounds a row, of which the median is taken (default: 3)
  --seconds N        measured seconds a round (default: 5)
  --generators N     load generator processes (default: 1)
  --messages N       messages that wait at a restart or in the outbox, messages and keys of life rows
                     (default: 1000000)
  --help`;

/** A message for the user: the arguments are wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError */
export function parseOptions(args: readonly string[]): BenchOptions {
  const values = parse(args);
  const { quick = false } = values;
  return {
    scopes: scopesOf(values.scope ?? 'all'),
    json: values.json ?? false,
    quick,
    help: values.help ?? false,
    filter: values.filter,
    generators: numberOf('generators', values.generators, 1),
    rounds: numberOf('rounds', values.rounds, quick ? 1 : 3),
    measureMs: 1000 * numberOf('seconds', values.seconds, quick ? 1 : 5),
    warmUpMs: quick ? 500 : 2000,
    messages: numberOf('messages', values.messages, quick ? 100_000 : 1_000_000),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        scope: { type: 'string' },
        filter: { type: 'string' },
        json: { type: 'boolean' },
        quick: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        generators: { type: 'string' },
        messages: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function scopesOf(text: string): readonly Scope[] {
  if (text === 'all') return SCOPES;
  const scope = SCOPES.find((known) => known === text);
  if (scope !== undefined) return [scope];
  throw new UsageError(`--scope takes ${SCOPES.join(', ')} or all, received ${text}`);
}

function numberOf(name: string, text: string | undefined, missing: number): number {
  if (text === undefined) return missing;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new UsageError(`--${name} takes a whole number from 1, received ${text}`);
}
