/**
 * What a policy and its resource have to keep to together, looked at when the policy is put.
 *
 * A resource that is changed later is not refused for its policies: a limit can be lowered at any
 * time. Floors beyond it then count in proportion, and a policy of mode delay that is left without
 * a pace queues.
 */
import { FairleadError } from '../errors.ts';
import type { EntityBook } from './entity-book.ts';
import { resourceOf } from './entity-kinds.ts';
import type { Fields } from './entity-schemas.ts';
import type { EntityRow } from './ports.ts';

const nothing = (): void => {};

/** @throws FairleadError invalidValue: the policy delays, and nobody says at which pace */
export function checkPace(policy: Fields['policy'], resource: Fields['resource']): void {
  if (policy.mode !== 'delay' || (policy.ratePerSec ?? resource.ratePerSec) !== null) return;
  const message =
    'ratePerSec is given for the mode delay: neither the policy nor its resource has one.';
  throw new FairleadError('invalidValue', message, { field: 'ratePerSec' });
}

/** @throws FairleadError invalidValue: floors of `sum` seats are more than the resource can have */
export function checkFloors(
  sum: number,
  name: string,
  { limit, adaptive }: Fields['resource'],
): void {
  const cap = Math.min(
    limit ?? Number.POSITIVE_INFINITY,
    adaptive?.max ?? Number.POSITIVE_INFINITY,
  );
  if (sum <= cap) return;
  const message = `floor: those of the resource ${name} would come to ${sum} seats, of ${cap} that it has; lower others or raise its limit.`;
  throw new FairleadError('invalidValue', message, { field: 'floor' });
}

/**
 * Checks a policy, and keeps its floor while it is stored; the other kinds pass.
 *
 * @returns lets go of it again
 * @throws FairleadError invalidValue
 */
export function claimPolicy(row: EntityRow, book: EntityBook): () => void {
  if (row.kind !== 'policy') return nothing;
  const name = resourceOf(row.name);
  const resource = book.get('resource', name)?.fields;
  if (resource === undefined) return nothing;
  checkPace(row.fields, resource);
  const more = row.fields.floor - (book.get('policy', row.name)?.fields.floor ?? 0);
  // One that is not raised is never refused, also where all of them are too many already.
  if (more <= 0) return nothing;
  checkFloors(book.floorsOf(name) + more, name, resource);
  book.addFloor(name, more);
  return () => book.addFloor(name, -more);
}
