/**
 * The fields of what the account form of the REST interface needs: accounts, numbers, routes,
 * services, and what signs the requests to a tenant.
 */
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { integer, nameSchema, urlSchema } from './entity-fields.ts';

/** Statuses that may be told of, as named in answers. */
export const CALLBACK_STATUSES = [
  'accepted',
  'scheduled',
  'queued',
  'sending',
  'sent',
  'delivered',
  'undelivered',
  'failed',
  'expired',
  'cancelled',
] as const;

const FRIENDLY_NAME_LENGTH = 64;
const VERSION_MAX = 1_000_000_000;

const friendlyName = z.string('is a text').max(FRIENDLY_NAME_LENGTH).default('');

export const accountSchema = z.strictObject({
  tenant: nameSchema
    .optional()
    .describe('tenant that it sends as; one account a tenant; default: its name'),
  friendlyName,
  status: z
    .enum(['active', 'suspended', 'closed'], 'is active, suspended or closed')
    .default('active')
    .describe('only an active account may send'),
  callbackStatuses: z
    .array(
      z.enum(CALLBACK_STATUSES, `is one of ${CALLBACK_STATUSES.join(', ')}`),
      'is null or a list of statuses',
    )
    .nullable()
    .default(null)
    .describe('told of where a message does not say; null: sent and all final ones'),
});

/** What the daemon fills in. The tokens are in no answer but the first and that of a rotation. */
export const accountOwnSchema = z.strictObject({
  createdMs: z.int().describe('ms since the epoch'),
  updatedMs: z.int().describe('of the last PUT or rotation'),
  tokenVersion: z.int().min(1).describe('how many primary tokens it has had'),
  primaryToken: z.string().regex(/^[0-9a-f]{32}$/),
  secondaryToken: z.string().regex(/^[0-9a-f]{32}$/),
});

export const numberSchema = z
  .strictObject({
    tenant: nameSchema.describe('whose number it is'),
    webhookUrl: urlSchema.nullable().default(null).describe('told of what comes in'),
    destination: nameSchema
      .nullable()
      .default(null)
      .describe('where what comes in is published for the tenant'),
  })
  .refine(({ webhookUrl, destination }) => (webhookUrl === null) !== (destination === null), {
    path: ['webhookUrl'],
    error: 'is given, or else destination, but not both',
  });

export const routeSchema = z.strictObject({
  destination: nameSchema.describe('where messages to these recipients go'),
});

export const serviceSchema = z.strictObject({
  tenant: nameSchema.describe('whose service it is'),
  friendlyName,
  senders: z
    .array(nameSchema, 'is a list of senders')
    .min(1)
    .max(LIMITS.serviceSenders)
    .refine((names) => new Set(names).size === names.length, 'has each sender once')
    .describe('each recipient gets one of them, always the same'),
});

export const webhookSchema = z.strictObject({
  secretVersion: integer(1, VERSION_MAX)
    .optional()
    .describe('number of the secret that signs; default: as it is, else 1'),
  previousUntilMs: z
    .int('is null or ms since the epoch')
    .min(0)
    .nullable()
    .optional()
    .describe('how long the secret before signs too; null: it does not; default: as it is'),
});

export type AccountOwn = z.output<typeof accountOwnSchema>;
export type Account = z.output<typeof accountSchema> & { readonly tenant: string } & AccountOwn;
export type PhoneNumber = z.output<typeof numberSchema>;
export type Route = z.output<typeof routeSchema>;
export type SenderService = z.output<typeof serviceSchema>;
export interface WebhookSigning {
  readonly secretVersion: number;
  readonly previousUntilMs: number | null;
}
