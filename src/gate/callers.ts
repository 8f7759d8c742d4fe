/**
 * Callers of this process at the gate: the proxy and the REST interface. What they hold has no lease
 * and is in no journal, so it needs no flush and ends with the process.
 *
 * A ticket: waiting → told (its caller passes or is impeded) | given up. What is let in after it was
 * given up is counted down at once.
 */
import { ERRORS } from '../errors.ts';
import { readEntered } from '../protocol/gate-exchange.ts';
import { ENTERED, type GateMachine } from './machine.ts';
import type { Ask, Gate, Impeded, Passed, Waiting } from './ports.ts';

type Waited = (end: Passed | Impeded) => void;

export interface CallersOptions {
  readonly machine: Pick<GateMachine, 'enter' | 'leave' | 'giveUp'>;
  readonly nowUs: () => number;
  /** A step has to run in this turn. */
  readonly stepSoon: () => void;
  /** The machine failed: the process is about to end. */
  readonly onFault: (error: unknown) => void;
  /** Makes a resource at its first use; undefined: it has to be there. */
  readonly make: ((resource: string) => Promise<void>) | undefined;
}

/** What is known of a ticket besides. */
interface Ticket {
  readonly waited: Waited;
  readonly used: number;
  readonly limit: number | undefined;
}

const AS_THE_POLICY_SAYS = -1;

export class Callers implements Gate {
  readonly #options: CallersOptions;
  readonly #tickets = new Map<number, Ticket>();

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  /** Callers that wait. */
  get waiting(): number {
    return this.#tickets.size;
  }

  enter(ask: Ask, waited: Waited): Passed | Waiting | Impeded {
    const end = this.#enter(ask, waited);
    const { make } = this.#options;
    const isUnknown = end.kind === 'impeded' && end.code === ERRORS.unknownResource.code;
    return isUnknown && make !== undefined ? this.#afterMaking(ask, make, waited) : end;
  }

  /** The effect `entered`. */
  entered(number: number, bytes: Uint8Array): void {
    const { permit, code, retryAfterMs } = readEntered(bytes);
    const ticket = this.#tickets.get(number);
    this.#tickets.delete(number);
    if (ticket === undefined) {
      if (permit !== undefined) this.#leave(permit, undefined);
      return;
    }
    const { waited, used, limit } = ticket;
    if (permit !== undefined) waited(this.#passed(permit, { used, limit }));
    else waited({ kind: 'impeded', code, retryAfterMs, used, limit, estimateMs: undefined });
  }

  #enter({ resource, tenant, seats = 1, waitMs }: Ask, waited: Waited): Passed | Waiting | Impeded {
    const { machine, nowUs, stepSoon } = this.#options;
    const asked = waitMs ?? AS_THE_POLICY_SAYS;
    const entered = this.#guarded(() => machine.enter(resource, tenant, seats, asked, nowUs()));
    const { number, code, retryAfterMs, used, limit, position, estimateMs } = entered;
    if (entered.kind === ENTERED.passed) return this.#passed(number, { used, limit });
    if (entered.kind === ENTERED.impeded) {
      return { kind: 'impeded', code, retryAfterMs, used, limit, estimateMs };
    }
    this.#tickets.set(number, { waited, used, limit });
    stepSoon();
    const giveUp = (): void => this.#giveUp(number);
    return { kind: 'waiting', used, limit, position, estimateMs: estimateMs ?? 0, giveUp };
  }

  #passed(permit: number, { used, limit }: Pick<Ticket, 'used' | 'limit'>): Passed {
    let isIn = true;
    const leave = (ok?: boolean): void => {
      if (isIn) this.#leave(permit, ok);
      isIn = false;
    };
    return { kind: 'passed', used, limit, leave };
  }

  #leave(permit: number, ok: boolean | undefined): void {
    const { machine, nowUs, stepSoon } = this.#options;
    if (this.#guarded(() => machine.leave(permit, ok, nowUs()))) stepSoon();
  }

  #giveUp(ticket: number): void {
    if (!this.#tickets.delete(ticket)) return;
    const { machine, nowUs, stepSoon } = this.#options;
    if (this.#guarded(() => machine.giveUp(ticket, nowUs()))) stepSoon();
  }

  /** Waits for the resource, then asks once more. */
  #afterMaking(ask: Ask, make: (resource: string) => Promise<void>, waited: Waited): Waiting {
    let inner: Waiting | undefined;
    let isGivenUp = false;
    const again = (): void => {
      if (isGivenUp) return;
      const end = this.#enter(ask, waited);
      if (end.kind === 'waiting') inner = end;
      else waited(end);
    };
    make(ask.resource).then(again, again);
    const giveUp = (): void => {
      isGivenUp = true;
      inner?.giveUp();
    };
    return { kind: 'waiting', used: 0, limit: undefined, position: 1, estimateMs: 0, giveUp };
  }

  #guarded<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      this.#options.onFault(error);
      throw error;
    }
  }
}
