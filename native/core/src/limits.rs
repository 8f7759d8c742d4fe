//! Bounds the core enforces: the same numbers as `src/limits.ts` (a test compares them).

pub const FRAME_BYTES: usize = 1024 * 1024;
pub const MESSAGES_PER_FRAME: usize = 4096;
pub const OUTCOMES_PER_FRAME: usize = 65_536;
pub const PAYLOAD_BYTES: usize = 64 * 1024;
pub const NAME_BYTES: usize = 128;
pub const CREDIT_MAX: u32 = 65_536;
pub const SUBSCRIPTIONS_PER_CONNECTION: usize = 256;
pub const SUBSCRIPTIONS_PER_DESTINATION: usize = 1024;
pub const GATEWAY_DESTINATIONS: usize = 64;
pub const EFFECTS_BYTES: usize = 4 * 1024 * 1024;
pub const PICKS_PER_EXCHANGE: usize = 4096;
pub const DELIVER_FRAME_BYTES: usize = 1024 * 1024;
pub const WAKE_AFTER_MS_MAX: u32 = 60_000;
pub const QUEUES_PER_SHARD: usize = 1_000_000;
pub const MESSAGES_PER_QUEUE: usize = 4_000_000;
pub const MESSAGES_PER_SHARD: usize = 50_000_000;
pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
pub const THROTTLE_MS_MAX: u64 = 60_000;
pub const RECORD_BYTES: usize = 16 * 1024;
pub const CACHE_BYTES: usize = 32 * 1024 * 1024;
pub const LOG_BYTES: u64 = 16 * 1024 * 1024;
/// Distinct batch records one exchange may hand out from: bounds what it reads back from disk.
pub const RECORDS_PER_EXCHANGE: usize = 1024;

pub const LEVEL_MAX: u8 = 7;
pub const COST_MAX: u32 = 65_535;
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
pub const CALLBACK_BYTES: usize = 2048;
/// How far ahead a message may be scheduled, and how long it may be valid, ms.
pub const SCHEDULE_MS_MAX: u64 = 90 * 24 * 3_600_000;
pub const VALIDITY_MS_MAX: u64 = 30 * 24 * 3_600_000;
pub const VALIDITY_MS_DEFAULT: u64 = 36_000_000;
pub const IDS_PER_FRAME: usize = 4096;
pub const TIMERS_PER_EXCHANGE: usize = 16_384;
/// Ids whose records are still to be read, for cancel, status and receipts.
pub const LOOKUPS_PER_SHARD: usize = 65_536;
pub const DEAD_LETTERS: usize = 100_000;
pub const IDEMPOTENCY_KEYS: usize = 2_000_000;
pub const IDEMPOTENCY_WINDOW_MS: u64 = 24 * 3_600_000;
pub const RETENTION_MS: u64 = 3_600_000;
pub const RETENTION_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of message bodies that have not ended.
pub const BYTES_PER_QUEUE: u64 = 4 * 1024 * 1024 * 1024;
pub const BYTES_PER_SHARD: u64 = 48 * 1024 * 1024 * 1024;
/// Log records kept behind checkpoints, for traces.
pub const LOG_KEPT_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of events records that are stored and not yet taken: past it, messages with a callback are
/// refused. What those before still have to tell is stored all the same.
pub const STATUS_EVENT_BYTES: u64 = 64 * 1024 * 1024;
/// Of these, bytes that are told and not yet taken; more wait in the store.
pub const STATUS_EVENT_TOLD_BYTES: u64 = 4 * 1024 * 1024;
/// Told in one exchange.
pub const STATUS_EVENT_EXCHANGE_BYTES: u64 = 1024 * 1024;
/// Bytes of usage records told and not yet taken, and told in one exchange. Past them deltas wait in the
/// store, those of several exchanges in one record.
pub const USAGE_TOLD_BYTES: u64 = 4 * 1024 * 1024;
pub const USAGE_EXCHANGE_BYTES: u64 = 1024 * 1024;
/// A usage record that was not told takes further deltas until it is longer.
pub const USAGE_RECORD_BYTES: usize = 64 * 1024;
/// Bytes of usage records stored and not yet taken; past it, tags are not counted on their own.
pub const USAGE_TAGGED_BYTES: u64 = 64 * 1024 * 1024;
/// Of the name of a category of usage.
pub const CATEGORY_BYTES: usize = 64;

// The gate's table.
/// Seats in use in one cell, and the sum of the floors kept free in one; a take or floor past it is
/// refused, with or without a cap.
pub const SEATS_PER_CELL: u32 = 1_000_000;
/// Key, tenant, resource.
pub const CELLS_PER_CHAIN: usize = 3;
/// Slots in which the cell of one name may be; when all hold cells in use, opening one is refused.
pub const CELL_PLACES: usize = 128;
/// Tries of a take that only meets takes which are then undone; past it, it is refused.
pub const TAKE_TRIES_MAX: usize = 1_000;

// The gate.
/// Entries of an acquire, release or renew; a longer frame is refused as `tooManyMessages`.
pub const PERMITS_PER_FRAME: usize = 1000;
/// Seats of one permit; more is an invalid option.
pub const SEATS_PER_PERMIT: u32 = 1000;
/// A lease outside is an invalid option, or taken as the nearer bound where it is renewed.
pub const PERMIT_LEASE_MS_MIN: u64 = 1000;
pub const PERMIT_LEASE_MS_MAX: u64 = 3_600_000;
/// Longest wait that can be asked for or configured.
pub const GATE_WAIT_MS_MAX: u64 = 3_600_000;
/// Longest pace of delayed asks; a lower rate is taken as this one.
pub const GATE_PACE_US_MAX: u64 = 24 * 3_600_000_000;
/// Turns that the head of a key loses at its resource's cap for want of room at its tenant's; past it, it
/// keeps the tenant's seats from its next turn there on.
pub const GATE_TURNS_LOST: u8 = 3;
/// Waiters of all keys; past it, whoever would wait is refused as `waitersFull`.
pub const GATE_WAITERS: usize = 1_000_000;
/// A free slot of a permit is used again after this many others, so that generations last.
pub const FREE_PERMITS_MIN: usize = 1024;
/// A key, tenant or resource that is not in use is forgotten after it.
pub const GATE_IDLE_MS: u64 = 60_000;
/// Tenants whose parts of a second of held time are kept; past it all are dropped.
pub const GATE_COUNTED_TENANTS: usize = 65_536;
/// Between two lists of what tenants were counted for: what comes earlier goes with the next.
pub const GATE_COUNTS_GATHER_MS: u64 = 20;
/// Tenants of such a list; past it the list is told at once.
pub const GATE_COUNTS_LIST: usize = 4096;
/// Log of the gate; past either, a snapshot is begun.
pub const GATE_LOG_BYTES: u64 = 4 * 1024 * 1024;
pub const GATE_LOG_RECORDS: u64 = 16_384;
/// Permits in one piece of a snapshot, one piece a step.
pub const SNAPSHOT_PERMITS: usize = 2048;
/// Old records of the gate deleted in one step.
pub const GATE_DELETES: usize = 500;
/// Items in one answer to an operator.
pub const GATE_ITEMS: usize = 1000;
/// Keys looked at for one such answer; what they do not show is told with the next page.
pub const GATE_KEYS_LOOKED_AT: usize = 20_000;

// Usage.
/// Events of a use frame; a longer frame is refused as `tooManyMessages`.
pub const EVENTS_PER_FRAME: usize = 4096;
/// Quantity of an event, and what it counts as, are nearer to 0; others are refused as `wrongType`.
pub const USAGE_QUANTITY_END: i64 = 9_007_199_254_740_992;
pub const USAGE_COUNT_END: i64 = 4_294_967_296;
/// How old an event may be, and how far ahead of the daemon's clock; others are refused as `eventTime`.
pub const USAGE_LATE_MS: u64 = 35 * 24 * 3_600_000;
pub const USAGE_AHEAD_MS: u64 = 5 * 60_000;
/// Event keys of all tenants; past it new events with a key are refused as `tooManyEventKeys`.
pub const USAGE_KEYS_ALL: usize = 20_000_000;
/// Counters of all accounts; past it events of new ones are refused as `tooManyCounters`.
pub const USAGE_COUNTERS_ALL: usize = 10_000_000;
/// Cells that are not yet in the store; past it use frames are refused as `overloaded`.
pub const USAGE_DIRTY_CELLS: usize = 262_144;
/// A checkpoint is begun past either, or when the last one was begun that long ago.
pub const USAGE_CHECKPOINT_CELLS: usize = 65_536;
pub const USAGE_LOG_BYTES: u64 = 16 * 1024 * 1024;
pub const USAGE_CHECKPOINT_MS: u64 = 5000;
/// Cells merged into the store in one step.
pub const USAGE_PIECE_CELLS: usize = 500;
/// Old records of usage deleted in one step.
pub const USAGE_DELETES: usize = 500;
/// Rows of one answer.
pub const USAGE_ITEMS: usize = 1000;
/// Questions for records that wait; past it they are refused as `overloaded`.
pub const USAGE_READS: usize = 1024;
/// Day cells, and ranges of them, read from the store in one step for questions and triggers.
pub const USAGE_READ_DAYS: usize = 16_384;
pub const USAGE_READ_RANGES: usize = 128;
/// Tenants below each other, the uppermost included: as entities more are refused (`tenantDepth` of
/// src/limits-usage.ts); what would lie deeper is not counted for those above.
pub const TENANT_DEPTH: usize = 4;

// Prices, caps and triggers of usage.
/// Steps of a price list; more is no price list.
pub const PRICE_STEPS: usize = 1000;
/// Hard caps of all tenants; a slot past it does not exist.
pub const CAP_SLOTS: usize = 65_536;
/// Triggers of all tenants, and of one; past either, one more is refused as `tooManyTriggers`.
pub const TRIGGERS: usize = 100_000;
pub const TRIGGERS_PER_TENANT: usize = 1000;
/// Values of a trigger beside its first, its callbacks, and characters of its friendly name; more are
/// refused as `badTrigger`.
pub const TRIGGER_THRESHOLDS: usize = 16;
pub const TRIGGER_CALLBACKS: usize = 5;
pub const TRIGGER_NAME_CHARS: usize = 64;
/// Highest number of events between two evaluations; a higher one is refused as `badTrigger`.
pub const TRIGGER_EVERY_MAX: u32 = 1_000_000_000;
/// Window of a rate; others are refused as `badTrigger`.
pub const TRIGGER_WINDOW_MS_MIN: u64 = 1000;
pub const TRIGGER_WINDOW_MS_MAX: u64 = 31 * 24 * 3_600_000;
/// Parts of the window of a rate.
pub const TRIGGER_SUB_WINDOWS: usize = 60;
/// The sub-windows of a rate are stored no more often.
pub const TRIGGER_RATE_STORED_MS: u64 = 10_000;
/// Firings of one trigger by one evaluation; of more, the lowest fire and the very last, and those
/// between are passed over and counted as skipped.
pub const TRIGGER_FIRINGS: usize = 1000;
/// Firings of all triggers in one step, and about how many bytes they are; past either the rest fires
/// in the steps that follow.
pub const FIRINGS_PER_STEP: usize = 4096;
pub const FIRING_BYTES_PER_STEP: usize = 1024 * 1024;
/// Firings whose callbacks are not yet kept elsewhere; past it nothing fires until some are.
pub const FIRINGS_UNTOLD: usize = 100_000;
/// Periods of a watched sum in memory; past it one that nothing waits for is let go and read again when
/// it is needed.
pub const TRIGGER_PERIODS_HELD: usize = 6;
/// Triggers in one answer, and looked at for it; what that does not show comes with the next page.
pub const TRIGGER_ITEMS: usize = 1000;
pub const TRIGGERS_LOOKED_AT: usize = 20_000;
