/**
 * Writes of the outbox, gathered: what ends in one turn of the event loop is one transaction, since
 * each one costs the same however many items it has.
 */
import type { Environment, Writes } from '../store/environment.ts';

/** What the outbox needs of its environment; tests pass one that crashes. */
export type OutboxEnvironment = Pick<Environment, 'get' | 'range' | 'refresh' | 'commitQueued'>;

export interface OutboxWriterOptions {
  readonly environment: OutboxEnvironment;
  /** Called after each flush. */
  readonly onFlushed: () => void;
  /** Called when a write failed: memory and disk are apart then, and only a restart brings them together. */
  readonly onFatal: (error: Error) => void;
}

export class OutboxWriter {
  readonly #options: OutboxWriterOptions;
  #steps: ((writes: Writes) => void)[] = [];
  #after: (() => void)[] = [];
  #isPlanned = false;
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: OutboxWriterOptions) {
    this.#options = options;
  }

  /** Writes with the others of this turn; `after` is called when it is flushed, in order. */
  add(step: (writes: Writes) => void, after?: () => void): void {
    this.#steps.push(step);
    if (after !== undefined) this.#after.push(after);
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => this.#write());
  }

  /** Resolves when everything that was added is flushed. */
  async flush(): Promise<void> {
    this.#write();
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #write(): void {
    this.#isPlanned = false;
    if (this.#steps.length === 0) return;
    const [steps, after] = [this.#steps, this.#after];
    this.#steps = [];
    this.#after = [];
    const { environment, onFlushed, onFatal } = this.#options;
    const work = environment
      .commitQueued((writes) => {
        for (const step of steps) step(writes);
      })
      .then(
        () => {
          for (const call of after) call();
          onFlushed();
        },
        (error: unknown) => onFatal(error as Error),
      )
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }
}
