/**
 * Callers of this process at the gate: the proxy and the REST interface. What they hold has no lease
 * and is in no journal, so it needs no flush and ends with the process.
 *
 * A ticket: waiting → told (its caller passes or is impeded) | given up. What is let in after it was
 * given up is counted down at once.
 */
import { ERRORS } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { readEntered } from '../protocol/gate-exchange.ts';
import { KeyHandles } from './key-handles.ts';
import { ANSWER, ANSWER_NUMBERS, ENTERED, type GateMachine } from './machine.ts';
import type { Ask, Gate, Impeded, Passed, Waiting } from './ports.ts';

type Waited = (end: Passed | Impeded) => void;

export interface CallersOptions {
  readonly machine: Pick<GateMachine, 'enter' | 'enterKey' | 'leave' | 'giveUp'>;
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
  readonly #handles = new KeyHandles(LIMITS.gateHandles);
  /** Of the last `enter`. */
  readonly #answer = new Float64Array(ANSWER_NUMBERS);

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
    if (permit !== undefined) waited(this.#passed(permit, used, limit));
    else waited({ kind: 'impeded', code, retryAfterMs, used, limit, estimateMs: undefined });
  }

  #enter(ask: Ask, waited: Waited): Passed | Waiting | Impeded {
    const kind = this.#judge(ask);
    const answer = this.#answer;
    const number = answer[ANSWER.number] as number;
    const used = answer[ANSWER.used] as number;
    const limit = known(answer[ANSWER.limit]);
    if (kind === ENTERED.passed) return this.#passed(number, used, limit);
    const estimateMs = known(answer[ANSWER.estimateMs]);
    if (kind === ENTERED.impeded) {
      const code = answer[ANSWER.code] as number;
      const retryAfterMs = answer[ANSWER.retryAfterMs] as number;
      return { kind: 'impeded', code, retryAfterMs, used, limit, estimateMs };
    }
    const position = answer[ANSWER.position] as number;
    this.#tickets.set(number, { waited, used, limit });
    this.#options.stepSoon();
    const giveUp = (): void => this.#giveUp(number);
    return { kind: 'waiting', used, limit, position, estimateMs: estimateMs ?? 0, giveUp };
  }

  /** By the key's number where it is known, else by names. */
  #judge({ resource, tenant, seats = 1, waitMs = AS_THE_POLICY_SAYS }: Ask): number {
    const { machine, nowUs, onFault } = this.#options;
    const answer = this.#answer;
    try {
      const handle = this.#handles.of(resource, tenant);
      if (handle !== undefined) {
        const { key, serial } = handle;
        const kind = machine.enterKey(answer, key, serial, seats, waitMs, nowUs());
        if (kind !== ENTERED.notOpen) return kind;
      }
      const kind = machine.enter(answer, resource, tenant, seats, waitMs, nowUs());
      const serial = answer[ANSWER.serial] as number;
      if (serial > 0) this.#handles.keep(resource, tenant, answer[ANSWER.key] as number, serial);
      return kind;
    } catch (error) {
      onFault(error);
      throw error;
    }
  }

  #passed(permit: number, used: number, limit: number | undefined): Passed {
    let isIn = true;
    const leave = (ok?: boolean): void => {
      if (isIn) this.#leave(permit, ok);
      isIn = false;
    };
    return { kind: 'passed', used, limit, leave };
  }

  #leave(permit: number, ok: boolean | undefined): void {
    const { machine, nowUs, stepSoon, onFault } = this.#options;
    try {
      if (machine.leave(permit, ok, nowUs())) stepSoon();
    } catch (error) {
      onFault(error);
      throw error;
    }
  }

  #giveUp(ticket: number): void {
    if (!this.#tickets.delete(ticket)) return;
    const { machine, nowUs, stepSoon, onFault } = this.#options;
    try {
      if (machine.giveUp(ticket, nowUs())) stepSoon();
    } catch (error) {
      onFault(error);
      throw error;
    }
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
}

function known(number: number | undefined): number | undefined {
  return number === undefined || number < 0 ? undefined : number;
}
