/**
 * Every bound of the daemon, with its unit, its reason and what happens at it.
 *
 * The native core has its own copy of those it enforces (native/core/src/limits.rs); a test compares them.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

export const LIMITS = {
  // Client protocol. Past them: a coded error, the socket stays (protocol tables).
  /** Bytes of one client frame. Past it: frameTooLarge. */
  frameBytes: 1 * MIB,
  /** Messages of one publish frame, outcomes of one settle frame ×16. Past it: tooManyMessages. */
  messagesPerFrame: 4096,
  outcomesPerFrame: 65_536,
  /** Bytes of one payload. Past it: payloadTooLarge. */
  payloadBytes: 64 * KIB,
  /** Bytes of a name (tenant, sender, recipient, destination, set). Past it: fieldTooLong. */
  nameBytes: 128,
  /** Credit of one subscription. Past it: creditTooLarge. */
  creditMax: 65_536,
  creditDefault: 1024,
  /** Unanswered publish bytes of one connection. Past it: overloaded with retryAfterMs. */
  publishWindowBytes: 8 * MIB,
  /** Subscriptions of one connection and of one destination. Past it: tooManySubscriptions. */
  subscriptionsPerConnection: 256,
  subscriptionsPerDestination: 1024,

  // Sockets.
  connectionsMax: 50_000,
  /** Unsent bytes at which a connection's deliveries are parked, and below which they go on. */
  parkAtBytes: 4 * MIB,
  unparkBelowBytes: 1 * MIB,
  /** Unsent bytes at which a socket is closed with 1013: answers are always sent, so this ends a peer that reads none. */
  closeAtBytes: 16 * MIB,
  /** Bytes of a REST request body. Past it: bodyTooLarge. */
  requestBodyBytes: 1 * MIB,

  // Exchanges between ingress and a shard.
  /** Open input of a shard. Past it: frames are refused as overloaded. */
  inputBytes: 32 * MIB,
  /**
   * Largest input of one exchange; the rest waits for the next. Small, because V8 counts buffers when
   * it decides whether to collect. With 4 MiB the threads beside the main one took 86 % of a core at half
   * load, with this 52–59 %; the collections themselves were not counted again.
   */
  exchangeInputBytes: 1 * MIB,
  /** Effects of one exchange, picks of one exchange, bytes of one deliver frame. Past it: the next exchange goes on. */
  effectsBytes: 4 * MIB,
  picksPerExchange: 4096,
  deliverFrameBytes: 1 * MIB,
  /** Exchanges under way for one shard (K): 3 was best with records ≤ 64 KiB. */
  exchangesInFlight: 3,
  /** Longest sleep a shard may ask for. */
  wakeAfterMsMax: 60_000,

  // Dispatch, enforced in the core.
  queuesPerShard: 1_000_000,
  messagesPerQueue: 4_000_000,
  messagesPerShard: 50_000_000,
  /** Bytes of message bodies that have not ended. Past it: queueFull, shardFull. */
  bytesPerQueue: 4 * 1024 * MIB,
  bytesPerShard: 48 * 1024 * MIB,
  retryAfterMsMax: 3_600_000,
  throttleMsMax: 60_000,
  /** Bytes of a batch record before it is cut at the next message. */
  recordBytes: 16 * KIB,
  /** Payload cache of a shard, beside records not yet committed. */
  cacheBytes: 32 * MIB,
  /** Log records kept before a checkpoint begins by itself. */
  logBytes: 16 * MIB,
  /** Log records kept behind checkpoints for traces. Past it: the oldest are deleted, and traces are cut. */
  logKeptBytes: 64 * MIB,

  // The life of a message, enforced in the core.
  /** Service levels, 0 the highest; largest cost of a message. Past them: invalidOption. */
  levelMax: 7,
  costMax: 65_535,
  /** Bytes of an idempotency key and of a callback URL. Past them: fieldTooLong. */
  idempotencyKeyBytes: 255,
  callbackBytes: 2048,
  /** How far ahead a message may be scheduled, how long it may be valid. Past them: invalidOption. */
  scheduleMsMax: 90 * 24 * 3_600_000,
  validityMsMax: 30 * 24 * 3_600_000,
  validityMsDefault: 36_000_000,
  /** Message ids of one cancel, status or receipt frame. Past it: tooManyMessages. */
  idsPerFrame: 4096,
  /** Timers that fire in one exchange; the others fire in the next. */
  timersPerExchange: 16_384,
  /** Ids that wait for their records to be read. Past it: overloaded. */
  lookupsPerShard: 65_536,
  /** Dead letters of a shard. Past it: the oldest is given up for good and counted. */
  deadLetters: 100_000,
  /** Idempotency keys of a shard and how long they are known. Past it: keyed work is refused as tooManyKeys. */
  idempotencyKeys: 2_000_000,
  idempotencyWindowMs: 24 * 3_600_000,
  /** How long, and in how many bytes of records, ended messages are remembered. Past it: the oldest are forgotten. */
  retentionMs: 3_600_000,
  retentionBytes: 256 * MIB,

  // Lists of messages over REST.
  /** Questions to shards for one page. Past it: a page that is short, or empty, with a cursor. */
  asksPerPage: 32,

  // Entities.
  entitiesPerKind: 100_000,
  /** Records of changes to entities. Past it: the oldest goes with each new one. */
  changeRecords: 100_000,
  /** Records of changes that one page looks through. Past it: a short page with a cursor. */
  changesPerPage: 2_000,
  weightMin: 1,
  weightMax: 10_000,
  weightDefault: 100,
  leaseMsDefault: 30_000,
  leaseMsMax: 3_600_000,
  attemptsMaxDefault: 16,

  // Outgoing HTTP.
  /** Sockets of outgoing requests, in all and to one origin. Past it: requests wait for one, within their time. */
  outboundSockets: 4096,
  outboundSocketsPerOrigin: 256,
  /** Requests that wait for a socket. Past it: they fail as if their time were over. */
  outboundWaiting: 65_536,
  /** Addresses of a name that are tried. Past it: the others are not. */
  outboundAddressesMax: 4,
  /** How long name servers have for an answer. Past it: the request fails. */
  outboundDnsMs: 4_000,
  /** Bytes of an answer's head. Past it: the request fails as tooLarge. */
  outboundHeadBytes: 16 * KIB,
  /** Bytes of a body that are dropped, and how long that may take. Past it: the connection ends, the answer counts. */
  outboundDropBytes: 64 * KIB,
  outboundDrainMs: 2_000,
  /** How long a socket is kept idle, and the most that a peer's hint makes of it. */
  outboundIdleMs: 4_000,
  outboundIdleMsMax: 60_000,

  // Gateways, accounts and services. Past them a PUT is refused as invalidValue.
  /** Destinations of one gateway; the daemon subscribes to each. */
  gatewayDestinations: 64,
  /** Sessions of one SMPP gateway. */
  gatewaySessions: 8,
  /** Senders of one messaging service. */
  serviceSenders: 400,
  /** How long the secret before may go on signing after a rotation. */
  secretOverlapMsMax: 30 * 24 * 3_600_000,
  secretOverlapMsDefault: 24 * 3_600_000,

  // Durability.
  /** One big sparse map for each shard. LMDB grows it when it must; the disk reserve bounds the file. */
  mapBytes: 64 * 1024 * MIB,
  /** Free disk kept in reserve. Below it: publishes are refused as diskFull; settlements go on. */
  diskReserveBytes: 256 * MIB,
  /** A flush that takes longer ends the process: nothing may rest on it. */
  flushTimeoutMs: 30_000,
  shardsMax: 256,
} as const;
