/**
 * Every option of the daemon: shape, default, meaning. Entities (destinations, sets, tenants) are
 * never options; they live in the data directory and are changed over the API.
 */
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { LOG_LEVELS } from '../log.ts';

/** Shards default to 1, and to 2 from this many cores: more shards share one disk's flushes. */
const CORES_FOR_TWO_SHARDS = 8;

/** A shard keeps this much of ended messages at least, so that a status asked at once has an answer. */
const RETENTION_BYTES_MIN = 1024 * 1024;
/** Both are in memory. */
const IDEMPOTENCY_KEYS_MAX = 50_000_000;
const DEAD_LETTERS_MAX = 10_000_000;

const path = z.string().min(1, 'may not be empty');
const port = z.int().min(0).max(65_535);

const authKey = z.strictObject({
  id: z.string().min(1).max(64).describe('names the key in a token’s header (kid)'),
  secret: z.string().optional().describe('at least 32 bytes, as text'),
  secretFile: path.optional().describe('file that holds the secret'),
  secretEnv: z.string().min(1).optional().describe('environment variable that holds the secret'),
});

export type AuthKeyOption = z.output<typeof authKey>;

export const configSchema = z.strictObject({
  dataDir: path.default('/var/lib/fairlead').describe('directory of journal and entities'),
  durability: z
    .enum(['flushed', 'committed', 'memory'])
    .default('flushed')
    .describe('when an answer leaves: after the flush, after the commit, or throw-away'),
  shards: z
    .int()
    .min(1)
    .max(LIMITS.shardsMax)
    .optional()
    .describe(
      `worker threads; fixed when the data directory is made (1, or 2 from ${CORES_FOR_TWO_SHARDS} cores)`,
    ),
  ingress: z.strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('address to listen on'),
    port: port.default(7600).describe('TCP port; 0 takes any free one'),
    allowFallback: z
      .boolean()
      .default(false)
      .describe('serve although only the slow imitation of the network library loads'),
    metricsScope: z
      .enum(['none', 'platform'])
      .default('platform')
      .describe('what /metrics asks for: nothing, or a token with scope platform'),
    tls: z.strictObject({
      certFile: path.optional().describe('certificate chain, PEM'),
      keyFile: path.optional().describe('private key, PEM'),
    }),
  }),
  auth: z.strictObject({
    issuer: z.string().min(1).default('fairlead').describe('iss that a token must have'),
    audience: z.string().min(1).default('fairlead').describe('aud that a token must have'),
    keys: z.array(authKey).max(16).default([]).describe('keys that sign tokens, newest first'),
  }),
  dispatch: z.strictObject({
    autoCreateDestinations: z
      .boolean()
      .default(false)
      .describe('make an unknown destination at its first message'),
    retentionMs: z
      .int()
      .min(0)
      .max(LIMITS.validityMsMax)
      .default(LIMITS.retentionMs)
      .describe('how long an ended message is remembered'),
    retentionBytes: z
      .int()
      .min(RETENTION_BYTES_MIN)
      .max(LIMITS.mapBytes / 4)
      .default(LIMITS.retentionBytes)
      .describe('bytes of records of ended messages that a shard keeps; the oldest go first'),
    idempotencyKeysMax: z
      .int()
      .min(1)
      .max(IDEMPOTENCY_KEYS_MAX)
      .default(LIMITS.idempotencyKeys)
      .describe('idempotency keys that a shard remembers; past it keyed work is refused'),
    deadLettersMax: z
      .int()
      .min(1)
      .max(DEAD_LETTERS_MAX)
      .default(LIMITS.deadLetters)
      .describe('dead letters that a shard keeps; past it the oldest is given up for good'),
  }),
  log: z.strictObject({
    level: z.enum(LOG_LEVELS).default('info').describe('least severe level that is logged'),
  }),
  shutdown: z.strictObject({
    deadlineMs: z
      .int()
      .min(0)
      .max(600_000)
      .default(10_000)
      .describe('how long a stop waits for what is in flight'),
  }),
});

export type Config = z.output<typeof configSchema>;

/** One option: its dotted key and how to check it. */
export interface Option {
  readonly key: string;
  readonly schema: z.ZodType;
  /** The variable that overrides the file: FAIRLEAD_ and the key in capitals. */
  readonly env: string;
}

/** All options in the order of the schema. */
export const OPTIONS: readonly Option[] = [...optionsOf(configSchema, [])];

function* optionsOf(object: z.ZodObject, parents: readonly string[]): Generator<Option> {
  for (const [name, schema] of Object.entries(object.shape)) {
    const keys = [...parents, name];
    if (schema instanceof z.ZodObject) yield* optionsOf(schema, keys);
    else yield { key: keys.join('.'), schema: schema as z.ZodType, env: envOf(keys) };
  }
}

function envOf(keys: readonly string[]): string {
  const words = keys.map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`));
  return `FAIRLEAD_${words.join('_').toUpperCase()}`;
}

/** The number of shards of a new data directory when none is configured. */
export function shardsDefault(cores: number): number {
  return cores >= CORES_FOR_TWO_SHARDS ? 2 : 1;
}
