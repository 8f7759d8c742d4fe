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
const GATE_PERMITS_MAX = 4_000_000;
const GATE_KEYS_MAX = 4_000_000;

/** Each has a socket or two. */
const PROXY_REQUESTS_MAX = 100_000;

/** Each is compared at every dial. */
const ALLOW_MAX = 64;

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** A body streams, so it may be larger than memory. */
const PROXY_BODY_BYTES_MAX = 1024 ** 4;
const FAILED_KEEP_MS_MAX = 90 * DAY_MS;
/** At once, then 75 h in all: an endpoint may be down over a weekend. */
const RETRY_MS = [
  0,
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
] as const;

const path = z.string().min(1, 'may not be empty');
const port = z.int().min(0).max(65_535);

const authKey = z.strictObject({
  id: z.string().min(1).max(64).describe('names the key in a token’s header (kid)'),
  secret: z.string().optional().describe('at least 32 bytes, as text'),
  secretFile: path.optional().describe('file that holds the secret'),
  secretEnv: z.string().min(1).optional().describe('environment variable that holds the secret'),
});

export type AuthKeyOption = z.output<typeof authKey>;

const headerName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'is the name of a header, in lower case');

const tenantFrom = z
  .string()
  .regex(
    /^(?:jwt|key|header:[a-z0-9][a-z0-9-]{0,63})$/,
    'is jwt, key or header:NAME with a name in lower case',
  );

const backendUrl = z
  .string()
  .refine(isBackendUrl, 'is an http or https URL without user, query and fragment');

const proxyRoute = z
  .strictObject({
    path: z
      .string()
      .regex(
        // Each text fits in one way only, so one that does not is refused at once, however long.
        /^\/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]+(?:\/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*\/?)?$/,
        'begins with a slash, plain characters only',
      )
      .describe('prefix of the paths that it takes'),
    host: z
      .string()
      .regex(/^[a-z0-9.-]{1,253}$|^\[[0-9a-f:.]+\]$/, 'is a host in lower case, without a port')
      .optional(),
    methods: z
      .array(z.string().regex(/^[A-Z][A-Z-]{0,31}$/))
      .min(1)
      .max(16)
      .optional(),
    resource: z
      .string()
      .regex(/^[A-Za-z0-9._:+@-]{1,128}$/)
      .describe('what the gate counts'),
    backends: z.array(backendUrl).min(1).max(LIMITS.proxyBackends),
    tenantFrom: tenantFrom.default('jwt'),
    keyHeader: headerName.default('x-api-key').describe('header of the API key'),
    keys: z.string().min(1).optional().describe('secret that lists the API keys'),
    seats: z.int().min(1).max(LIMITS.proxySeats).default(1),
    waitMs: z.int().min(0).max(3_600_000).optional().describe('how long it may wait for the gate'),
    timeoutMs: z.int().min(10).max(HOUR_MS).default(30_000),
    idleMs: z.int().min(10).max(HOUR_MS).default(MINUTE_MS),
    lifeMs: z.int().min(10).max(DAY_MS).optional(),
    bodyBytesMax: z
      .int()
      .min(0)
      .max(PROXY_BODY_BYTES_MAX)
      .default(64 * 1024 * 1024),
    stripPrefix: z.boolean().default(false),
    preserveHost: z.boolean().default(false),
    encodedSlashes: z.boolean().default(false),
  })
  .refine(({ tenantFrom: from, keys }) => (from === 'key') === (keys !== undefined), {
    path: ['keys'],
    message: 'goes with tenantFrom = "key", and it with keys',
  });

export type ProxyRouteOption = z.output<typeof proxyRoute>;

function isBackendUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash, port } = new URL(text);
  if (protocol !== 'http:' && protocol !== 'https:') return false;
  return `${username}${password}${search}${hash}` === '' && port !== '0';
}

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
  gateway: z.strictObject({
    receiptWaitMs: z
      .int()
      .min(0)
      .max(LIMITS.receiptWaitMsMax)
      .default(LIMITS.receiptWaitMs)
      .describe('how long a receipt is waited for after a message was sent; 0: none is'),
  }),
  gate: z.strictObject({
    durability: z
      .enum(['strict', 'relaxed'], 'is strict or relaxed')
      .default('strict')
      .describe(
        'permits are given when they are as durable as all else, or at once: then a crash keeps the gate shut for the longest lease',
      ),
    graceMs: z
      .int()
      .min(0)
      .max(LIMITS.gateGraceMsMax)
      .default(LIMITS.gateGraceMs)
      .describe('how long permits of a connection that dropped may be claimed'),
    permitsMax: z
      .int()
      .min(1)
      .max(GATE_PERMITS_MAX)
      .default(LIMITS.gatePermits)
      .describe('permits that are out; past it none is given'),
    keysMax: z
      .int()
      .min(1)
      .max(GATE_KEYS_MAX)
      .default(LIMITS.gateKeys)
      .describe('tenants times resources that are counted; past it those that are new are refused'),
    autoCreateResources: z
      .boolean()
      .default(false)
      .describe('make an unknown resource at its first permit'),
  }),
  usage: z.strictObject({
    billable: z
      .enum(['accepted', 'sent', 'delivered'], 'is accepted, sent or delivered')
      .default('sent')
      .describe('what a message has to come to before it is counted as one to be paid for'),
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, 'is three capital letters, as in USD')
      .default('USD')
      .describe('of all prices'),
    eventKeyHours: z
      .int()
      .min(1)
      .max(LIMITS.usageKeyHoursMax)
      .default(LIMITS.usageKeyHours)
      .describe('how long the key of an event is known: within it the event counts once'),
    eventKeysMax: z
      .int()
      .min(1)
      .max(LIMITS.usageKeysAll)
      .default(LIMITS.usageKeys)
      .describe('keys of events of one tenant; past it events with a key are refused'),
    countersMax: z
      .int()
      .min(1)
      .max(LIMITS.usageCountersMax)
      .default(LIMITS.usageCounters)
      .describe('categories times tags of one tenant; past it new ones are refused'),
  }),
  secrets: z.strictObject({
    dir: path
      .optional()
      .describe('directory of secrets, a file each; default $CREDENTIALS_DIRECTORY'),
  }),

  outbound: z.strictObject({
    allow: z
      .array(z.string().min(1).max(256))
      .max(ALLOW_MAX)
      .default([])
      .describe(
        'CIDR ranges, addresses, hosts and host:port that requests may reach although they are not public',
      ),
    allowHttp: z
      .boolean()
      .default(false)
      .describe('send in clear (http:) also to addresses that allow does not list'),
    caFile: path.optional().describe('certificates, PEM, that are trusted beside the usual ones'),
    connectTimeoutMs: z
      .int()
      .min(100)
      .max(60_000)
      .default(5_000)
      .describe('how long resolving, connecting and the TLS handshake may take'),
    timeoutMs: z
      .int()
      .min(100)
      .max(60_000)
      .default(15_000)
      .describe('how long a delivery from the outbox may take, from its start to its answer'),
    concurrency: z
      .int()
      .min(1)
      .max(LIMITS.outboundSocketsPerOrigin)
      .default(8)
      .describe('deliveries from the outbox to one endpoint at the same time'),
    retryMs: z
      .array(z.int().min(0).max(LIMITS.outboxRetryMsMax))
      .min(1)
      .max(LIMITS.outboxAttempts)
      .default([...RETRY_MS])
      .describe(
        'wait before each attempt, the first from when the delivery was made, the others from the one before; after the last one it has failed',
      ),
    jitter: z
      .number()
      .min(0)
      .max(0.5)
      .default(0.2)
      .describe('how far a wait may be from its value, as a part of it'),
    failedKeepMs: z
      .int()
      .min(0)
      .max(FAILED_KEEP_MS_MAX)
      .default(7 * DAY_MS)
      .describe('how long a delivery that failed is kept for a replay'),
  }),
  proxyListener: z.strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('address that proxied requests come to'),
    port: port.default(7601).describe('its TCP port; 0 takes any free one'),
    trust: z
      .array(z.string().min(1).max(64))
      .max(LIMITS.proxyTrusted)
      .default([])
      .describe('addresses and ranges of fronts that are believed who a request comes from'),
    requestsMax: z
      .int()
      .min(1)
      .max(PROXY_REQUESTS_MAX)
      .default(LIMITS.proxyRequests)
      .describe('proxied requests at the same time, those that wait included'),
    socketsPerBackend: z
      .int()
      .min(1)
      .max(PROXY_REQUESTS_MAX)
      .default(1_024)
      .describe('connections to one backend; past it requests wait for one'),
    connectTimeoutMs: z
      .int()
      .min(10)
      .max(60_000)
      .default(3_000)
      .describe('how long connecting to a backend may take, TLS included'),
    caFile: path.optional().describe('certificates, PEM, that backends are checked with instead'),
    tls: z.strictObject({
      certFile: path.optional().describe('certificate chain, PEM'),
      keyFile: path.optional().describe('private key, PEM'),
    }),
  }),
  proxy: z
    .array(proxyRoute)
    .max(LIMITS.proxyRoutes)
    .default([])
    .describe('routes of the proxy; without one it does not listen'),
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
