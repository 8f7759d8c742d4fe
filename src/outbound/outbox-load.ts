// Reads what the outbox stored: its items in order of their numbers, each with how far it is.

import type { Entry } from '../store/environment.ts';
import { itemNumberOf, itemRange, OUTBOUND_TABLE, tableRange } from '../store/outbound-tables.ts';
import {
  decodeEndpoint,
  decodeItem,
  decodeProgress,
  type NewItem,
  type Progress,
  type StoredEndpoint,
} from './outbox-records.ts';
import type { OutboxEnvironment } from './outbox-writer.ts';

export interface StoredItem {
  readonly number: number;
  readonly bytes: number;
  readonly item: NewItem;
  /** Undefined: no attempt has failed. */
  readonly progress: Progress | undefined;
}

/** Items with numbers from `from` on. @throws RecordError */
export function* storedItems(
  environment: OutboxEnvironment,
  from = 0,
): Generator<StoredItem, void> {
  const items = itemRange('item', from);
  const steps = itemRange('progress', from);
  // Both are in order of numbers, so one walk beside the other finds what belongs together.
  const progresses = environment.range(steps.start, steps.end);
  try {
    let ahead = numbered(progresses.next());
    for (const { key, value } of environment.range(items.start, items.end)) {
      const number = itemNumberOf(key);
      while (ahead !== undefined && ahead.number < number) ahead = numbered(progresses.next());
      const progress = ahead?.number === number ? decodeProgress(ahead.value) : undefined;
      yield { number, bytes: value.length, item: decodeItem(value), progress };
    }
  } finally {
    progresses.return();
  }
}

function numbered(
  step: IteratorResult<Entry, void>,
): { number: number; value: Uint8Array } | undefined {
  if (step.done === true || step.value === undefined) return undefined;
  return { number: itemNumberOf(step.value.key), value: step.value.value };
}

/** Endpoints that are disabled. @throws RecordError */
export function* storedEndpoints(environment: OutboxEnvironment): Generator<StoredEndpoint, void> {
  const { start, end } = tableRange(OUTBOUND_TABLE.outboxEndpoints);
  for (const { value } of environment.range(start, end)) yield decodeEndpoint(value);
}
