/** Messages as bodies give them, queries choose them and answers show them. */
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { MESSAGE_STATUS } from '../protocol/kinds.ts';
import { EVENT_STATUS_NAMES } from '../protocol/status-events.ts';
import { named } from '../rest/openapi-schemas.ts';
import { pageFields } from '../rest/page-query.ts';
import { nameSchema } from './entity-fields.ts';

/** Messages of one batch, and ids of one request. */
export const MESSAGES_MAX = 1000;
export const IDS_MAX = 1000;

export const STATUS_NAMES = Object.keys(MESSAGE_STATUS) as (keyof typeof MESSAGE_STATUS)[];

const whole = (least: number, most: number) =>
  z.int(`is a whole number from ${least} to ${most}`).min(least).max(most);

/** JSON may hold halves of characters, which no UTF-8 text can. */
const text = z
  .string('is a text')
  .refine((value) => !/\p{Surrogate}/u.test(value), 'is a text without lone surrogates');

export const idSchema = z
  .string('is a text')
  .regex(/^[0-9a-fA-F]{32}$/, 'is the id of a message, 32 hexadecimal digits');

const timeText = 'is a time: ms since the epoch, or ISO 8601 with a time zone';
const isoTime = z.iso.datetime({ offset: true, error: timeText });

export const keySchema = text
  .min(1)
  .max(LIMITS.idempotencyKeyBytes)
  .refine(
    (key) => Buffer.byteLength(key) <= LIMITS.idempotencyKeyBytes,
    `is at most ${LIMITS.idempotencyKeyBytes} bytes`,
  );

/** What may be said of one message. */
const messageFields = {
  tenant: nameSchema,
  sender: nameSchema.optional().describe('its messages keep their order'),
  recipient: nameSchema.optional(),
  payload: text
    .optional()
    .describe(`text of at most ${LIMITS.payloadBytes} bytes; this or payloadBase64`),
  payloadBase64: z
    .base64('is base64 with padding')
    .optional()
    .describe(`at most ${LIMITS.payloadBytes} bytes, in base64 (RFC 4648 §4)`),
  idempotencyKey: keySchema
    .optional()
    .describe('sent again with the same key, it is answered with the first one’s id'),
  level: whole(0, LIMITS.levelMax).optional().describe('service level, 0 is the highest'),
  cost: whole(1, LIMITS.costMax).optional().describe('what it weighs and takes of a rate'),
  sendAt: z
    .union([whole(0, Number.MAX_SAFE_INTEGER), isoTime], timeText)
    .optional()
    .describe('not before: ms since the epoch, or ISO 8601 with a time zone'),
  validityMs: whole(1, LIMITS.validityMsMax)
    .optional()
    .describe('how long it may wait, from now or sendAt; the destination has a default'),
  callbackUrl: z
    .string('is a text')
    .regex(/^https?:\/\/[!-~]+$/, 'is an http:// or https:// URL in printable ASCII')
    .max(LIMITS.callbackBytes)
    .optional()
    .describe('where status callbacks go'),
  callbackEvents: z
    .array(z.enum(EVENT_STATUS_NAMES), 'is a list of statuses')
    .max(EVENT_STATUS_NAMES.length)
    .optional()
    .describe('the statuses that are told to callbackUrl; default sent and every end'),
  orderKey: nameSchema
    .optional()
    .describe('keeps order with others of this key, not of its sender'),
  tag: nameSchema.optional().describe('for usage reports'),
};

const ONE_PAYLOAD = { path: ['payload'], error: 'is given, or payloadBase64, and not both' };

interface Payloads {
  readonly payload?: string | undefined;
  readonly payloadBase64?: string | undefined;
}
const hasOnePayload = ({ payload, payloadBase64 }: Payloads): boolean =>
  (payload === undefined) !== (payloadBase64 === undefined);

/** One message of a batch. */
export const newMessageSchema = named(
  'NewMessage',
  z.strictObject(messageFields).refine(hasOnePayload, ONE_PAYLOAD),
);
export type NewMessage = z.output<typeof newMessageSchema>;

/** One message with where it goes. */
export const sendSchema = z
  .strictObject({ destination: nameSchema, ...messageFields })
  .refine(hasOnePayload, ONE_PAYLOAD);

export const batchSchema = z.strictObject({
  destination: nameSchema,
  messages: z.array(newMessageSchema).min(1).max(MESSAGES_MAX),
});

/** The body of a batch before its messages are looked at one by one, so that an error names the message. */
export const batchFrameSchema = z.strictObject({
  destination: nameSchema,
  messages: z.array(z.unknown(), 'is a list').min(1).max(MESSAGES_MAX),
});

export const acceptedSchema = z.strictObject({
  id: idSchema,
  repeated: z.boolean().describe('the idempotency key was known: this is the first one’s id'),
});

const refusedSchema = z.strictObject({
  code: z.int().describe('number of the error'),
  message: z.string(),
  retryAfterMs: z.int().nullable(),
});

export const batchResultSchema = z.strictObject({
  items: z.array(z.union([acceptedSchema, refusedSchema])).describe('in the order of the messages'),
});

const time = z.int().describe('ms since the epoch');

const messageView = {
  id: idSchema,
  destination: z.string(),
  tenant: z.string(),
  sender: z.string().nullable(),
  recipient: z.string().nullable(),
  payload: z.string().nullable().optional().describe('if it is UTF-8 text; null: redacted'),
  payloadBase64: z.string().optional().describe('if it is no text'),
  status: z.enum(STATUS_NAMES),
  code: z.int().nullable().describe('why it ended: the gateway’s own code, or an error number'),
  reason: z.enum(['attemptsExhausted', 'inDoubt']).nullable().describe('of a dead letter'),
  attempts: z.int().min(0),
  acceptedMs: time,
  dueMs: time.nullable().describe('when it may be sent, if that is not now'),
  expiresMs: time,
  endedMs: time.nullable(),
  cost: z.int().min(1),
  level: z.int().min(0),
  orderKey: z.string().nullable(),
  tag: z.string().nullable(),
  callbackUrl: z.string().nullable(),
  inDoubt: z.boolean().describe('it may have been delivered already'),
  redacted: z.boolean(),
  deadLetter: z.boolean(),
};

export const messageSchema = named('Message', z.strictObject(messageView));

const eventSchema = named(
  'TraceEvent',
  z.strictObject({
    atMs: time,
    state: z.enum(['accepted', ...STATUS_NAMES, 'purged']),
    reason: z.string().optional().describe('why it came back, or is a dead letter'),
    queue: z.strictObject({
      destination: z.string(),
      tenant: z.string(),
      sender: z.string().nullable(),
      orderKey: z.string().nullable(),
      level: z.int().min(0),
    }),
    dueMs: time.nullable().optional().describe('when it may be sent next'),
    code: z.int().nullable().optional().describe('the gateway’s own code'),
    attempt: z.int().min(1).optional(),
    score: z.int().optional().describe('of its queue at the pick; smaller is sooner'),
    gateway: z
      .strictObject({ connection: z.int(), subscription: z.int() })
      .optional()
      .describe('whom it was handed to'),
  }),
);

export const foundSchema = z.strictObject({
  ...messageView,
  trace: z.array(eventSchema).optional().describe('with trace=true: what happened, in order'),
  traceTruncated: z.boolean().optional().describe('some of it is no longer known'),
});

/** A message that its shard has forgotten and of which a receipt came late. */
export const forgottenSchema = named(
  'ForgottenMessage',
  z.strictObject({
    id: idSchema,
    destination: z.string(),
    tenant: z.string(),
    tag: z.string().nullable(),
    status: z.enum(['delivered', 'undelivered', 'failed']),
    code: z.int().nullable().describe('of the receipt'),
    attempts: z.int().min(0),
    sentMs: time.nullable().describe('when it was last sent'),
    endedMs: time.describe('when the receipt came'),
    forgotten: z.literal(true),
  }),
);

/** The query of what is about one message. */
export const oneQuery = z.strictObject({
  tenant: nameSchema.optional().describe('only if it is this tenant’s'),
});

export const findQuery = z.strictObject({
  ...oneQuery.shape,
  trace: z.boolean('is true or false').default(false).describe('also what happened to it'),
});

/** Both lists: their cursor says the shard and where in it. */
const listFields = {
  destination: nameSchema.optional().describe('of this destination only'),
  tenant: nameSchema.optional().describe('of this tenant only'),
  ...pageFields,
};

export const deadLettersQuery = z.strictObject(listFields);

const statuses = STATUS_NAMES.join('|');
const queryTime = z.union([z.string().regex(/^\d{1,15}$/), isoTime], timeText).optional();

export const listQuery = z.strictObject({
  ...listFields,
  status: z
    .string()
    .regex(
      new RegExp(`^(${statuses})(,(${statuses}))*$`),
      `is one or more of ${STATUS_NAMES.join(', ')}, with commas between`,
    )
    .optional()
    .describe('of these statuses only, with commas between'),
  order: z
    .enum(['oldest', 'newest'], 'is oldest or newest')
    .default('oldest')
    .describe('oldest: shard after shard in order of acceptance; newest: over all shards'),
  from: queryTime.describe('accepted at this time or later; ms or ISO 8601'),
  to: queryTime.describe('accepted before this time; ms or ISO 8601'),
});

const filterFields = {
  destination: nameSchema.optional().describe('of this destination'),
  tenant: nameSchema.optional().describe('of this tenant'),
};

export const cancelSchema = z.strictObject({
  ...filterFields,
  sender: nameSchema.optional().describe('of this sender, save those with an order key'),
});

export const chooseDeadSchema = z.strictObject({
  ids: z.array(idSchema, 'is a list').min(1).max(IDS_MAX).optional(),
  ...filterFields,
});

/** A time of a body or a query in ms. */
export function timeMs(time: string | number): number {
  if (typeof time === 'number') return time;
  return /^\d+$/.test(time) ? Number(time) : new Date(time).getTime();
}
