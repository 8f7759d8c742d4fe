/**
 * The fields of what the gate counts with: a type of API resource, and one tenant's own policy for
 * it. Limits count seats; null means none of its own.
 */
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { integer } from './entity-fields.ts';

export const GATE_MODES = ['reject', 'queue', 'delay'] as const;
export type GateMode = (typeof GATE_MODES)[number];

/** The resource that the daemon's own REST interface is; it always exists. */
export const API_RESOURCE = 'fairlead.api';
/** Stands for the platform, which has no name as a tenant: in policies, and as the tenant whose `concurrencyMax` is its own. */
export const PLATFORM_TENANT = 'fairlead.platform';

const PACE_PER_SEC_MAX = 1_000_000;
/** How far above its least time a resource may be: 1 is twice as long. */
const TOLERANCE_MIN = 0.1;
const TOLERANCE_MAX = 10;

const limit = integer(0, LIMITS.seatsPerCell).nullable().default(null);
const mode = z.enum(GATE_MODES, 'is reject, queue or delay');
const waitersMax = integer(1, LIMITS.gateWaitersMax);
const waitMs = integer(0, LIMITS.gateWaitMsMax);
const ratePerSec = z
  .number(`is null or a number above 0, up to ${PACE_PER_SEC_MAX}`)
  .positive()
  .max(PACE_PER_SEC_MAX)
  .nullable()
  .default(null);

const adaptive = z
  .strictObject(
    {
      min: integer(1, LIMITS.seatsPerCell).describe('least limit'),
      max: integer(1, LIMITS.seatsPerCell).describe('largest limit'),
      tolerance: z
        .number(`is a number from ${TOLERANCE_MIN} to ${TOLERANCE_MAX}`)
        .min(TOLERANCE_MIN)
        .max(TOLERANCE_MAX)
        .default(1)
        .describe('how far above the least time is still good, as a part of it'),
    },
    'is null or an object with min and max',
  )
  .refine(({ min, max }) => max >= min, { path: ['max'], error: 'is at least min' });

export const resourceSchema = z
  .strictObject({
    limit: limit.describe('seats of all tenants together; null: no limit'),
    tenantLimit: limit.describe('seats of each tenant without a limit of its own; null: no limit'),
    mode: mode
      .default('reject')
      .describe('what becomes of what has no room: refused, queued, or passed on at a pace'),
    waitersMax: waitersMax.default(1_000).describe('that may wait, of each tenant'),
    waitMs: waitMs.default(10_000).describe('longest wait'),
    ratePerSec: ratePerSec.describe(
      'of the mode delay: how many of a tenant pass each second beyond its limit’s room',
    ),
    leaseMs: integer(LIMITS.permitLeaseMsMin, LIMITS.permitLeaseMsMax)
      .default(LIMITS.leaseMsDefault)
      .describe('how long a permit lasts that nobody renews'),
    adaptive: adaptive
      .nullable()
      .default(null)
      .describe('the limit follows how long work takes, from min to max; null: it stays'),
  })
  .refine(({ mode: given, ratePerSec: pace }) => given !== 'delay' || pace !== null, {
    path: ['ratePerSec'],
    error: 'is given for the mode delay',
  });

export const policySchema = z
  .strictObject({
    limit: limit.describe('seats of this tenant; null: the resource’s tenantLimit'),
    floor: integer(0, LIMITS.seatsPerCell)
      .default(0)
      .describe('seats of the resource’s limit that are kept free for it'),
    weight: integer(LIMITS.weightMin, LIMITS.weightMax)
      .nullable()
      .default(null)
      .describe('share among those that wait; null: the tenant’s'),
    mode: mode.nullable().default(null).describe('null: the resource’s, as in the next three'),
    waitersMax: waitersMax.nullable().default(null).describe('that may wait'),
    waitMs: waitMs.nullable().default(null).describe('longest wait'),
    ratePerSec: ratePerSec.describe('of the mode delay: how many pass each second'),
  })
  .refine(({ limit: own, floor }) => own === null || floor <= own, {
    path: ['floor'],
    error: 'is at most limit',
  });

/** Seats of one tenant over all resources. */
export const concurrencyMax = limit.describe('permits’ seats over all resources; null: no limit');

export type Resource = z.output<typeof resourceSchema>;
export type Policy = z.output<typeof policySchema>;
