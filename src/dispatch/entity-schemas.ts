/**
 * The three resources an operator shapes dispatching with: their fields, ranges and defaults.
 * A PUT replaces the whole resource, so every absent field has its default here.
 */
import { z } from 'zod';
import { LIMITS } from '../limits.ts';

/** Kinds in the order in which a shard takes them at its start: what refers follows what is referred to. */
export const ENTITY_KINDS = ['set', 'tenant', 'destination'] as const;
export type EntityKind = (typeof ENTITY_KINDS)[number];

/** Kinds as stored and as shards know them; never given another meaning. */
export const KIND_NUMBERS = { destination: 1, set: 2, tenant: 3 } as const;

/** The set of tenants that no other set was named for; it always exists. */
export const DEFAULT_SET = 'default';

const RATE_PER_SEC_MAX = 10_000_000;
const BURST_MAX = 10_000_000;
const IN_FLIGHT_MAX = 10_000_000;
const LEASE_MS_MIN = 100;
const ATTEMPTS_MAX = 10_000;

const integer = (least: number, most: number) =>
  z
    .int({ error: `is a whole number from ${least} to ${most}` })
    .min(least)
    .max(most);

const name = z
  .string('is a text')
  .regex(
    new RegExp(`^[A-Za-z0-9._:+@-]{1,${LIMITS.nameBytes}}$`),
    `is 1 to ${LIMITS.nameBytes} characters of A-Z a-z 0-9 . _ : + @ -`,
  );

const weight = integer(LIMITS.weightMin, LIMITS.weightMax).default(LIMITS.weightDefault);
const paused = z.boolean('is true or false').default(false);

/** What a destination, a set or a tenant may take: messages a second, in one go, at one time. */
const quota = {
  ratePerSec: z
    .number(`is null or a number above 0, up to ${RATE_PER_SEC_MAX}`)
    .positive()
    .max(RATE_PER_SEC_MAX)
    .nullable()
    .default(null),
  burst: integer(1, BURST_MAX).nullable().default(null),
  inFlightMax: integer(1, IN_FLIGHT_MAX).nullable().default(null),
};

export const destinationSchema = z.strictObject({
  ...quota,
  leaseMs: integer(LEASE_MS_MIN, LIMITS.leaseMsMax).default(LIMITS.leaseMsDefault),
  attemptsMax: integer(1, ATTEMPTS_MAX).default(LIMITS.attemptsMaxDefault),
  onDoubt: z.enum(['redeliver', 'fail'], 'is redeliver or fail').default('redeliver'),
  fairBy: z.enum(['auto', 'cost', 'time'], 'is auto, cost or time').default('auto'),
  /** Absent: the destination's own name, or what it has already. */
  shardKey: name.optional(),
  paused,
});

export const setSchema = z.strictObject({
  weight,
  ...quota,
  order: z.enum(['fifo', 'strict'], 'is fifo or strict').default('fifo'),
  /** Only null is served yet; the service refuses other values as notYetSupported. */
  borrowMax: z.number('is null or a number from 0').min(0).nullable().default(null),
});

export const tenantSchema = z.strictObject({
  set: name.default(DEFAULT_SET),
  weight,
  ...quota,
  paused,
});

export const SCHEMAS = {
  destination: destinationSchema,
  set: setSchema,
  tenant: tenantSchema,
} as const;

export type Destination = z.output<typeof destinationSchema> & { readonly shardKey: string };
export type TenantSet = z.output<typeof setSchema>;
export type Tenant = z.output<typeof tenantSchema>;

/** The fields of each kind, complete. */
export interface Fields {
  readonly destination: Destination;
  readonly set: TenantSet;
  readonly tenant: Tenant;
}
