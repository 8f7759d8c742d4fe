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
