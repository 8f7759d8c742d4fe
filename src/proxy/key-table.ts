/**
 * API keys of tenants, from one secret: a line each, `TENANT KEY` or `TENANT sha256:HEX`. Lines that
 * begin with `#` are left out. The secret is read again when it changed, so a key comes and goes
 * without a restart; a change that cannot be read leaves what was there before.
 *
 * Keys are looked up by their hash, so the time it takes tells nothing of them.
 */
import { hash } from 'node:crypto';
import type { Logger } from '../base/logger.ts';
import { LIMITS } from '../limits.ts';
import type { KeyLookup } from './route.ts';

export interface KeyTableOptions {
  /** The secret's text as it is now; throws when it cannot be read. */
  readonly read: () => string;
  /** The secret's name, for the log. */
  readonly name: string;
  readonly logger: Logger;
}

const LINE = new RegExp(`^([A-Za-z0-9._:+@-]{1,${LIMITS.nameBytes}})\\s+([!-~]{1,512})$`);
const HASHED = /^sha256:([0-9a-f]{64})$/i;

export class KeyTable implements KeyLookup {
  readonly #options: KeyTableOptions;
  #text: string | undefined;
  #tenants: ReadonlyMap<string, string> = new Map();
  #isUnreadable = false;

  /** @throws Error when the secret cannot be read or a line is none */
  constructor(options: KeyTableOptions) {
    this.#options = options;
    this.#take(options.read());
  }

  tenantOf(key: string): string | undefined {
    this.#refresh();
    return this.#tenants.get(hashOf(key));
  }

  #refresh(): void {
    const { read, name, logger } = this.#options;
    try {
      this.#take(read());
      this.#isUnreadable = false;
    } catch (error) {
      if (!this.#isUnreadable) {
        logger.warn({ err: error, secret: name }, 'API keys cannot be read: those before count');
      }
      this.#isUnreadable = true;
    }
  }

  #take(text: string): void {
    if (text === this.#text) return;
    this.#text = text;
    const tenants = new Map<string, string>();
    for (const [index, line] of text.split('\n').entries()) {
      const trimmed = line.trim();
      if (trimmed === '' || trimmed.startsWith('#')) continue;
      const [, tenant, key] = LINE.exec(trimmed) ?? [];
      if (tenant === undefined || key === undefined) {
        throw new Error(`API keys ${this.#options.name}: line ${index + 1} is no tenant and key`);
      }
      tenants.set(HASHED.exec(key)?.[1]?.toLowerCase() ?? hashOf(key), tenant);
    }
    if (tenants.size > LIMITS.proxyKeys) {
      throw new Error(`API keys ${this.#options.name}: more than ${LIMITS.proxyKeys}`);
    }
    this.#tenants = tenants;
  }
}

const hashOf = (key: string): string => hash('sha256', key, 'hex');
