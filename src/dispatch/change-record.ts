import type { Actor } from '../rest/actor.ts';
import type { ChangeRecord } from './ports.ts';

/** The record of one change, made now. */
export function changeRecord(
  { subject, address }: Actor,
  change: Pick<ChangeRecord, 'kind' | 'name' | 'before' | 'after'>,
): ChangeRecord {
  return { atMs: Date.now(), actor: subject, address, ...change };
}
