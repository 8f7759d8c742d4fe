//! Bounds the core enforces: the same numbers as `src/limits.ts` (a test compares them).

pub const FRAME_BYTES: usize = 1024 * 1024;
pub const MESSAGES_PER_FRAME: usize = 4096;
pub const OUTCOMES_PER_FRAME: usize = 65_536;
pub const PAYLOAD_BYTES: usize = 64 * 1024;
pub const NAME_BYTES: usize = 128;
pub const CREDIT_MAX: u32 = 65_536;
pub const SUBSCRIPTIONS_PER_CONNECTION: usize = 256;
pub const SUBSCRIPTIONS_PER_DESTINATION: usize = 1024;
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
