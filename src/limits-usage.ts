/**
 * The bounds of usage: counters, prices, caps and triggers. A part of the table in limits.ts, which is the one to
 * import.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

export const USAGE_LIMITS = {
  // Usage records of shards.
  /**
   * Bytes of usage records of a shard told and not taken, and told in one exchange. Past them: what is
   * counted waits in the store, that of several exchanges in one record of up to `usageRecordBytes`.
   */
  usageToldBytes: 4 * MIB,
  usageExchangeBytes: 1 * MIB,
  usageRecordBytes: 64 * KIB,
  /** Bytes of a shard's usage records stored and not taken. Past it: tags are not counted on their own. */
  usageTaggedBytes: 64 * MIB,
  /** Of the name of a category of usage. A longer one is no category. */
  categoryBytes: 64,

  // Prices, caps and triggers of usage, enforced in the core.
  /** Steps of a price list. More: no price list. */
  priceSteps: 1000,
  /** Hard caps of all tenants. Past it: one more is refused. */
  capSlots: 65_536,
  /** Triggers of all tenants, and of one. Past either: one more is refused as tooManyTriggers. */
  triggers: 100_000,
  triggersPerTenant: 1000,
  /**
   * Values of a trigger beside its first, its callbacks, characters of its friendly name, events between
   * two evaluations, and the window of a rate. Outside: refused as badTrigger.
   */
  triggerThresholds: 16,
  triggerCallbacks: 5,
  triggerNameChars: 64,
  triggerEveryMax: 1_000_000_000,
  triggerWindowMsMin: 1000,
  triggerWindowMsMax: 31 * 24 * 3_600_000,
  /** Parts of the window of a rate, and how often they are stored at most. */
  triggerSubWindows: 60,
  triggerRateStoredMs: 10_000,
  /** Firings of one trigger by one evaluation. Past it: the lowest and the very last, those between are skipped. */
  triggerFirings: 1000,
  /** Firings of one step, and about how many bytes they are. Past either: the rest fires in the steps that follow. */
  firingsPerStep: 4096,
  firingBytesPerStep: 1 * MIB,
  /** Firings whose callbacks are not in the outbox. Past it: nothing fires until some are. */
  firingsUntold: 100_000,
  /** Periods of a watched sum in memory. Past it: one is let go and read again when it is needed. */
  triggerPeriodsHeld: 6,
  /** Triggers in one answer, and looked at for it. Past it: the rest comes with the next page. */
  triggerItems: 1000,
  triggersLookedAt: 20_000,

  // Usage on the main thread.
  /** Events of one use frame. Past it: tooManyMessages. */
  eventsPerFrame: 4096,
  /** Bytes of a tag. Past it: fieldTooLong. */
  usageTagBytes: 128,
  /** Keys of events of one tenant and of all, and for how many hours. Past them: tooManyEventKeys. */
  usageKeys: 1_000_000,
  usageKeysAll: 20_000_000,
  usageKeyHours: 24,
  usageKeyHoursMax: 168,
  /** Categories times tags of one tenant, and the most that may be configured. Past it: tooManyCounters. */
  usageCounters: 10_000,
  usageCountersMax: 1_000_000,
  /** How late an event may be, and how far ahead. Past them: eventTime. */
  usageLateMs: 35 * 24 * 3_600_000,
  usageAheadMs: 5 * 60_000,
  /** Unread input of usage. Past it: frames are refused as overloaded; what shards tell is always taken. */
  usageInputBytes: 32 * MIB,
  /** Steps of usage whose flush is awaited. Past it: its input waits for the oldest. */
  usageStepsInFlight: 64,
  /** Accounts times categories that the main thread gathers. Past it: they are told at once. */
  usageOwnCounts: 65_536,
  /** Between two lists of what the main thread itself counted: what comes earlier goes with the next. */
  usageOwnGatherMs: 20,
  /** Map of the environment of usage: sparse, grown when it must. */
  usageMapBytes: 16 * 1024 * MIB,
  /** Tenants below each other, the uppermost included, as the core's TENANT_DEPTH. Past it: invalidValue. */
  tenantDepth: 4,
  /** Lines of the ledger of one tenant and of all. Past either: the oldest goes with each new one. */
  ledgerLinesPerTenant: 10_000,
  ledgerLines: 1_000_000,
  /** Lines that one page looks through. Past it: a short page with a cursor. */
  ledgerLinesLookedAt: 20_000,
  /** The number of an action that adds a line. Past it: invalidValue. */
  ledgerAmountMax: 1e15,
  /** Firings that are put into the outbox in one transaction. The others go with the next. */
  firingsPerPut: 256,
} as const;
