/**
 * A gate of which each caller is counted: the permits of a tenant, how long they were held, and who was
 * not let in. What passes costs one object more.
 */
import type { UsageCategoryName } from '../protocol/usage-deltas.ts';

export interface GateAsk {
  readonly resource: string;
  /** Empty: the platform, of which nothing is counted. */
  readonly tenant: string;
  readonly seats?: number | undefined;
  readonly waitMs?: number | undefined;
}

interface Counts {
  readonly used: number;
  readonly limit: number | undefined;
}

export interface Passed extends Counts {
  readonly kind: 'passed';
  leave(ok?: boolean): void;
}

export interface Waiting extends Counts {
  readonly kind: 'waiting';
  readonly position: number;
  readonly estimateMs: number;
  giveUp(): void;
}

export interface Impeded extends Counts {
  readonly kind: 'impeded';
  readonly code: number;
  readonly retryAfterMs: number;
  readonly estimateMs: number | undefined;
}

export interface CountingGate {
  enter(ask: GateAsk, waited: (end: Passed | Impeded) => void): Passed | Waiting | Impeded;
}

export interface CountedGateOptions {
  readonly gate: CountingGate;
  readonly count: (account: string, category: UsageCategoryName, usage?: number) => void;
  /** ms of a clock that never goes back. */
  readonly nowMs?: () => number;
  /** Tenants whose parts of a second are kept; past it all are dropped. */
  readonly tenantsMax: number;
}

const SECOND_MS = 1_000;

export class CountedGate implements CountingGate {
  readonly #options: CountedGateOptions;
  readonly #nowMs: () => number;
  /** What of a tenant's held time is less than a second. */
  readonly #restMs = new Map<string, { ms: number }>();

  constructor(options: CountedGateOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  enter(ask: GateAsk, waited: (end: Passed | Impeded) => void): Passed | Waiting | Impeded {
    const { tenant } = ask;
    const { gate } = this.#options;
    if (tenant === '') return gate.enter(ask, waited);
    const end = gate.enter(ask, (later) => waited(this.#counted(tenant, later)));
    return end.kind === 'waiting' ? end : this.#counted(tenant, end);
  }

  #counted(tenant: string, end: Passed | Impeded): Passed | Impeded {
    const { count } = this.#options;
    if (end.kind === 'impeded') {
      count(tenant, 'permits-impeded');
      return end;
    }
    count(tenant, 'permits');
    const startMs = this.#nowMs();
    let isIn = true;
    const leave = (ok?: boolean): void => {
      if (isIn) this.#held(tenant, this.#nowMs() - startMs);
      isIn = false;
      end.leave(ok);
    };
    return { kind: 'passed', used: end.used, limit: end.limit, leave };
  }

  #held(tenant: string, heldMs: number): void {
    let rest = this.#restMs.get(tenant);
    if (rest === undefined) {
      if (this.#restMs.size >= this.#options.tenantsMax) this.#restMs.clear();
      rest = { ms: 0 };
      this.#restMs.set(tenant, rest);
    }
    const ms = rest.ms + heldMs;
    const seconds = Math.floor(ms / SECOND_MS);
    rest.ms = ms - seconds * SECOND_MS;
    this.#options.count(tenant, 'permit-seconds', seconds);
  }
}
