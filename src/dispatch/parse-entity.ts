import type { z } from 'zod';
import { closestWord } from '../base/closest-word.ts';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type EntityKind, SCHEMAS } from './entity-schemas.ts';

const RECEIVED_LENGTH_MAX = 80;

/** Fields of answers that a PUT may send back as they came. */
const ECHOED = new Set(['name', 'version']);

/** What a body says; a destination may have left its shardKey to the service. */
export type ParsedFields = { [K in EntityKind]: z.output<(typeof SCHEMAS)[K]> };

/**
 * Checks the body of a PUT and fills in the defaults.
 *
 * @throws FairleadError unknownField, invalidValue, notYetSupported; details list every problem.
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
  checkUnknown(kind, fields);
  const result = SCHEMAS[kind].safeParse(Object.fromEntries(fields));
  if (!result.success) throw invalidFields(given, result.error.issues);
  const parsed = result.data as ParsedFields[K];
  if ('borrowMax' in parsed && parsed.borrowMax !== null) {
    throw new FairleadError(
      'notYetSupported',
      `borrowMax is null (no cap), received ${parsed.borrowMax}: a cap on borrowing is not served yet.`,
      { field: 'borrowMax' },
    );
  }
  return parsed;
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

function checkUnknown(kind: EntityKind, fields: readonly (readonly [string, unknown])[]): void {
  const known = Object.keys(SCHEMAS[kind].shape);
  const unknown = fields.map(([field]) => field).find((field) => !known.includes(field));
  if (unknown === undefined) return;
  const suggestion = closestWord(unknown, known);
  const meant =
    suggestion === undefined ? `it has ${known.join(', ')}` : `did you mean ${suggestion}?`;
  throw new FairleadError('unknownField', `A ${kind} has no field ${shown(unknown)}; ${meant}`, {
    field: unknown.slice(0, RECEIVED_LENGTH_MAX),
    ...(suggestion === undefined ? {} : { suggestion }),
  });
}

function invalidFields(given: object, issues: readonly z.core.$ZodIssue[]): FairleadError {
  const problems = issues.map((issue) => {
    const field = issue.path.join('.');
    const received = shown((given as Record<string, unknown>)[field]);
    return { field, message: `${field}: ${sentence(issue)}, received ${received}` };
  });
  const message = `${problems.map((problem) => problem.message).join('; ')}.`;
  return new FairleadError('invalidValue', message, { fields: problems });
}

function sentence(issue: z.core.$ZodIssue): string {
  if (issue.code === 'too_small') {
    return issue.inclusive === false ? `is above ${issue.minimum}` : `is at least ${issue.minimum}`;
  }
  return issue.code === 'too_big' ? `is at most ${issue.maximum}` : issue.message;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > RECEIVED_LENGTH_MAX ? `${text.slice(0, RECEIVED_LENGTH_MAX)}…` : text;
}
