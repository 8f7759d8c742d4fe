import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type EntityKind, PLURALS } from './entity-kinds.ts';

/** @throws FairleadError tooManyEntities when there would be more of a kind than there may be. */
export function checkRoom(kind: EntityKind, count: number): void {
  const most = kind === 'cap' ? LIMITS.capSlots : LIMITS.entitiesPerKind;
  if (count <= most) return;
  throw new FairleadError(
    'tooManyEntities',
    `There are ${most} ${PLURALS[kind]}, as many as there may be.`,
  );
}
