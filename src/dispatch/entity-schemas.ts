/**
 * The resources an operator shapes dispatching with: their fields, ranges and defaults.
 * A PUT replaces the whole resource, so every absent field has its default here.
 */
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { REFUSE_CODES } from '../protocol/configure.ts';
import {
  type Account,
  accountOwnSchema,
  accountSchema,
  numberSchema,
  type PhoneNumber,
  type Route,
  routeSchema,
  type SenderService,
  serviceSchema,
  type WebhookSigning,
  webhookSchema,
} from './account-schemas.ts';
import { integer, nameSchema, paused, quota, rate, refuseNew, weight } from './entity-fields.ts';
import type { EntityKind } from './entity-kinds.ts';
import { type Gateway, gatewaySchema } from './gateway-schema.ts';
import { type Cap, capSchema, type Price, priceSchema } from './price-schemas.ts';
import {
  concurrencyMax,
  type Policy,
  policySchema,
  type Resource,
  resourceSchema,
} from './resource-schemas.ts';

/** The set of tenants that no other set was named for; it always exists. */
export const DEFAULT_SET = 'default';

const LEASE_MS_MIN = 100;
const ATTEMPTS_MAX = 10_000;
const RETRY_MAX_MS_DEFAULT = 600_000;
const WAITING_BYTES_MAX = 2 ** 40;
/** Of the policy `shuffle`; the core has tables of this size. */
const SLOTS_MAX = 4096;
const HAND_MAX = 16;
const LEVELS_MIN = 2;
/** Floors together leave half of the service to the order of levels. */
const FLOORS_SUM_MAX = 0.5;

export const destinationSchema = z
  .strictObject({
    ...quota,
    leaseMs: integer(LEASE_MS_MIN, LIMITS.leaseMsMax)
      .default(LIMITS.leaseMsDefault)
      .describe('time a gateway has for an outcome'),
    attemptsMax: integer(1, ATTEMPTS_MAX)
      .default(LIMITS.attemptsMaxDefault)
      .describe('attempts before a message is a dead letter'),
    onDoubt: z
      .enum(['redeliver', 'fail'], 'is redeliver or fail')
      .default('redeliver')
      .describe('what becomes of messages that were in flight at a crash'),
    fairBy: z
      .enum(['auto', 'cost', 'time'], 'is auto, cost or time')
      .default('auto')
      .describe('what is shared fairly: cost of messages, or time in flight'),
    shardKey: nameSchema
      .optional()
      .describe(
        'destinations with one key share a shard; fixed at the first PUT; default: its name',
      ),
    paused,
    retryBaseMs: integer(1, LIMITS.retryAfterMsMax)
      .default(1_000)
      .describe('pause before the second attempt; it doubles with each further one'),
    retryMaxMs: integer(1, LIMITS.retryAfterMsMax)
      .default(RETRY_MAX_MS_DEFAULT)
      .describe('longest pause between attempts'),
    retryJitter: z
      .number('is a number from 0 to 1')
      .min(0)
      .max(1)
      .default(0.2)
      .describe('part of the pause by which it varies'),
    validityMs: integer(1, LIMITS.validityMsMax)
      .default(LIMITS.validityMsDefault)
      .describe('how long a message without a validity of its own may wait'),
    refuseNew,
    admission: z
      .enum(['off', 'shadow', 'on'], 'is off, shadow or on')
      .default('off')
      .describe('whether work that would expire before its turn is refused; shadow only counts it'),
    owner: nameSchema
      .nullable()
      .default(null)
      .describe('tenant that takes its messages itself, with the scope receive; null: none'),
  })
  .refine(({ retryBaseMs, retryMaxMs }) => retryMaxMs >= retryBaseMs, {
    path: ['retryMaxMs'],
    error: `is at least retryBaseMs (${RETRY_MAX_MS_DEFAULT} unless given)`,
  });

export const setSchema = z
  .strictObject({
    weight,
    ...quota,
    order: z
      .enum(['fifo', 'strict'], 'is fifo or strict')
      .default('fifo')
      .describe('order of a sender’s messages: of first attempts, or of every attempt'),
    borrowMax: z
      .number('is null or a number from 0')
      .min(0)
      .nullable()
      .default(null)
      .describe('what it may take above its share, as part of that share; null: no cap'),
    paused,
    refuseNew,
    policy: z
      .enum(['fair', 'shuffle'], 'is fair or shuffle')
      .default('fair')
      .describe('a queue for each sender, or slots that tenants share by hash'),
    slots: integer(2, SLOTS_MAX).default(64).describe('of the policy shuffle: shared slots'),
    hand: integer(1, HAND_MAX).default(4).describe('of the policy shuffle: slots of one tenant'),
  })
  .refine(({ hand, slots }) => hand <= slots, { path: ['hand'], error: 'is at most slots' });

const levelFloors = z
  .array(z.number('is a number from 0').min(0), 'is null or a list of numbers')
  .min(LEVELS_MIN)
  .max(LIMITS.levelMax + 1)
  .refine(([first]) => first === 0, 'has 0 first')
  .refine(
    (floors) => floors.reduce((sum, floor) => sum + floor, 0) <= FLOORS_SUM_MAX,
    `adds up to at most ${FLOORS_SUM_MAX}`,
  );

export const tenantSchema = z.strictObject({
  set: nameSchema.default(DEFAULT_SET).describe('tenant set it belongs to'),
  weight,
  ...quota,
  paused,
  refuseNew,
  refuseCode: z
    .literal(REFUSE_CODES, 'is null, 3022 or 5006')
    .nullable()
    .default(null)
    .describe('what new work is refused with; null: 3022'),
  levelFloors: levelFloors
    .nullable()
    .default(null)
    .describe('least part of its service that each service level gets, 0 first; null: no levels'),
  waitingMax: integer(1, LIMITS.messagesPerShard)
    .nullable()
    .default(null)
    .describe('messages that may wait at one destination; null: the daemon’s own bounds'),
  waitingBytesMax: integer(1, WAITING_BYTES_MAX)
    .nullable()
    .default(null)
    .describe('bytes of messages that may wait at one destination; null: the daemon’s own bounds'),
  concurrencyMax,
  parent: nameSchema
    .nullable()
    .default(null)
    .describe('tenant above it, whose usage includes its own; null: none'),
});

export const senderSchema = z.strictObject({
  ...quota,
  pool: nameSchema.nullable().default(null).describe('pool whose rate it shares; null: none'),
  paused,
  refuseNew,
});

export const poolSchema = z.strictObject(rate);

export const SCHEMAS = {
  destination: destinationSchema,
  set: setSchema,
  tenant: tenantSchema,
  sender: senderSchema,
  pool: poolSchema,
  gateway: gatewaySchema,
  account: accountSchema,
  number: numberSchema,
  route: routeSchema,
  service: serviceSchema,
  webhook: webhookSchema,
  resource: resourceSchema,
  policy: policySchema,
  price: priceSchema,
  cap: capSchema,
} as const satisfies Record<EntityKind, z.ZodObject>;

export type Destination = z.output<typeof destinationSchema> & { readonly shardKey: string };
export type TenantSet = z.output<typeof setSchema>;
export type Tenant = z.output<typeof tenantSchema>;
export type Sender = z.output<typeof senderSchema>;
export type Pool = z.output<typeof poolSchema>;

/** The fields of each kind, complete. */
export interface Fields {
  readonly destination: Destination;
  readonly set: TenantSet;
  readonly tenant: Tenant;
  readonly sender: Sender;
  readonly pool: Pool;
  readonly gateway: Gateway;
  readonly account: Account;
  readonly number: PhoneNumber;
  readonly route: Route;
  readonly service: SenderService;
  readonly webhook: WebhookSigning;
  readonly resource: Resource;
  readonly policy: Policy;
  readonly price: Price;
  readonly cap: Cap;
}

/** What the daemon itself fills in and a PUT may send back as it came. */
export const OWN_SCHEMAS: Readonly<Partial<Record<EntityKind, z.ZodObject>>> = {
  account: accountOwnSchema,
};

/** Fields that are stored and never shown: not in answers, lists, plans or records of changes. */
export const HIDDEN_FIELDS: Readonly<Partial<Record<EntityKind, readonly string[]>>> = {
  account: ['primaryToken', 'secondaryToken'],
};

/** The fields that may be shown. */
export function shownFields(kind: EntityKind, fields: object): object {
  const hidden = HIDDEN_FIELDS[kind];
  if (hidden === undefined) return fields;
  return Object.fromEntries(Object.entries(fields).filter(([field]) => !hidden.includes(field)));
}
