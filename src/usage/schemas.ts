// What bodies and answers of the REST resources of usage hold.
import { z } from 'zod';
import { isDay } from '../base/day.ts';
import { LIMITS } from '../limits.ts';
import { REFUSE_CODES } from '../protocol/configure.ts';
import {
  ACTION,
  type ActionKind,
  CALLBACK_FORM,
  CALLBACK_METHOD,
  MEASURE,
  RECORD_PERIOD,
  RECURRING,
} from '../protocol/usage-exchange.ts';
import { named } from '../rest/openapi-schemas.ts';

const TAG_FORM = new RegExp(`^[A-Za-z0-9._:+@-]{1,${LIMITS.usageTagBytes}}$`);
/** Half of a surrogate pair is no character of UTF-8: neither the disk nor a receiver could have it. */
const WHOLE_TEXT = /^\P{Cs}*$/u;
const COUNT_MAX = Number.MAX_SAFE_INTEGER;

function wordOf<N extends string>(table: Readonly<Record<N, number>>) {
  const names = Object.keys(table) as [N, ...N[]];
  return z.enum(names, `is ${names.join(', ')}`);
}

const count = z.int().min(0);
export const tenantSchema = z
  .string('is a text')
  .regex(new RegExp(`^[A-Za-z0-9._:+@-]{1,${LIMITS.nameBytes}}$`), 'is a name');
export const categorySchema = z
  .string('is a text')
  .regex(
    new RegExp(`^[a-z0-9._-]{1,${LIMITS.categoryBytes}}$`),
    `is 1 to ${LIMITS.categoryBytes} characters of a-z 0-9 . _ -`,
  );
export const tagSchema = z.string('is a text').regex(TAG_FORM, 'is a tag');
export const sidSchema = z.string().regex(/^UT[0-9a-f]{32}$/);
export const daySchema = z.string('is a text').refine(isDay, 'is a day such as 2026-11-22');
export const measureSchema = wordOf(MEASURE);
export const recurringSchema = wordOf(RECURRING);
export const recordPeriodSchema = wordOf(RECORD_PERIOD);

const timeSchema = z
  .union([z.int(), z.iso.datetime({ offset: true })], 'is ms since the epoch or a time')
  .describe('ms since the epoch, or 2026-11-22T10:00:00Z; default: now');

export const eventSchema = named(
  'UsageEvent',
  z.strictObject({
    tenant: tenantSchema.optional().describe('default: the one of the token'),
    category: categorySchema,
    quantity: z.int('is a whole number').describe('negative: a correction'),
    count: z.int('is a whole number').optional().describe('default: 1, of a correction 0'),
    key: z
      .string('is a text')
      .regex(WHOLE_TEXT, 'is a text without lone surrogates')
      .refine(isKeyLong, `has 1 to ${LIMITS.idempotencyKeyBytes} bytes`)
      .optional()
      .describe('the event counts once'),
    at: timeSchema.optional(),
    tag: tagSchema.optional(),
  }),
);

export const eventsSchema = z.strictObject({
  events: z.array(eventSchema, 'is a list of events').min(1).max(LIMITS.eventsPerFrame),
});

export const useSchema = z.strictObject({
  counted: count,
  repeated: count.describe('whose key was known'),
  refused: z.array(
    z.strictObject({
      index: count,
      code: z.int(),
      message: z.string(),
      retryAfterMs: z.int().nullable(),
    }),
  ),
});

const wide = z
  .union([z.int().min(-COUNT_MAX).max(COUNT_MAX), z.string().regex(/^-?\d{16,39}$/)])
  .describe('whole; as text from 2^53 on');

export const recordSchema = named(
  'UsageRecord',
  z.strictObject({
    account: z.string().describe('the tenant'),
    category: z.string(),
    tag: z.string().nullable(),
    from: z.string().describe('first day of UTC'),
    to: z.string().describe('last day'),
    count: wide,
    usage: wide,
    price: z.string().describe('decimal with 9 places'),
  }),
);

/** A number, or the same as text, which loses nothing. */
const amount = z
  .union(
    [z.int().min(0), z.string().regex(/^\d{1,38}(?:\.\d{1,9})?$/)],
    'is a whole number, or a decimal as text',
  )
  .describe('whole; of the price a decimal with at most 9 places');

const callbackSchema = z.strictObject({
  url: z
    .string('is a text')
    .max(LIMITS.callbackBytes)
    .regex(/^https?:\/\/[!-~]+$/, 'is an http:// or https:// URL in printable ASCII')
    .refine((text) => URL.canParse(text), 'is a URL')
    // It would be shown to whoever reads the trigger.
    .refine((text) => !hasUser(text), 'has no user name and no password'),
  method: wordOf(CALLBACK_METHOD).default('POST'),
  form: wordOf(CALLBACK_FORM)
    .default('standard')
    .describe('form: as accounts have it, for a tenant that has an account'),
});

/** The most that the number of an action may be; the others have none. */
const NUMBER_MAX: { readonly [K in ActionKind]?: number } = {
  capRate: LIMITS.ratePerSecMax,
  capConcurrency: LIMITS.seatsPerCell,
  ledger: LIMITS.ledgerAmountMax,
};

const actionSchema = z
  .strictObject({
    kind: wordOf(ACTION),
    number: z
      .number('is a number')
      .positive()
      .nullable()
      .default(null)
      .describe(
        'of capRate: messages a second; of capConcurrency: permits’ seats; of ledger: an amount, or none',
      ),
    code: z
      .literal(REFUSE_CODES, `is null, ${REFUSE_CODES.join(' or ')}`)
      .nullable()
      .default(null)
      .describe('of refuse: what new messages are refused with; null: 3022'),
  })
  .refine(
    ({ kind, number }) =>
      kind === 'ledger' || (NUMBER_MAX[kind] !== undefined) === (number !== null),
    { path: ['number'], error: 'is given for capRate and capConcurrency, and may be for ledger' },
  )
  .refine(({ kind, code }) => kind === 'refuse' || code === null, {
    path: ['code'],
    error: 'is given for refuse only',
  })
  .refine(({ kind, number }) => kind !== 'capConcurrency' || Number.isInteger(number), {
    path: ['number'],
    error: 'is a whole number for capConcurrency',
  })
  .refine(({ kind, number }) => (number ?? 0) <= (NUMBER_MAX[kind] ?? 0), {
    path: ['number'],
    error: `is at most ${LIMITS.ratePerSecMax} for capRate, ${LIMITS.seatsPerCell} for capConcurrency, ${LIMITS.ledgerAmountMax} for ledger`,
  });

const triggerFields = {
  category: categorySchema,
  tag: tagSchema.nullable().default(null),
  by: measureSchema.default('count').describe('what of the counter is looked at'),
  value: amount,
  relative: z
    .boolean('is true or false')
    .default(false)
    .describe('value counts from what there was when the trigger was made'),
  thresholds: z
    .array(amount)
    .max(LIMITS.triggerThresholds)
    .default([])
    .describe('further values, ascending'),
  step: amount.nullable().default(null).describe('after the last value, every so much more'),
  recurring: recurringSchema.default('none').describe('how often it may fire: once each period'),
  windowMs: z
    .int()
    .min(LIMITS.triggerWindowMsMin)
    .max(LIMITS.triggerWindowMsMax)
    .nullable()
    .default(null)
    .describe('fires at more than value within so long'),
  rearmBelow: amount.nullable().default(null).describe('back below it, it may fire again'),
  everyN: z
    .int()
    .min(1)
    .max(LIMITS.triggerEveryMax)
    .default(1)
    .describe('looks at each n-th event'),
  callbacks: z.array(callbackSchema).max(LIMITS.triggerCallbacks).default([]),
  action: actionSchema.nullable().default(null).describe('what the daemon does itself'),
  friendlyName: z
    .string('is a text')
    .max(LIMITS.triggerNameChars)
    .regex(WHOLE_TEXT, 'is a text without lone surrogates')
    .nullable()
    .default(null),
  subAccounts: z
    .boolean('is true or false')
    .default(false)
    .describe('counts tenants below the tenant, too'),
};

export const newTriggerSchema = z.strictObject({ tenant: tenantSchema, ...triggerFields });
export const changedTriggerSchema = z.strictObject({
  tenant: tenantSchema.optional().describe('as it is'),
  ...triggerFields,
});

const text = z.string().describe('decimal; of the price with 9 places');
const ms = z.int().describe('ms since the epoch');

export const triggerSchema = named(
  'UsageTrigger',
  z.strictObject({
    sid: sidSchema,
    account: z.string().describe('the tenant'),
    category: z.string(),
    tag: z.string().nullable(),
    by: measureSchema,
    value: text,
    relative: z.boolean(),
    base: text.nullable().describe('of a relative one: the total when it was made'),
    thresholds: z.array(text),
    step: text.nullable(),
    recurring: recurringSchema,
    windowMs: z.int().nullable(),
    rearmBelow: text.nullable(),
    everyN: z.int(),
    callbacks: z.array(z.strictObject({ url: z.string(), method: z.string(), form: z.string() })),
    action: z
      .strictObject({
        kind: z.string(),
        number: z.number().nullable(),
        code: z.int().nullable(),
      })
      .nullable(),
    friendlyName: z.string().nullable(),
    subAccounts: z.boolean(),
    currentValue: text,
    firedMs: ms.nullable().describe('last time'),
    firedValue: text.nullable().describe('currentValue then'),
    firings: count,
    skipped: count.describe('steps passed over because one event crossed too many'),
    arming: count,
    createdMs: ms,
    updatedMs: ms,
  }),
);

function isKeyLong(key: string): boolean {
  const bytes = Buffer.byteLength(key);
  return bytes >= 1 && bytes <= LIMITS.idempotencyKeyBytes;
}

function hasUser(given: string): boolean {
  if (!URL.canParse(given)) return false;
  const { username, password } = new URL(given);
  return username !== '' || password !== '';
}
