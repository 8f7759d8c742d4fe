import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { parseObject, shown } from '../rest/parse-object.ts';
import type { AccountOwn } from './account-schemas.ts';
import type { EntityKind } from './entity-kinds.ts';
import { type Fields, HIDDEN_FIELDS, OWN_SCHEMAS, SCHEMAS } from './entity-schemas.ts';
import { inFlightDefault } from './gateway-schema.ts';

/** Fields of answers that a PUT may send back as they came. */
const ECHOED = new Set(['name', 'version']);

const TOKEN_BYTES = 16;

/** What a body says; what has no default of its own is left to `completeEntity`. */
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
  const echoed = echoedFields(kind);
  const fields = Object.entries(given).filter(([field]) => !echoed.has(field));
  const schema = SCHEMAS[kind] as z.ZodObject;
  const parsed = parseObject(`A ${kind}`, schema, Object.fromEntries(fields)) as ParsedFields[K];
  checkRate(kind, parsed);
  return parsed;
}

/** Not in the fields themselves: what an older daemon took has to be readable. @throws FairleadError invalidValue */
function checkRate(kind: EntityKind, fields: object): void {
  const isPace = kind === 'resource' || kind === 'policy';
  const min = isPace ? LIMITS.pacePerSecMin : LIMITS.ratePerSecMin;
  const { ratePerSec = null } = fields as { readonly ratePerSec?: number | null };
  if (ratePerSec === null || ratePerSec >= min) return;
  const message = `ratePerSec: is at least ${min}, received ${ratePerSec}.`;
  throw new FairleadError('invalidValue', message, { field: 'ratePerSec' });
}

/**
 * Checks all fields of an entity, with those that a PUT does not take. Fields that came with a later
 * version than the one that stored it get their defaults.
 *
 * @throws FairleadError unknownField, invalidValue
 */
export function checkFields<K extends EntityKind>(kind: K, given: object): Fields[K] {
  const shape = { ...SCHEMAS[kind].shape, ...OWN_SCHEMAS[kind]?.shape };
  return parseObject(`A ${kind}`, z.strictObject(shape), given) as object as Fields[K];
}

/**
 * Fills in what only the service knows: a destination's shardKey, which never changes; what is in
 * flight at a gateway of this type; the tokens of an account; what an absent field of a webhook was.
 *
 * @throws FairleadError shardKeyFixed
 */
export function completeEntity<K extends EntityKind>(
  kind: K,
  name: string,
  parsed: ParsedFields[K],
  before: Fields[K] | undefined,
): Fields[K] {
  const complete = completers[kind] as Completer<K> | undefined;
  return complete === undefined ? (parsed as Fields[K]) : complete(name, parsed, before);
}

type Completer<K extends EntityKind> = (
  name: string,
  parsed: ParsedFields[K],
  before: Fields[K] | undefined,
) => Fields[K];

const completers: { readonly [K in EntityKind]?: Completer<K> } = {
  destination: (name, parsed, before) => {
    const fixed = before?.shardKey;
    const shardKey = parsed.shardKey ?? fixed ?? name;
    if (fixed === undefined || shardKey === fixed) return { ...parsed, shardKey };
    throw new FairleadError(
      'shardKeyFixed',
      `shardKey is ${shown(fixed)} since the destination was made, received ${shown(shardKey)}; delete it and make it again.`,
      { field: 'shardKey', fixed },
    );
  },
  gateway: (_, parsed) => {
    return { ...parsed, inFlightMax: parsed.inFlightMax ?? inFlightDefault(parsed) };
  },
  account: (name, parsed, before) => {
    return { ...parsed, tenant: parsed.tenant ?? name, ...ownOf(before ?? newAccount()) };
  },
  webhook: (_, parsed, before) => {
    const { secretVersion = 1, previousUntilMs = null } = before ?? {};
    return {
      secretVersion: parsed.secretVersion ?? secretVersion,
      previousUntilMs:
        parsed.previousUntilMs === undefined ? previousUntilMs : parsed.previousUntilMs,
    };
  },
};

/** A token of an account: 32 hexadecimal digits, 128 bits. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('hex');
}

function newAccount(): AccountOwn {
  const nowMs = Date.now();
  return {
    createdMs: nowMs,
    updatedMs: nowMs,
    tokenVersion: 1,
    primaryToken: newToken(),
    secondaryToken: newToken(),
  };
}

function ownOf(account: AccountOwn): AccountOwn {
  const { createdMs, updatedMs, tokenVersion, primaryToken, secondaryToken } = account;
  return { createdMs, updatedMs, tokenVersion, primaryToken, secondaryToken };
}

/** Fields of an answer that a PUT takes back and passes over. */
function echoedFields(kind: EntityKind): ReadonlySet<string> {
  const own = Object.keys(OWN_SCHEMAS[kind]?.shape ?? {});
  const hidden = HIDDEN_FIELDS[kind] ?? [];
  return new Set([...ECHOED, ...own.filter((field) => !hidden.includes(field))]);
}

function checkEchoedName(name: string, given: unknown): void {
  if (given === undefined || given === name) return;
  throw new FairleadError(
    'invalidValue',
    `name: the path says ${name}, the body says ${shown(given)}.`,
    { field: 'name' },
  );
}
