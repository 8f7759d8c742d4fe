import type { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { parseObject, shown } from '../rest/parse-object.ts';
import { type EntityKind, type Fields, SCHEMAS } from './entity-schemas.ts';

/** Fields of answers that a PUT may send back as they came. */
const ECHOED = new Set(['name', 'version']);

/** What a body says; a destination may have left its shardKey to the service. */
export type ParsedFields = { [K in EntityKind]: z.output<(typeof SCHEMAS)[K]> };

/**
 * Checks the body of a PUT and fills in the defaults.
 *
 * @throws FairleadError unknownField, invalidValue; details list every problem.
 */
export function parseEntity<K extends EntityKind>(
  kind: K,
  name: string,
  body: unknown,
): ParsedFields[K] {
  const given = body ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw new FairleadError('invalidValue', `The body is a JSON object, received ${shown(body)}.`);
  }
  checkEchoedName(name, (given as Record<string, unknown>).name);
  const fields = Object.entries(given).filter(([field]) => !ECHOED.has(field));
  const schema = SCHEMAS[kind] as z.ZodObject;
  return parseObject(`A ${kind}`, schema, Object.fromEntries(fields)) as ParsedFields[K];
}

/**
 * Fills in what only the service knows: a destination's shardKey, which never changes.
 *
 * @throws FairleadError shardKeyFixed
 */
export function completeEntity<K extends EntityKind>(
  kind: K,
  name: string,
  parsed: ParsedFields[K],
  before: Fields[K] | undefined,
): Fields[K] {
  if (kind !== 'destination') return parsed as Fields[K];
  const given = parsed as ParsedFields['destination'];
  const fixed = (before as Fields['destination'] | undefined)?.shardKey;
  const shardKey = given.shardKey ?? fixed ?? name;
  if (fixed !== undefined && shardKey !== fixed) {
    throw new FairleadError(
      'shardKeyFixed',
      `shardKey is ${shown(fixed)} since the destination was made, received ${shown(shardKey)}; delete it and make it again.`,
      { field: 'shardKey', fixed },
    );
  }
  return { ...given, shardKey } as Fields[K];
}

/**
 * Checks the name of an entity; a sender's is `tenant/sender`.
 *
 * @throws FairleadError invalidName, fieldTooLong
 */
export function checkEntityName(kind: EntityKind, name: string): void {
  if (kind !== 'sender') {
    checkName(name);
    return;
  }
  const slash = name.indexOf('/');
  if (slash < 0) {
    throw new FairleadError(
      'invalidName',
      `A sender is named by its tenant and itself, as in acme/4930, received ${shown(name)}.`,
    );
  }
  checkName(name.slice(0, slash));
  checkName(name.slice(slash + 1));
}

/** @throws FairleadError invalidName, fieldTooLong */
export function checkName(name: string): void {
  if (name.length > LIMITS.nameBytes) {
    throw new FairleadError(
      'fieldTooLong',
      `A name has at most ${LIMITS.nameBytes} bytes, received ${name.length}.`,
    );
  }
  if (!/^[A-Za-z0-9._:+@-]+$/.test(name)) {
    throw new FairleadError(
      'invalidName',
      `A name is made of A-Z a-z 0-9 . _ : + @ -, received ${shown(name)}.`,
    );
  }
}

function checkEchoedName(name: string, given: unknown): void {
  if (given === undefined || given === name) return;
  throw new FairleadError(
    'invalidValue',
    `name: the path says ${name}, the body says ${shown(given)}.`,
    { field: 'name' },
  );
}
