/** The fields of a gateway: what takes deliveries of some destinations, and how it is reached. */
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import {
  integer,
  nameSchema,
  paused,
  quota,
  secretNameSchema,
  urlSchema,
  weight,
} from './entity-fields.ts';

export const GATEWAY_TYPES = ['pull', 'webhook', 'smpp'] as const;
export type GatewayType = (typeof GATEWAY_TYPES)[number];

/** Messages in flight where a PUT says none. */
const WEBHOOK_IN_FLIGHT = 64;
const SESSION_IN_FLIGHT = 10;

const TIMEOUT_MS_MAX = 120_000;
const BATCH_MAX = 100;
const PORT_MAX = 65_535;
const ENQUIRE_MS_MAX = 600_000;
const DATA_CODING_MAX = 255;
/** Longest texts of the fields of a bind, without their closing zero. */
const SYSTEM_ID_LENGTH = 15;
const SYSTEM_TYPE_LENGTH = 12;
const HOST_LENGTH = 253;
/** Text of PDUs ends with its first zero, and is ASCII: an octet a character. */
const PRINTABLE = /^[ -~]*$/;

const timeoutMs = (usual: number) => integer(100, TIMEOUT_MS_MAX).default(usual);

const webhookSchema = z.strictObject(
  {
    url: urlSchema.describe('where messages are posted'),
    timeoutMs: timeoutMs(10_000).describe('time for an answer'),
    batchMax: integer(1, BATCH_MAX).default(1).describe('messages of one request'),
    secret: secretNameSchema.describe('name of the secret that signs; null: unsigned'),
  },
  'is null or an object with url',
);

const smppSchema = z.strictObject(
  {
    host: z.string('is a text').min(1).max(HOST_LENGTH).describe('name or address'),
    port: integer(1, PORT_MAX),
    systemId: z.string('is a text').max(SYSTEM_ID_LENGTH).describe('name of the bind'),
    password: secretNameSchema.describe('name of the secret with the password; null: none'),
    systemType: z.string('is a text').max(SYSTEM_TYPE_LENGTH).default(''),
    bind: z
      .enum(['transceiver', 'separate'], 'is transceiver or separate')
      .default('transceiver')
      .describe('one session for both directions, or a transmitter and a receiver'),
    sessions: integer(1, LIMITS.gatewaySessions).default(1).describe('binds at one time'),
    tls: z.boolean('is true or false').default(false),
    ca: secretNameSchema.describe(
      'name of the secret with certificates in PEM that are trusted in place of the usual ones; null: the usual',
    ),
    enquireMs: integer(1_000, ENQUIRE_MS_MAX)
      .default(30_000)
      .describe('pause between enquire_link'),
    pduTimeoutMs: timeoutMs(10_000).describe('time for the answer to a PDU'),
    defaultDataCoding: integer(0, DATA_CODING_MAX)
      .default(0)
      .describe('data_coding of text in the default alphabet'),
  },
  'is null or an object with host, port and systemId',
);

const hookSchema = z.strictObject(
  {
    url: urlSchema.describe('asked before messages are sent'),
    timeoutMs: timeoutMs(2_000).describe('time for an answer'),
    onTimeout: z
      .enum(['allow', 'refuse', 'retry'], 'is allow, refuse or retry')
      .default('retry')
      .describe('what becomes of messages without an answer'),
    secret: secretNameSchema.describe('name of the secret that signs; null: unsigned'),
  },
  'is null or an object with url',
);

export const gatewaySchema = z
  .strictObject({
    type: z
      .enum(GATEWAY_TYPES, 'is pull, webhook or smpp')
      .describe('whether it comes for messages itself, or the daemon sends them'),
    destinations: z
      .array(nameSchema, 'is a list of destinations')
      .min(1)
      .max(LIMITS.gatewayDestinations)
      .refine((names) => new Set(names).size === names.length, 'has each destination once')
      .describe('what it serves; all with one shardKey'),
    weight,
    ...quota,
    inFlightMax: quota.inFlightMax.describe(
      'messages in flight; null: no limit (pull), 64 (webhook), 10 a session (smpp)',
    ),
    paused,
    webhook: webhookSchema.nullable().default(null).describe('of the type webhook'),
    smpp: smppSchema.nullable().default(null).describe('of the type smpp'),
    hook: hookSchema.nullable().default(null).describe('not of the type pull'),
  })
  .refine(({ type, webhook }) => (type === 'webhook') === (webhook !== null), {
    path: ['webhook'],
    error: 'is given for the type webhook, and for no other',
  })
  .refine(({ type, smpp }) => (type === 'smpp') === (smpp !== null), {
    path: ['smpp'],
    error: 'is given for the type smpp, and for no other',
  })
  .refine(({ type, hook }) => type !== 'pull' || hook === null, {
    path: ['hook'],
    error: 'is null for the type pull: only what the daemon sends itself can be asked about first',
  })
  .refine(({ smpp }) => smpp === null || smpp.tls || smpp.ca === null, {
    path: ['smpp', 'ca'],
    error: 'is null without tls',
  })
  .superRefine(({ webhook, smpp, hook }, { addIssue }) => {
    // Not in the fields themselves: what an older daemon took has to be readable.
    const wrong = (path: readonly string[], message: string): void => {
      addIssue({ code: 'custom', path: [...path], message });
    };
    for (const field of ['systemId', 'systemType', 'host'] as const) {
      if (!PRINTABLE.test(smpp?.[field] ?? '')) wrong(['smpp', field], 'is printable ASCII');
    }
    const secrets = [
      [['webhook', 'secret'], webhook?.secret],
      [['hook', 'secret'], hook?.secret],
      [['smpp', 'password'], smpp?.password],
      [['smpp', 'ca'], smpp?.ca],
    ] as const;
    for (const [path, name] of secrets) {
      if (name === '.' || name === '..') wrong(path, 'is a name of a file, which . and .. are not');
    }
  });

export type Gateway = z.output<typeof gatewaySchema>;

/** Messages in flight where a PUT says none; null: no limit. */
export function inFlightDefault({ type, smpp }: Gateway): number | null {
  if (type === 'pull') return null;
  return type === 'webhook' ? WEBHOOK_IN_FLIGHT : SESSION_IN_FLIGHT * (smpp?.sessions ?? 1);
}
