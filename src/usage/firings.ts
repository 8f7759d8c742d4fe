/**
 * Firings of triggers: to the outbox, to the tenant's connections, and what they do to the tenant.
 *
 * The machine tells a firing when it is flushed, and again after each start until `told`. The requests of a
 * firing, its line of the ledger and its hold on the tenant are one transaction; then the tenant is changed, its connections are
 * told, and the machine. So all of it happens at least once, under one token. While the outbox is full
 * firings wait here; one transaction at a time, what comes meanwhile goes with the next. Main thread.
 */
import type { Logger } from '../base/logger.ts';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { RefusedItem } from '../outbound/outbox.ts';
import type { NewItem } from '../outbound/outbox-records.ts';
import { type Firing, readFiring } from '../protocol/usage-exchange.ts';
import { encodeUsageEvent } from '../protocol/usage-frames.ts';
import type { Writes } from '../store/environment.ts';
import { type FiringForms, firingItems, firingToken } from './firing-item.ts';
import type { Hold } from './hold-record.ts';
import type { Holds } from './holds.ts';
import type { Ledger } from './ledger.ts';
import { sidText } from './texts.ts';

export interface FiringsOptions {
  readonly outbox: {
    /** @throws FairleadError outboxFull with retryAfterMs, goingAway: nothing was taken */
    put(
      items: readonly NewItem[],
      alsoWrite?: (writes: Writes) => void,
    ): Promise<readonly RefusedItem[]>;
  };
  readonly holds: Pick<Holds, 'holdOf' | 'apply'>;
  readonly ledger: Pick<Ledger, 'add'>;
  /** How a tenant's requests are made. */
  readonly formsOf: (tenant: string) => FiringForms;
  /** One frame to the connections of a tenant. */
  readonly tellConnections: (tenant: string, frame: Uint8Array) => void;
  /** The machine need not tell it again. */
  readonly told: (sequence: number) => void;
  readonly logger: Logger;
  /** Called when a write failed or a firing cannot be read: the process has to end. */
  readonly onFatal: (error: Error) => void;
}

export interface FiringNumbers {
  /** Since the start, as all: firings that were told. */
  readonly fired: number;
  readonly requests: number;
  /** Left out by the outbox: their endpoint is disabled, or has too many waiting. */
  readonly refused: number;
  /** Now. */
  readonly waiting: number;
}

const RETRY_MS = 1_000;
const LOG_MS = 60_000;

export class Firings {
  readonly #options: FiringsOptions;
  readonly #waiting: Firing[] = [];
  readonly #counts = { fired: 0, requests: 0, refused: 0 };
  readonly #loggedMs = new Map<string, number>();
  #working: Promise<void> | undefined;
  #isStopped = false;
  #wakeUp: () => void = () => {};

  constructor(options: FiringsOptions) {
    this.#options = options;
  }

  get numbers(): FiringNumbers {
    return { ...this.#counts, waiting: this.#waiting.length };
  }

  /** Takes the bytes of an effect `fired`; they are copied. */
  take(bytes: Uint8Array): void {
    if (this.#isStopped) return;
    this.#waiting.push(readFiring(bytes.slice()));
    this.#work();
  }

  /** Takes nothing more; resolves when what is under way is done. The rest is told again. */
  async close(): Promise<void> {
    this.#isStopped = true;
    this.#wakeUp();
    await this.#working;
  }

  #work(): void {
    this.#working ??= this.#loop()
      .catch((error: unknown) => this.#options.onFatal(error as Error))
      .finally(() => {
        this.#working = undefined;
        if (this.#waiting.length > 0 && !this.#isStopped) this.#work();
      });
  }

  async #loop(): Promise<void> {
    // What came in the same turn goes together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0 && !this.#isStopped) await this.#step();
  }

  async #step(): Promise<void> {
    const { holds, ledger, formsOf } = this.#options;
    const firings = this.#waiting.slice(0, LIMITS.firingsPerPut);
    const items = firings.flatMap((firing) => firingItems(firing, formsOf(firing.account)));
    const held = firings.flatMap((firing) => holds.holdOf(firing) ?? []);
    const addLines = ledger.add(firings, (each) => this.#token(each));
    const write = (writes: Writes): void => {
      for (const each of held) each.write(writes);
      addLines(writes);
    };
    if (!(await this.#put(items, write))) return;
    this.#waiting.splice(0, firings.length);
    for (const { hold } of held) await this.#hold(hold);
    for (const firing of firings) this.#tell(firing);
  }

  #token(firing: Firing): string {
    return firingToken(firing, this.#options.formsOf(firing.account).account);
  }

  #tell(firing: Firing): void {
    const { tellConnections, told, logger } = this.#options;
    const { account, category, period, value, currentValue, action } = firing;
    const token = this.#token(firing);
    const trigger = sidText(firing.sid);
    if (action?.kind === 'event') {
      const news = { trigger, category, period, value, currentValue, token };
      tellConnections(account, encodeUsageEvent(news));
    }
    logger.info({ trigger, tenant: account, category, period, value, currentValue }, 'fired');
    this.#counts.fired += 1;
    told(firing.sequence);
  }

  /** What cannot be set now is set by nobody later: an operator has to hear of it. */
  async #hold(hold: Hold): Promise<void> {
    try {
      await this.#options.holds.apply(hold);
    } catch (error) {
      if (!(error instanceof FairleadError)) throw error;
      const { trigger, tenant, field } = hold;
      const fields = { trigger, tenant, field, reason: error.message };
      this.#options.logger.error(fields, 'a trigger could not change its tenant');
    }
  }

  /** Until the outbox takes it; false: the daemon stops, and nothing was taken. */
  async #put(items: readonly NewItem[], write: (writes: Writes) => void): Promise<boolean> {
    for (;;) {
      try {
        const refused = await this.#options.outbox.put(items, write);
        this.#counts.requests += items.length - refused.length;
        this.#counts.refused += refused.length;
        const [first] = refused;
        if (first !== undefined) {
          const fields = { refused: refused.length, ...first };
          this.#log(first.reason, fields, 'callbacks of triggers are left out by the outbox');
        }
        return true;
      } catch (error) {
        if (!(error instanceof FairleadError)) throw error;
        if (error.error !== 'outboxFull') {
          this.#isStopped = true;
          return false;
        }
        const { retryAfterMs = RETRY_MS } = error.details ?? {};
        const fields = { waiting: this.#waiting.length };
        this.#log('full', fields, 'the outbox is full: firings of triggers wait');
        await this.#pause(Number(retryAfterMs));
        if (this.#isStopped) return false;
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wakeUp = () => {};
  }

  /** At most once a minute a reason. */
  #log(reason: string, fields: object, text: string): void {
    const nowMs = performance.now();
    if (nowMs - (this.#loggedMs.get(reason) ?? Number.NEGATIVE_INFINITY) < LOG_MS) return;
    this.#loggedMs.set(reason, nowMs);
    this.#options.logger.warn(fields, text);
  }
}
