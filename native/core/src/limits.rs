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
/// Waiters of all keys; past it, whoever would wait is refused as `waitersFull`.
pub const GATE_WAITERS: usize = 1_000_000;
/// A free slot of a permit is used again after this many others, so that generations last.
pub const FREE_PERMITS_MIN: usize = 1024;
/// A key, tenant or resource that is not in use is forgotten after it.
pub const GATE_IDLE_MS: u64 = 60_000;
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
