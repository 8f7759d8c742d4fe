import type { z } from 'zod';
import { closestWord } from '../base/closest-word.ts';
import { FairleadError } from '../errors.ts';

const RECEIVED_LENGTH_MAX = 80;

/**
 * Checks an object against a schema and fills in the defaults; `what` names it in messages.
 *
 * @throws FairleadError unknownField, invalidValue; details list every problem.
 */
export function parseObject<S extends z.ZodObject>(
  what: string,
  schema: S,
  given: object,
): z.output<S> {
  checkUnknown(what, Object.keys(schema.shape), Object.keys(given));
  const result = schema.safeParse(given);
  if (!result.success) throw invalidFields(given, result.error.issues);
  return result.data;
}

/** A value as a message shows it, cut where it is long. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > RECEIVED_LENGTH_MAX ? `${text.slice(0, RECEIVED_LENGTH_MAX)}…` : text;
}

function checkUnknown(what: string, known: readonly string[], fields: readonly string[]): void {
  const unknown = fields.find((field) => !known.includes(field));
  if (unknown === undefined) return;
  const suggestion = closestWord(unknown, known);
  const all = known.length === 0 ? 'it has none' : `it has ${known.join(', ')}`;
  const meant = suggestion === undefined ? all : `did you mean ${suggestion}?`;
  throw new FairleadError('unknownField', `${what} has no field ${shown(unknown)}; ${meant}`, {
    field: unknown.slice(0, RECEIVED_LENGTH_MAX),
    ...(suggestion === undefined ? {} : { suggestion }),
  });
}

function invalidFields(given: object, issues: readonly z.core.$ZodIssue[]): FairleadError {
  const problems = issues.filter(isNews).map((issue) => {
    const field = issue.path.join('.');
    const received = issue.path.reduce<unknown>(
      (at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key],
      given,
    );
    return { field, message: `${field}: ${sentence(issue)}, received ${shown(received)}` };
  });
  const message = `${problems.map((problem) => problem.message).join('; ')}.`;
  return new FairleadError('invalidValue', message, { fields: problems });
}

/** A whole number that is beyond the field's own bound is beyond this one as well. */
function isNews(issue: z.core.$ZodIssue, at: number, all: readonly z.core.$ZodIssue[]): boolean {
  const isSafeBound = issue.code === 'too_big' && issue.maximum === Number.MAX_SAFE_INTEGER;
  const field = issue.path.join('.');
  return !isSafeBound || !all.some((other, place) => place > at && other.path.join('.') === field);
}

function sentence(issue: z.core.$ZodIssue): string {
  const isList = 'origin' in issue && issue.origin === 'array';
  const [is, entries] = isList ? ['has', ' entries'] : ['is', ''];
  if (issue.code === 'too_small') {
    return issue.inclusive === false
      ? `is above ${issue.minimum}`
      : `${is} at least ${issue.minimum}${entries}`;
  }
  if (issue.code === 'too_big') return `${is} at most ${issue.maximum}${entries}`;
  return issue.message;
}
