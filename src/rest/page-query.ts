// What every list takes and answers.
import { z } from 'zod';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

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
    .regex(/^[A-Za-z0-9_-]{1,3072}$/, 'is what the page before gave')
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
