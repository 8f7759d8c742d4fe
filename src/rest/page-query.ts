// What every list takes and answers.
import { z } from 'zod';
import { FairleadError } from '../errors.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

const CURSOR_TEXT = 'is what the page before gave';
const rangeText = `is a whole number from 1 to ${LIMIT_MAX}`;

/** Fields of a list's query. */
export const pageFields = {
  limit: z
    .int(rangeText)
    .min(1, rangeText)
    .max(LIMIT_MAX, rangeText)
    .default(LIMIT_DEFAULT)
    .describe('rows of a page'),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,3072}$/, CURSOR_TEXT)
    .optional()
    .describe('where the page before ended'),
};

/** The query of a list without filters. */
export const pageQuery = z.strictObject(pageFields);

/** The answer of a list. */
export function pageOf(item: z.ZodType): z.ZodObject {
  return z.strictObject({
    items: z.array(item),
    cursor: z.string().nullable().describe('for the next page; null: this was the last'),
  });
}

/** The answer to a cursor that has the form of one, but that no page of this list gave. */
export function wrongCursor(): FairleadError {
  const message = `cursor: ${CURSOR_TEXT}, received another text.`;
  return new FairleadError('invalidValue', message, { field: 'cursor' });
}
