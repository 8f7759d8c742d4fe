import type { Actor } from '../rest/actor.ts';
import { shownFields } from './entity-schemas.ts';
import type { ChangeRecord } from './ports.ts';

/** The record of one change, made now; it has no secrets. */
export function changeRecord(
  { subject, address }: Actor,
  { kind, name, before, after }: Pick<ChangeRecord, 'kind' | 'name' | 'before' | 'after'>,
): ChangeRecord {
  const shown = (fields: object | null) => fields && shownFields(kind, fields);
  const who = { atMs: Date.now(), actor: subject, address };
  return { ...who, kind, name, before: shown(before), after: shown(after) };
}
