/**
 * A counter that goes above the value of a trigger and, by a correction, back below where it is armed again: one
 * firing each time, under a token of its own. Only this part counts there, one step after another.
 */
import type { BuiltDaemon } from '../crash/daemon-process.ts';
import type { Callbacks } from './callbacks.ts';
import { dayOf, type Fold } from './fold.ts';
import { type MadeTrigger, type TriggerPlan, tokenOf } from './triggers.ts';

const TENANT = 'swing';
const CATEGORY = 'level';
const HEIGHT = 10;
const ASK_AGAIN_MS = 30;
const STEP_TIMEOUT_MS = 120_000;
const REST_TIMEOUT_MS = 5_000;

export const SWING: TriggerPlan = {
  ...{ tenant: TENANT, category: CATEGORY, by: 'usage', value: HEIGHT, rearmBelow: HEIGHT / 2 },
  callbacks: [{}],
};

export interface SwingOptions {
  readonly trigger: MadeTrigger;
  readonly fold: Fold;
  readonly callbacks: Callbacks;
  readonly daemon: () => BuiltDaemon;
  readonly nowMs: () => number;
}

export class Swing {
  /** How often it went up. */
  ups = 0;
  readonly faults: string[] = [];
  readonly #options: SwingOptions;
  #isStopped = false;
  readonly #work: Promise<void>;

  constructor(options: SwingOptions) {
    this.#options = options;
    this.#work = this.#loop().catch((error: unknown) => {
      this.faults.push(`the swing: ${(error as Error).message}`);
    });
  }

  /** Resolves when the swing under way is over. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#work;
  }

  /** Tokens that have to have come. */
  get expected(): string[] {
    const token = tokenOf(this.#options.trigger, 'alltime', 0);
    return Array.from({ length: this.ups }, (_, arming) => `${token}-${arming}`);
  }

  async #loop(): Promise<void> {
    while (!this.#isStopped) {
      await this.#count(HEIGHT, 1);
      this.ups += 1;
      const token = this.expected.at(-1) as string;
      await this.#until('its callback', async () => this.#options.callbacks.told.has(token));
      await this.#count(-HEIGHT, 0);
      await this.#until('that it is armed', async () => (await this.#arming()) === this.ups);
    }
  }

  async #count(quantity: number, count: number): Promise<void> {
    const { fold, nowMs } = this.#options;
    const day = dayOf(nowMs());
    const counted = { account: TENANT, category: CATEGORY, tag: '', day, count, usage: quantity };
    fold.count({ ...counted, price: 0 });
    const key = `swing ${this.ups} ${quantity}`;
    const body = { events: [{ tenant: TENANT, category: CATEGORY, quantity, key }] };
    await this.#until('an answer', async () => {
      const answer = await this.#fetch('usage/events', {
        method: 'POST',
        body: JSON.stringify(body),
      });
      return answer !== undefined;
    });
  }

  async #arming(): Promise<number | undefined> {
    const view = await this.#fetch(`triggers/${this.#options.trigger.sid}`, {});
    return (view as { arming: number } | undefined)?.arming;
  }

  /** Undefined: no answer, as when the daemon is down. */
  async #fetch(path: string, init: RequestInit): Promise<unknown> {
    const { url, token } = this.#options.daemon();
    try {
      const headers = { authorization: `Bearer ${token}` };
      const signal = AbortSignal.timeout(REST_TIMEOUT_MS);
      const response = await fetch(`${url}/v1/${path}`, { ...init, headers, signal });
      return response.ok ? await response.json() : undefined;
    } catch {
      return undefined;
    }
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + STEP_TIMEOUT_MS;
    while (!(await holds())) {
      if (performance.now() > endMs) throw new Error(`${what} did not come, swing ${this.ups}`);
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }
}
