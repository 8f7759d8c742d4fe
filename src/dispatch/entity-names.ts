/** What entities are named: most by a name, some by what they stand for. */
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { shown } from '../rest/parse-object.ts';
import { nameSchema } from './entity-fields.ts';
import { type EntityKind, HALF_PAIR_KINDS, PAIR_KINDS } from './entity-kinds.ts';

interface NameForm {
  readonly pattern: RegExp;
  readonly meaning: string;
}

/** Forms of names; the kinds that are not here, and webhooks, which are named by their tenant, take any name. */
const FORMS: Readonly<Partial<Record<EntityKind, NameForm>>> = {
  account: { pattern: /^AC[0-9a-f]{32}$/, meaning: 'AC and 32 hexadecimal digits in lower case' },
  service: { pattern: /^MG[0-9a-f]{32}$/, meaning: 'MG and 32 hexadecimal digits in lower case' },
  number: { pattern: /^\+[1-9][0-9]{1,14}$/, meaning: '+ and 2 to 15 digits, the first not 0' },
  route: {
    pattern: /^(?:[1-9][0-9]{0,14}|\*)$/,
    meaning: 'the first 1 to 15 digits of numbers, not beginning with 0, or * for all others',
  },
  price: {
    pattern: /^[a-z0-9._-]{1,64}(?:\/[A-Za-z0-9._:+@-]{1,128})?$/,
    meaning: 'its category (a-z 0-9 . _ -), alone or with a slash and a tenant',
  },
};

/** A name in a path or an answer. */
export function entityNameSchema(kind: EntityKind): z.ZodString {
  const pair = HALF_PAIR_KINDS.includes(kind) ? undefined : PAIR_KINDS[kind];
  if (pair !== undefined) {
    return z
      .string()
      .regex(/^[^/]+\/[^/]+$/)
      .describe(pair.join('/'));
  }
  const form = FORMS[kind];
  return form === undefined ? nameSchema : z.string().regex(form.pattern).describe(form.meaning);
}

/**
 * Checks the name of an entity; a sender's is `tenant/sender`, a policy's `resource/tenant`.
 *
 * @throws FairleadError invalidName, fieldTooLong
 */
export function checkEntityName(kind: EntityKind, name: string): void {
  const form = FORMS[kind];
  if (form !== undefined) {
    checkForm(kind, name, form);
    return;
  }
  const pair = PAIR_KINDS[kind];
  if (pair === undefined) {
    checkName(name);
    return;
  }
  const slash = name.indexOf('/');
  if (slash < 0) {
    const message = `A ${kind} is named ${pair.join('/')}, received ${shown(name)}.`;
    throw new FairleadError('invalidName', message);
  }
  checkName(name.slice(0, slash));
  checkName(name.slice(slash + 1));
}

function checkForm(kind: EntityKind, name: string, { pattern, meaning }: NameForm): void {
  if (pattern.test(name)) return;
  const a = kind === 'account' ? 'An' : 'A';
  throw new FairleadError(
    'invalidName',
    `${a} ${kind} is named by ${meaning}, received ${shown(name)}.`,
  );
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
