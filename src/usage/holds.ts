/**
 * What triggers hold tenants at: paused, refusing, capped. Main thread.
 *
 * A hold is stored before the tenant is changed, so that a crash in between leaves none that nobody
 * undoes. It ends when its trigger is armed anew (by hand, by hysteresis, or because a new period
 * began), fires or acts otherwise than before, or is deleted. Holds on one field lie one above the
 * other: the end of the uppermost puts the field back to what it was when that one came, unless
 * somebody has changed it meanwhile (what an operator says stays); one below leaves it to the one above.
 *
 * held → (its end) → undone.
 */
import type { Logger } from '../base/logger.ts';
import { REFUSE_CODES } from '../protocol/configure.ts';
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

/** What ends the hold of a trigger. */
export interface HeldTrigger {
  readonly arming: number;
  /** Null: it is armed anew by hand or by a new period only. */
  readonly rearmBelow: string | null;
}

export interface HoldsOptions {
  readonly environment: Environment;
  readonly tenants: HeldTenants;
  /** Undefined: it is gone. @throws FairleadError goingAway */
  readonly stateOf: (trigger: string) => Promise<HeldTrigger | undefined>;
  /** ms since the epoch. */
  readonly nowMs: () => number;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

const LOOK_MS = 1_000;

export class Holds {
  readonly #options: HoldsOptions;
  readonly #holds = new Map<string, Hold>();
  /** The same by tenant and field, the uppermost last. */
  readonly #onField = new Map<string, readonly Hold[]>();
  readonly #timer: NodeJS.Timeout;
  /** Triggers of holds that do not end by themselves before their period does: nobody asks for them. */
  readonly #quiet = new Set<string>();
  /** One change after another. */
  #work: Promise<void> = Promise.resolve();
  #isLooking = false;
  #isStopped = false;

  /** @throws RecordError */
  constructor(options: HoldsOptions) {
    this.#options = options;
    const { start, end } = allHolds();
    for (const { value } of options.environment.range(start, end)) {
      this.#put(decodeHold(value));
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
    const { account: tenant, period, arming } = firing;
    // A late event fires for its own period, which holds nobody any more.
    if (!isUnderWay(period, this.#options.nowMs())) return undefined;
    const hold = this.#placed({ trigger: sidText(firing.sid), tenant, ...set, period, arming });
    return { hold, write: (writes) => writes.put(holdKey(hold.trigger), encodeHold(hold)) };
  }

  /** Changes the tenant; its hold is stored. @throws FairleadError */
  apply(hold: Hold): Promise<void> {
    return this.#next(async () => {
      const { tenant, field, value, trigger } = hold;
      const own = this.#holds.get(trigger);
      if (own !== undefined && !isSame(own, hold)) await this.#undo(own);
      // Since it was stored another one may have come or gone.
      const placed = this.#placed(hold);
      const moved = own === undefined || own.order === placed.order ? [] : this.#without(own);
      const isStored = placed.before === hold.before && placed.order === hold.order;
      if (!isStored || moved.length > 0) await this.#store([placed, ...moved]);
      this.#put(placed);
      this.#quiet.delete(trigger);
      await this.#options.tenants.set(tenant, field, value, trigger);
    });
  }

  /** The trigger was armed anew or deleted. @throws FairleadError */
  release(trigger: string): Promise<void> {
    const hold = this.#holds.get(trigger);
    this.#quiet.delete(trigger);
    return hold === undefined ? Promise.resolve() : this.#next(() => this.#undo(hold));
  }

  /** The trigger was replaced: its hold stays when it is that of this arming and action. @throws FairleadError */
  async replaced(
    trigger: string,
    now: { readonly arming: number; readonly action: UsageAction | null },
  ): Promise<void> {
    const hold = this.#holds.get(trigger);
    if (hold === undefined) return;
    this.#quiet.delete(trigger);
    const { field, value } = fieldOf(now.action) ?? {};
    const stays = hold.arming === now.arming && hold.field === field && hold.value === value;
    if (!stays) await this.release(trigger);
  }

  /** Ends the holds whose time is over; by itself once a second. */
  async look(): Promise<void> {
    if (this.#isLooking || this.#isStopped) return;
    this.#isLooking = true;
    for (const hold of [...this.#holds.values()]) {
      try {
        if (await this.#isOver(hold)) await this.release(hold.trigger);
      } catch (error) {
        if (this.#isStopped) break;
        const { trigger, tenant, field } = hold;
        const fields = { err: error, trigger, tenant, field };
        this.#options.logger.warn(fields, 'the hold of a trigger cannot be ended now');
      }
    }
    this.#isLooking = false;
  }

  async close(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#work;
  }

  async #isOver({ trigger, period, arming }: Hold): Promise<boolean> {
    if (!isUnderWay(period, this.#options.nowMs())) return true;
    if (this.#quiet.has(trigger)) return false;
    const now = await this.#options.stateOf(trigger);
    if (now === undefined || now.arming > arming) return true;
    if (now.rearmBelow === null) this.#quiet.add(trigger);
    return false;
  }

  /** Where a hold comes: above the others of its field, and over what the field is now. */
  #placed(hold: Omit<Hold, 'before' | 'order'>): Hold {
    const { trigger, tenant, field } = hold;
    const now = this.#options.tenants.get(tenant, field);
    const top = this.#of(hold).at(-1);
    if (top?.trigger === trigger) {
      return { ...hold, before: now === top.value ? top.before : now, order: top.order };
    }
    return { ...hold, before: now, order: (top?.order ?? 0) + 1 };
  }

  /** Holds on a field of a tenant, the uppermost last. */
  #of(which: Pick<Hold, 'tenant' | 'field'>): readonly Hold[] {
    return this.#onField.get(fieldKey(which)) ?? [];
  }

  #put(hold: Hold): void {
    this.#remove(hold.trigger);
    this.#holds.set(hold.trigger, hold);
    const holds = [...this.#of(hold), hold].sort((a, b) => a.order - b.order);
    this.#onField.set(fieldKey(hold), holds);
  }

  #remove(trigger: string): void {
    const hold = this.#holds.get(trigger);
    if (hold === undefined) return;
    this.#holds.delete(trigger);
    const left = this.#of(hold).filter((each) => each !== hold);
    if (left.length > 0) this.#onField.set(fieldKey(hold), left);
    else this.#onField.delete(fieldKey(hold));
  }

  /** Those that change when one is taken out: the next above it goes back to what it would have. */
  #without(hold: Hold): Hold[] {
    const above = this.#of(hold).find(({ order }) => order > hold.order);
    if (above === undefined || above.before !== hold.value) return [];
    return [{ ...above, before: hold.before }];
  }

  async #undo({ trigger, arming, period }: Hold): Promise<void> {
    const hold = this.#holds.get(trigger);
    if (hold?.arming !== arming || hold.period !== period) return;
    const { tenant, field, value, before } = hold;
    const { tenants } = this.#options;
    const isUppermost = this.#of(hold).at(-1) === hold;
    if (isUppermost && before !== value && tenants.get(tenant, field) === value) {
      await tenants.set(tenant, field, before, trigger);
    }
    await this.#store(this.#without(hold), hold);
  }

  async #store(holds: readonly Hold[], gone?: Hold): Promise<void> {
    const { environment, onFatal } = this.#options;
    try {
      await environment.commitQueued((writes) => {
        if (gone !== undefined) writes.remove(holdKey(gone.trigger));
        for (const hold of holds) writes.put(holdKey(hold.trigger), encodeHold(hold));
      });
    } catch (error) {
      onFatal(error as Error);
      throw error;
    }
    if (gone !== undefined) this.#remove(gone.trigger);
    for (const hold of holds) this.#put(hold);
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

function fieldKey({ tenant, field }: Pick<Hold, 'tenant' | 'field'>): string {
  return `${tenant}/${field}`;
}

/** What an action sets of its tenant; undefined: nothing. */
function fieldOf(
  action: UsageAction | null,
): { readonly field: HeldField; readonly value: HeldValue } | undefined {
  switch (action?.kind) {
    case 'pause':
      return { field: 'paused', value: true };
    case 'refuse':
      return { field: 'refuseNew', value: action.code ?? REFUSE_CODES[0] };
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
