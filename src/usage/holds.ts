/**
 * What triggers hold tenants at: paused, refusing, capped. Main thread.
 *
 * A hold is stored before the tenant is changed, so that a crash in between leaves none that nobody
 * undoes. It ends when its trigger is armed anew (by hand, by hysteresis, or because a new period
 * began), is replaced or deleted. Then the tenant goes back to what it was before, unless another hold
 * is on the same field, or somebody has changed the field meanwhile: what an operator says stays.
 *
 * held → (its end) → undone.
 */
import type { Logger } from '../base/logger.ts';
import type { Firing, UsageAction } from '../protocol/usage-exchange.ts';
import type { Environment, Writes } from '../store/environment.ts';
import {
  allHolds,
  decodeHold,
  encodeHold,
  type HeldField,
  type HeldValue,
  type Hold,
  holdKey,
} from './hold-record.ts';
import { sidText } from './texts.ts';

/** Fields of a tenant. */
export interface HeldTenants {
  get(tenant: string, field: HeldField): HeldValue;
  /** Resolves when it holds everywhere. @throws FairleadError */
  set(tenant: string, field: HeldField, value: HeldValue, trigger: string): Promise<void>;
}

export interface HoldsOptions {
  readonly environment: Environment;
  readonly tenants: HeldTenants;
  /** The arming of a trigger; undefined: it is gone. @throws FairleadError goingAway */
  readonly armingOf: (trigger: string) => Promise<number | undefined>;
  /** ms since the epoch. */
  readonly nowMs: () => number;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

const LOOK_MS = 1_000;

export class Holds {
  readonly #options: HoldsOptions;
  readonly #holds = new Map<string, Hold>();
  readonly #timer: NodeJS.Timeout;
  /** One change after another. */
  #work: Promise<void> = Promise.resolve();
  #isStopped = false;

  /** @throws RecordError */
  constructor(options: HoldsOptions) {
    this.#options = options;
    const { start, end } = allHolds();
    for (const { value } of options.environment.range(start, end)) {
      const hold = decodeHold(value);
      this.#holds.set(hold.trigger, hold);
    }
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  get size(): number {
    return this.#holds.size;
  }

  /** The hold of a firing, if its action is one; `write` stores it, with what else is written. */
  holdOf(firing: Firing): { hold: Hold; write: (writes: Writes) => void } | undefined {
    const set = fieldOf(firing.action);
    if (set === undefined) return undefined;
    const { field, value } = set;
    const { account: tenant, period, arming } = firing;
    // A late event fires for its own period, which holds nobody any more.
    if (!isUnderWay(period, this.#options.nowMs())) return undefined;
    const trigger = sidText(firing.sid);
    const before = this.#before(trigger, tenant, field);
    const hold: Hold = { trigger, tenant, field, value, before, period, arming };
    return { hold, write: (writes) => writes.put(holdKey(trigger), encodeHold(hold)) };
  }

  /** Changes the tenant; its hold is stored. @throws FairleadError */
  apply(hold: Hold): Promise<void> {
    this.#holds.set(hold.trigger, hold);
    return this.#next(async () => {
      const { tenant, field, value, trigger } = hold;
      await this.#options.tenants.set(tenant, field, value, trigger);
    });
  }

  /** The trigger was armed anew, replaced or deleted. @throws FairleadError */
  release(trigger: string): Promise<void> {
    const hold = this.#holds.get(trigger);
    return hold === undefined ? Promise.resolve() : this.#next(() => this.#undo(hold));
  }

  /** Ends the holds whose time is over; by itself once a second. */
  async look(): Promise<void> {
    if (this.#holds.size === 0 || this.#isStopped) return;
    try {
      for (const hold of [...this.#holds.values()]) {
        if (await this.#isOver(hold)) await this.release(hold.trigger);
      }
    } catch (error) {
      if (!this.#isStopped) this.#options.logger.warn({ err: error }, 'holds of triggers wait');
    }
  }

  async close(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#work;
  }

  async #isOver({ trigger, period, arming }: Hold): Promise<boolean> {
    if (!isUnderWay(period, this.#options.nowMs())) return true;
    const now = await this.#options.armingOf(trigger);
    return now === undefined || now > arming;
  }

  /** What the field was before anybody held it. */
  #before(trigger: string, tenant: string, field: HeldField): HeldValue {
    const own = this.#holds.get(trigger);
    if (own?.tenant === tenant && own.field === field) return own.before;
    const other = [...this.#holds.values()].find((each) => isSame(each, { tenant, field }));
    return other === undefined ? this.#options.tenants.get(tenant, field) : other.before;
  }

  async #undo(hold: Hold): Promise<void> {
    const { trigger, tenant, field, value, before } = hold;
    if (this.#holds.get(trigger) !== hold) return;
    const { tenants, environment, onFatal } = this.#options;
    const others = [...this.#holds.values()].filter((each) => {
      return each !== hold && isSame(each, hold);
    });
    if (tenants.get(tenant, field) === value) {
      const back = others.at(-1)?.value ?? before;
      if (back !== value) await tenants.set(tenant, field, back, trigger);
    }
    try {
      await environment.commitQueued((writes) => writes.remove(holdKey(trigger)));
    } catch (error) {
      onFatal(error as Error);
      throw error;
    }
    this.#holds.delete(trigger);
  }

  #next(step: () => Promise<void>): Promise<void> {
    const work = this.#work.then(step);
    this.#work = work.catch(() => {});
    return work;
  }
}

function isSame(a: Pick<Hold, 'tenant' | 'field'>, b: Pick<Hold, 'tenant' | 'field'>): boolean {
  return a.tenant === b.tenant && a.field === b.field;
}

/** What an action sets of its tenant; undefined: nothing. */
function fieldOf(
  action: UsageAction | null,
): { readonly field: HeldField; readonly value: HeldValue } | undefined {
  switch (action?.kind) {
    case 'pause':
      return { field: 'paused', value: true };
    case 'refuse':
      return { field: 'refuseNew', value: true };
    case 'capRate':
      return { field: 'ratePerSec', value: action.number };
    case 'capConcurrency':
      return { field: 'concurrencyMax', value: action.number };
    default:
      return undefined;
  }
}

/** Whether a period (`2026-11-22`, `2026-11`, `2026`, `alltime`) is the one of now. */
function isUnderWay(period: string, nowMs: number): boolean {
  return period === 'alltime' || new Date(nowMs).toISOString().startsWith(period);
}
