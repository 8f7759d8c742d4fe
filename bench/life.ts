/** `--scope life`: messages that are scheduled ahead, and messages with idempotency keys. */
import { type KeyedResult, measureKeyed } from './life-keyed.ts';
import { type MemoryResult, measureScheduledMemory } from './life-memory.ts';
import {
  type DrainResult,
  measureDrain,
  measurePunctual,
  type PunctualResult,
} from './life-scheduled.ts';

export type LifeResult = MemoryResult | PunctualResult | DrainResult | KeyedResult;

export interface LifeOptions {
  /** Messages scheduled, and keys in the window. */
  readonly messages: number;
  readonly rounds: number;
  /** Part of a row's name; undefined: all rows. */
  readonly filter?: string | undefined;
}

/** Messages due a second, and for how long, of the row about punctuality. */
const DUE_PER_SEC = 10_000;
const DUE_SEC_MAX = 20;

/** Measures the rows one after another, each on a daemon of its own. */
export async function* measureLife(options: LifeOptions): AsyncGenerator<LifeResult, void> {
  const { messages, rounds, filter = '' } = options;
  const punctual = Math.min(messages, DUE_PER_SEC * DUE_SEC_MAX);
  const rows: [name: string, measure: () => Promise<LifeResult>][] = [
    ['life/scheduled/memory', () => measureScheduledMemory(messages)],
    ['life/scheduled/punctual', () => measurePunctual(punctual, DUE_PER_SEC)],
    ['life/scheduled/drain', () => measureDrain(messages)],
    ['life/keyed', () => measureKeyed(messages, rounds)],
  ];
  for (const [name, measure] of rows) if (name.includes(filter)) yield await measure();
}
