/**
 * Every bound of the daemon, with its unit, its reason and what happens at it.
 *
 * The native core has its own copy of those it enforces (native/core/src/limits.rs); a test compares them.
 */
import { USAGE_LIMITS } from './limits-usage.ts';

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

  // Status events of messages with a callback, enforced in the core.
  /**
   * Bytes of a shard's events that are stored and not taken. Past it: messages with a callback are refused
   * as overloaded. Those accepted before go on, and their events are stored.
   */
  statusEventBytes: 64 * MIB,
  /** Of these, bytes told and not taken, and told in one exchange. Past them: the rest is told later. */
  statusEventToldBytes: 4 * MIB,
  statusEventExchangeBytes: 1 * MIB,

  // Status callbacks.
  /**
   * Messages whose callbacks are not over. Past it: the oldest of those that only wait for a receipt are
   * given up, with a line in the log. Those that are not sent yet stay.
   */
  callbackRecords: 2_000_000,

  // Lists of messages over REST.
  /** Questions to shards for one page. Past it: a page that is short, or empty, with a cursor. */
  asksPerPage: 32,

  // Gateways that the daemon drives.
  /** Payload bytes held for one gateway at which its deliveries are parked, and below which they go on. */
  gatewayParkBytes: 16 * MIB,
  gatewayUnparkBelowBytes: 4 * MIB,
  /** Bytes of the answer of a gateway or hook that are read. The rest is dropped: then it says nothing. */
  gatewayAnswerBytes: 256 * KIB,
  /** Messages that are known to be in doubt. Past it: the oldest goes out again without the flag. */
  gatewayDoubts: 65_536,
  /** Messages that a gateway is handed beyond its window. Past it: its window may wait for the disk. */
  gatewayAhead: 1_024,
  /** Messages of one question to a hook, and questions under way for a gateway. The others wait. */
  hookBatch: 100,
  hookRequests: 8,
  /** Gateways with lines of their own in the metrics. The others have none. */
  gatewaysShown: 256,
  /** Receipts that are waited for, in bytes on disk, and for how long. Past them: the oldest is dropped. */
  receiptBytes: 512 * MIB,
  receiptWaitMs: 72 * 3_600_000,
  receiptWaitMsMax: 14 * 24 * 3_600_000,
  /** Parts of one message that receipts are kept for. The others are not waited for. */
  receiptParts: 64,
  /** How long a receipt that comes before the answer to its message waits, and how many do. Past them: unknown. */
  receiptEarlyMs: 10_000,
  receiptsEarly: 10_000,
  /** Receipts of one request, and inbound messages of one. Past it: tooManyMessages. */
  receiptsPerRequest: 1_000,
  inboundPerRequest: 100,
  /** Keys of inbound messages of the last day. Past it: the oldest goes, and a repetition of it is taken again. */
  inboundKeys: 1_000_000,

  // Entities.
  entitiesPerKind: 100_000,
  /** Records of changes to entities. Past it: the oldest goes with each new one. */
  changeRecords: 100_000,
  /** Records of changes that one page looks through. Past it: a short page with a cursor. */
  changesPerPage: 2_000,
  /** Messages a second that an entity may have as its rate. Past either: invalidValue. */
  ratePerSecMin: 1e-6,
  ratePerSecMax: 10_000_000,
  weightMin: 1,
  weightMax: 10_000,
  weightDefault: 100,
  leaseMsDefault: 30_000,
  leaseMsMax: 3_600_000,
  attemptsMaxDefault: 16,

  // The gate.
  /** Pace of delayed requests, one in a day. Below it: invalidValue. */
  pacePerSecMin: 1 / 86_400,
  /** Seats of one permit, and in use of one key, tenant or resource. Past them: invalidOption; refused. */
  seatsPerPermit: 1_000,
  seatsPerCell: 1_000_000,
  /** Waiters of one key that a policy may allow, and how long they may be allowed to wait. Past them: invalidValue. */
  gateWaitersMax: 100_000,
  gateWaitMsMax: 3_600_000,
  /** Waiters of all keys. Past it: waitersFull. */
  gateWaiters: 1_000_000,
  /** Lease of a permit. One outside that is asked for: invalidOption; in a renewal the nearer bound. */
  permitLeaseMsMin: 1_000,
  permitLeaseMsMax: 3_600_000,
  /**
   * Permits that are out, and keys with permits, waiters or a policy. Past them: tooManyPermits, tooManyGateKeys; who
   * waits already is let in all the same.
   */
  gatePermits: 1_000_000,
  gateKeys: 1_000_000,
  /** Entries of one acquire, release or renew frame. Past it: tooManyMessages. */
  permitsPerFrame: 1_000,
  /** Keys that callers of this process know by number. Past it: all are asked for by name once more. */
  gateHandles: 16_384,
  /** Unread input of the gate. Past it: frames are refused as overloaded. */
  gateInputBytes: 8 * MIB,
  /** Steps of the gate whose flush is awaited. Past it: its input waits for the oldest. */
  gateStepsInFlight: 64,
  /** How long permits of a connection that dropped may be claimed; and the longest that may be configured. */
  gateGraceMs: 5_000,
  gateGraceMsMax: 3_600_000,
  /** Map of the environment of permits: sparse, grown when it must. */
  gateMapBytes: 2 * 1024 * MIB,

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
  /** Digits of a body's length, and of a chunk's in hexadecimal, in an answer. Past them: it is no answer. */
  outboundLengthDigits: 15,
  outboundChunkDigits: 12,
  /** Bytes of a body that are dropped, and how long that may take. Past it: the connection ends, the answer counts. */
  outboundDropBytes: 64 * KIB,
  outboundDrainMs: 2_000,
  /** How long a socket is kept idle, and the most that a peer's hint makes of it. */
  outboundIdleMs: 4_000,
  outboundIdleMsMax: 60_000,
  /** URLs that are remembered as checked, without their addresses. Past it: all are checked anew. */
  outboundUrls: 2048,

  // The proxy.
  /**
   * Bytes of a request's head, its line included. Past it: headTooLarge. The network library ends a connection whose
   * head comes in several pieces and is larger than 4 KiB, so more would pass on some days only.
   */
  proxyHeadBytes: 4_000,
  /** Requests under way. Past it: overloaded with retryAfterMs. */
  proxyRequests: 10_000,
  /** A body no larger is read whole before its request asks for room; of a larger one this much is read ahead. */
  proxyHeldBytes: 64 * KIB,
  /** Bytes read ahead for all requests. Past it: overloaded with retryAfterMs. */
  proxyHeldAllBytes: 64 * MIB,
  /** How long such a body, and what is read of a tenant's key, may take. Past it: the connection is closed. */
  proxyGatherMs: 30_000,
  /** How often time-outs are looked at; each is noticed that much later at most. */
  proxySweepMs: 50,
  /** Routes, backends of one route, addresses of fronts. Past them: the configuration is refused. */
  proxyRoutes: 256,
  proxyBackends: 16,
  proxyTrusted: 64,
  /** Seats of one request. Past it: the configuration is refused. */
  proxySeats: 1_000,
  /** API keys of one file. Past it: the file is refused, and the one before counts. */
  proxyKeys: 100_000,
  /** Addresses whose trust and normal form are remembered. Past it: all are looked at anew. */
  proxyAddresses: 10_000,
  /** Names of headers whose kind is remembered. Past it: all are looked at anew. */
  proxyHeaderNames: 1_000,
  /** How long a backend that took no connection is left alone while others are there. */
  proxyRestMs: 1_000,

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

  // SMPP links.
  /** Octets of one PDU, room for a message_payload of 64 KiB. Past it: the session ends. */
  smppPduBytes: 70_000,
  /** Octets of a password in a bind (SMPP 3.4, 4.1.1); a longer one is refused as invalidValue. */
  smppPasswordOctets: 8,
  /** Enquiries in a row without an answer at which a session ends. */
  smppEnquireMisses: 3,
  /** First and longest wait before a new session. */
  smppBackoffMs: 500,
  smppBackoffMsMax: 30_000,
  /** Wait that a throttled answer asks for, and one of a full queue: the PDU names none. */
  smppThrottledMs: 1_000,
  smppQueueFullMs: 5_000,
  /** How long later parts of a message are tried again once one is out. Past it: the message ends as its last part did. */
  smppPartsDelayMs: 10_000,
  /** Messages from phones of one link whose handlers run. Past it: the next ones wait. */
  smppInboundMax: 64,
  /** Messages of one link that wait for that. Past it: answered with a temporary error. */
  smppInboundWaiting: 1_024,
  /** Receipts of one link that are looked for. Past it: answered with a temporary error. */
  smppReceiptsMax: 1_024,
  /** Incoming messages, and bytes of them, that wait for more parts. Past it: the oldest is handed over as it is. */
  smppPartsMessages: 1_024,
  smppPartsBytes: 4 * MIB,
  /** How long they wait. Past it: as above. */
  smppPartsWaitMs: 60_000,
  /** How often a handler is asked to take such a message, and the wait between. Past it: it is lost, and logged. */
  smppPartsAttempts: 5,
  smppPartsRetryMs: 5_000,

  // The outbox: requests that are sent until they are taken.
  /** Items and their bytes, those that failed included. Past it: outboxFull with retryAfterMs. */
  outboxItems: 1_000_000,
  outboxBytes: 1024 * MIB,
  /** Bytes of one item's body. Past it: payloadTooLarge. */
  outboxBodyBytes: 256 * KIB,
  /** Items of one endpoint that wait. Past it: new ones for it are refused as outboxFull, those for others are not. */
  outboxItemsPerEndpoint: 250_000,
  /** Bytes of items that are kept in memory from their taking to their first attempt. Past it: they are read back. */
  outboxCacheBytes: 32 * MIB,
  /** Items that failed and are kept. Past it: the oldest is dropped. */
  outboxFailed: 100_000,
  /** Endpoints without items that are remembered. Past it: the one without items for longest is forgotten. */
  outboxEndpoints: 20_000,
  /** Deliveries under way in all. Past it: they wait. Half of them at most are to endpoints that have not answered. */
  outboxInFlight: 2048,
  /** Attempts of an item, longest wait between two, longest wait that an answer may ask for. */
  outboxAttempts: 32,
  outboxRetryMsMax: 7 * 24 * 3_600_000,
  outboxRetryAfterMsMax: 24 * 3_600_000,
  /** Failures in a row that leave an endpoint one delivery at a time, and the longest wait before it. */
  outboxBreakerFailures: 5,
  outboxBreakerMsMax: 60_000,
  /** Items of one replay. Past it: the others wait for the next. */
  outboxReplayItems: 10_000,
  /** Items that one page of a list looks through. Past it: a short page with a cursor. */
  outboxItemsPerPage: 2_000,
  /** Map of the environment that the outbox, callbacks and receipts share: sparse, grown when it must. */
  outboundMapBytes: 8 * 1024 * MIB,

  // Usage: counters, prices, caps and triggers.
  ...USAGE_LIMITS,

  // Durability.
  /** One big sparse map for each shard. LMDB grows it when it must; the disk reserve bounds the file. */
  mapBytes: 64 * 1024 * MIB,
  /** Free disk kept in reserve. Below it: publishes are refused as diskFull; settlements go on. */
  diskReserveBytes: 256 * MIB,
  /** A flush that takes longer ends the process: nothing may rest on it. */
  flushTimeoutMs: 30_000,
  shardsMax: 256,
} as const;
