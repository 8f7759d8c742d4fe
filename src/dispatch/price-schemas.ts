/**
 * The fields of what usage costs and how much of it may be: a price list of a category, and a hard cap
 * of one tenant. Amounts are decimal text, so that nothing is lost on the way.
 */
import { z } from 'zod';
import { nanoOf } from '../base/nano.ts';
import { LIMITS } from '../limits.ts';
import { CAP_PERIOD, type CapPeriod, MEASURE, type Measure } from '../protocol/usage-exchange.ts';
import { integer } from './entity-fields.ts';

const FROM_MS_MAX = 8_640_000_000_000_000;
/** As nano-units it fits 64 bits. */
const amount = z
  .string('is a text')
  .regex(/^\d{1,9}(?:\.\d{1,9})?$/, 'is a decimal such as "0.0075", with at most 9 places');

export const priceSchema = z
  .strictObject({
    by: z
      .enum(['count', 'usage'], 'is count or usage')
      .default('usage')
      .describe('what one price is of: an event, or a unit of its usage'),
    steps: z
      .array(
        z.strictObject({
          fromMs: integer(0, FROM_MS_MAX).default(0).describe('from then on, ms since the epoch'),
          price: amount.describe('in the currency of the configuration'),
        }),
        'is a list of prices',
      )
      .min(1)
      .max(LIMITS.priceSteps)
      .describe('the price of an event is that of its time; before the first one it is 0'),
  })
  .refine(
    ({ steps }) => steps.every(({ fromMs }, at) => at === 0 || isLater(fromMs, steps[at - 1])),
    {
      path: ['steps'],
      error: 'has each later than the one before',
    },
  );

function isLater(fromMs: number, before: { readonly fromMs: number } | undefined): boolean {
  return before === undefined || fromMs > before.fromMs;
}

/** What shards count before they accept a message. */
const CAP_CATEGORIES = [
  'messages',
  'messages-accepted',
  'message-bytes',
  'segments',
  'totalprice',
] as const;

const measures = Object.keys(MEASURE) as [Measure, ...Measure[]];
const periods = Object.keys(CAP_PERIOD) as [CapPeriod, ...CapPeriod[]];

export const capSchema = z
  .strictObject({
    category: z
      .enum(CAP_CATEGORIES, `is ${CAP_CATEGORIES.join(', ')}`)
      .default('messages')
      .describe('what is counted; totalprice is by price only'),
    by: z
      .enum(measures, `is ${measures.join(', ')}`)
      .default('price')
      .describe('count: messages; usage: their cost, or bytes; price: what they cost in money'),
    period: z
      .enum(periods, `is ${periods.join(', ')}`)
      .default('month')
      .describe('of UTC'),
    value: z
      .string('is a text')
      .regex(/^(?:\d{1,9}(?:\.\d{1,9})?|\d{1,15})$/, 'is a number of at most 15 digits, or a price')
      .describe('the most that is accepted in a period'),
  })
  .refine(({ category, by }) => category !== 'totalprice' || by === 'price', {
    path: ['by'],
    error: 'is price for the category totalprice',
  })
  .refine(
    ({ by, value }) =>
      by === 'price' ? value.split('.', 1).join().length <= 9 : !value.includes('.'),
    {
      path: ['value'],
      error: 'is a whole number, or of the price one of at most 9 digits before the point',
    },
  );

export type Price = z.output<typeof priceSchema>;
export type Cap = z.output<typeof capSchema>;

/** A value as it is compared: nano-units where it is of the price. */
export function amountOf(by: Measure, value: string): bigint {
  return by === 'price' ? (nanoOf(value) ?? 0n) : BigInt(value);
}
