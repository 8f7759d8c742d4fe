import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type EntityKind, PLURALS } from './entity-kinds.ts';

/** @throws FairleadError tooManyEntities when there would be more of a kind than there may be. */
export function checkRoom(kind: EntityKind, count: number): void {
  if (count <= LIMITS.entitiesPerKind) return;
  throw new FairleadError(
    'tooManyEntities',
    `There are ${LIMITS.entitiesPerKind} ${PLURALS[kind]}, as many as there may be.`,
  );
}
