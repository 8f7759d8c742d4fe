/** Usage as routes see it: what a trigger holds its tenant at ends when it is armed anew, changed or deleted. */
import type { UseEntry } from '../protocol/usage-frames.ts';
import type { Holds } from './holds.ts';
import type { RecordsQuery, TriggerBody, TriggerQuery, Usage, UseCaller } from './ports.ts';

export class HoldingTriggers implements Usage {
  readonly #usage: Usage;
  readonly #holds: Pick<Holds, 'release' | 'replaced'>;

  constructor(usage: Usage, holds: Pick<Holds, 'release' | 'replaced'>) {
    this.#usage = usage;
    this.#holds = holds;
  }

  use(caller: UseCaller, events: readonly UseEntry[]) {
    return this.#usage.use(caller, events);
  }

  records(query: RecordsQuery) {
    return this.#usage.records(query);
  }

  async putTrigger(account: string, body: TriggerBody, sid?: string) {
    const trigger = await this.#usage.putTrigger(account, body, sid);
    if (sid !== undefined) await this.#holds.replaced(sid, trigger);
    return trigger;
  }

  trigger(sid: string, account?: string) {
    return this.#usage.trigger(sid, account);
  }

  triggers(query: TriggerQuery) {
    return this.#usage.triggers(query);
  }

  async deleteTrigger(sid: string, account?: string): Promise<void> {
    await this.#usage.deleteTrigger(sid, account);
    await this.#holds.release(sid);
  }

  async rearmTrigger(sid: string, account?: string) {
    const trigger = await this.#usage.rearmTrigger(sid, account);
    await this.#holds.release(sid);
    return trigger;
  }

  stats() {
    return this.#usage.stats();
  }
}
