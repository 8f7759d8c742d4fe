/**
 * Secrets by reference: a name in an entity, whose value only this host knows.
 *
 * Looked up in the file of that name in `secrets.dir`, then in the variable FAIRLEAD_SECRET_ and
 * the name in capitals. A value is read again after a second, so that a rotation needs no restart.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FairleadError } from '../errors.ts';

/** Variables that hold secrets begin so. */
export const SECRET_VARIABLE = 'FAIRLEAD_SECRET_';

const KNOWN_MS = 1_000;
/** Values at hand; past it all are read anew. */
const KNOWN_MAX = 1_024;
const namePattern = /^[A-Za-z0-9._-]{1,64}$/;

export interface SecretsOptions {
  /** Undefined: none. */
  readonly dir: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly nowMs?: () => number;
}

export class Secrets {
  readonly #options: SecretsOptions;
  readonly #nowMs: () => number;
  readonly #known = new Map<string, { readonly value: string; readonly untilMs: number }>();

  constructor(options: SecretsOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** The value without white space at its ends. @throws FairleadError secretNotFound */
  get(name: string): string {
    const nowMs = this.#nowMs();
    const known = this.#known.get(name);
    if (known !== undefined && known.untilMs > nowMs) return known.value;
    const value = this.#read(name);
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(name, { value, untilMs: nowMs + KNOWN_MS });
    return value;
  }

  #read(name: string): string {
    const { dir, env } = this.#options;
    const isName = namePattern.test(name) && name !== '.' && name !== '..';
    const text = isName ? (readFile(dir, name) ?? env[variableOf(name)])?.trim() : undefined;
    if (text !== undefined && text !== '') return text;
    throw new FairleadError(
      'secretNotFound',
      `There is no secret ${JSON.stringify(name)}: neither a file of this name in ${dir ?? 'secrets.dir, which is not set'}, nor the variable ${variableOf(name)}.`,
    );
  }
}

function variableOf(name: string): string {
  return `${SECRET_VARIABLE}${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;
}

function readFile(dir: string | undefined, name: string): string | undefined {
  if (dir === undefined) return undefined;
  try {
    return readFileSync(join(dir, name), 'utf8');
  } catch {
    return undefined;
  }
}
