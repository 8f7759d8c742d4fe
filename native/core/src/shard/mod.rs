//! A shard: the single owner of a set of destinations, as a deterministic state machine.
//!
//! `step` takes one exchange's input and gives the journal (one transaction) and the records it
//! needs read back; `emit` then encodes replies and deliveries. No I/O, no clock, no random number:
//! the same state, input and time give the same result.
//!
//! A message: accepted (`SCHEDULED` until it is to be sent, then `WAITING`) → handed out (`IN_FLIGHT`)
//! → ended (`SENT`, `DELIVERED`, `UNDELIVERED`, `FAILED`), or back: to its place in the queue
//! (`WAITING`) or into a timer (`TIMED`) until it is due. Unless it is in flight it may end as
//! `EXPIRED` or `CANCELLED`. Out of attempts it is a dead letter (`DEAD`), which is replayed
//! (`WAITING`) or purged (`GIVEN_UP`). What has ended is remembered for a while.

mod accounts;
mod admission;
mod batches;
mod cache;
mod caps;
mod check;
mod check_gateways;
mod checkpoint;
mod connection;
mod dead;
mod destination;
mod dispatch;
mod emit;
mod end;
mod entities;
mod estimate;
mod events;
mod expiry;
mod explain;
mod gateway;
mod gateway_ops;
mod idempotency;
mod jobs;
mod lane;
mod listing;
mod lookup;
mod memory;
mod message_json;
mod message_ops;
mod nodes;
mod outstanding;
mod pool;
mod publish;
mod recovery;
mod settle;
mod shuffle;
mod slowed;
mod step;
mod subscription;
mod timers;
mod told;
mod trace;
mod usage;

use crate::client_frame::{Outcome, PublishItem};
use crate::error::Code;
use crate::exchange::{Counters, LevelFloors, SetFields};
use crate::key_table::KeyHash;
use crate::limits;
use crate::name_map::{NameHash, NameMap};
use crate::record::{
    BatchRecordBuilder, ClosedRecord, HandedTo, JournalWriter, RecordError, Return,
};
use crate::replies::Replies;
use crate::tree::NodeId;
use batches::{Batches, Cells, Key};
use cache::Cache;
use checkpoint::Checkpoint;
use connection::{Connection, InFlight};
use dead::Dead;
use destination::Destination;
use end::Ended;
use events::Events;
use gateway::Gateways;
use idempotency::Idempotency;
use jobs::Jobs;
use pool::Pools;
use recovery::Overlay;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use timers::{Timer, Timers};
use usage::Usage;

pub use crate::exchange::ExchangeError;
pub use check::MessageState;
#[doc(hidden)]
pub use checkpoint::Bounds;
#[doc(hidden)]
pub use events::EventBounds;
#[doc(hidden)]
pub use usage::UsageBounds;

/// Settled by an older daemon: attemptsMax reached, or in doubt at an `onDoubt: fail` destination.
pub const OUTCOME_GIVEN_UP: u8 = 19;
pub const OUTCOME_EXPIRED: u8 = 20;
pub const OUTCOME_CANCELLED: u8 = 21;
/// A dead letter was purged, or dropped because there were too many.
pub const OUTCOME_PURGED: u8 = 23;
pub const OUTCOME_UNDELIVERED: u8 = 24;
/// It had ended and is no longer known.
pub const OUTCOME_FORGOTTEN: u8 = 25;
pub const REASON_RETRY: u8 = 2;
pub const REASON_THROTTLED: u8 = 4;
pub const REASON_NOT_ATTEMPTED: u8 = 5;
pub const REASON_DISCONNECT: u8 = 16;
pub const REASON_LEASE_END: u8 = 17;
pub const REASON_RESTART: u8 = 18;
pub const REASON_REPLAYED: u8 = 19;
/// It was scheduled and is due; only of messages with a callback.
pub const REASON_DUE: u8 = 20;
/// It became a dead letter: every attempt failed, or it is in doubt where nothing is sent twice.
/// The entry's time is when.
pub const REASON_DEAD_ATTEMPTS: u8 = 32;
pub const REASON_DEAD_IN_DOUBT: u8 = 33;
/// It failed for good; the entry's time is the gateway's code.
pub const REASON_FAILED: u8 = 34;
/// A receipt came with a code, which is the entry's time.
pub const REASON_UNDELIVERED: u8 = 35;

/// Flag of a message: an earlier delivery may have arrived.
pub const DOUBTFUL: u8 = 1;
/// Flag of a message: it was a dead letter, and its validity begins anew at a restart.
pub const REPLAYED: u8 = 2;

/// Batch numbers reserved ahead at every start.
const BATCH_RESERVE: u64 = 1 << 20;

/// Tenants whose totals are kept after their nodes are gone; further ones are counted as "other".
const TENANT_TOTALS_MAX: usize = 10_000;

/// What a shard is made with.
#[derive(Clone, Debug)]
pub struct Options {
    pub shard: u16,
    /// Differs at every start; comes back in every effects header.
    pub boot_id: u32,
    /// Key of the data directory for message ids and name hashing.
    pub hash_key: [u8; 16],
    pub now_us: u64,
    pub memory: Memory,
}

/// How much a shard remembers beside the messages that wait.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// How long ended messages are known, ms, and in how many bytes of records.
    pub retention_ms: u64,
    pub retention_bytes: u64,
    pub idempotency_keys: usize,
    pub dead_letters: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            retention_ms: limits::RETENTION_MS,
            retention_bytes: limits::RETENTION_BYTES,
            idempotency_keys: limits::IDEMPOTENCY_KEYS,
            dead_letters: limits::DEAD_LETTERS,
        }
    }
}

/// Why a shard cannot go on: the process ends and recovers.
#[derive(Debug)]
pub enum Fatal {
    /// A programmer's error on the other side of the exchange.
    Exchange(ExchangeError),
    /// A stored record is damaged or newer than this version knows.
    Record(RecordError),
    /// The same, of the record of that name.
    Stored { name: String, error: RecordError },
    /// The records contradict each other.
    State(String),
}

impl From<ExchangeError> for Fatal {
    fn from(error: ExchangeError) -> Self {
        Self::Exchange(error)
    }
}

impl From<RecordError> for Fatal {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exchange(error) => write!(f, "exchange: {} (at byte {})", error.what, error.at),
            Self::Record(error) => write!(f, "a record {error}"),
            Self::Stored { name, error } => write!(f, "{name} {error}"),
            Self::State(text) => write!(f, "state: {text}"),
        }
    }
}

/// What `step` gives: one transaction, and the keys (9 bytes each) of the records `emit` needs.
#[derive(Debug, Default)]
pub struct StepOutput {
    pub journal: Vec<u8>,
    pub wants: Vec<u8>,
}

/// What a message has beside its state byte; most messages have none.
#[derive(Clone, Copy, Debug, Default)]
struct Extra {
    attempts: u32,
    flags: u8,
    /// `TIMED`: when it is due, ms. `DEAD`: when it became so. `FAILED`, `UNDELIVERED`: the code.
    detail: u64,
}

impl Extra {
    const fn is_empty(&self) -> bool {
        self.attempts == 0 && self.flags == 0 && self.detail == 0
    }
}

#[derive(Clone, Debug)]
struct TenantConfig {
    set: Box<[u8]>,
    weight: u32,
    rate_per_sec: Option<f64>,
    burst: u64,
    in_flight_max: Option<u32>,
    paused: bool,
    refuse_new: bool,
    refuse_code: Code,
    level_floors: Option<LevelFloors>,
    waiting_max: u64,
    waiting_bytes_max: u64,
}

#[derive(Clone, Debug)]
struct SenderConfig {
    rate_per_sec: Option<f64>,
    burst: u64,
    in_flight_max: Option<u32>,
    pool: Option<Box<[u8]>>,
    paused: bool,
    refuse_new: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct TenantTotals {
    accepted: u64,
    delivered: u64,
}

/// One delivery of this exchange, encoded by `emit`.
#[derive(Clone, Copy, Debug)]
struct Handed {
    key: Key,
    delivery: u64,
    attempt: u32,
    flags: u8,
    destination: u32,
    /// Next delivery of the same frame, or `NONE`.
    next: u32,
    cache: u32,
    want: u32,
    accepted_ms: u64,
    hash: u64,
}

/// A deliver frame of this exchange.
#[derive(Clone, Copy, Debug)]
struct DeliverFrame {
    connection: u32,
    subscription: u32,
    count: u32,
    bytes: usize,
    first: u32,
    last: u32,
}

/// The batch that this exchange fills.
struct OpenBatch {
    number: u64,
    hash: u64,
    next_index: u32,
    cells: Cells,
    /// Idempotency keys of its messages.
    keys: Vec<(KeyHash, u16)>,
    /// Some of them are to be sent later.
    has_scheduled: bool,
    /// Records complete so far, with the longest body of each.
    closed: Vec<(ClosedRecord, u32)>,
    /// Longest body of the record under construction.
    body_bytes_max: u32,
    accepted: u32,
}

// Its flags are independent of each other: no state machine hides in them.
#[allow(clippy::struct_excessive_bools)]
pub struct Shard {
    options: Options,
    /// Newest exchange whose transaction can be read back, and the last log record in it.
    committed: u64,
    committed_log: u64,
    /// Exchanges not yet committed, with their last log record.
    logged: VecDeque<(u64, u64)>,
    /// Tenant of the call that is being served; empty: the platform.
    caller: Box<[u8]>,
    names: NameHash,
    now_us: u64,
    started_us: u64,
    exchange: u64,
    recovering: Option<Overlay>,
    draining: bool,
    disk_full: bool,

    sets: NameMap<SetFields>,
    /// Some set has `order: strict`, or the policy `shuffle`.
    any_strict: bool,
    any_shuffle: bool,
    tenants: NameMap<TenantConfig>,
    /// By `tenant/sender`.
    senders: NameMap<SenderConfig>,
    pools: Pools,
    gateways: Gateways,
    destinations: Vec<Destination>,
    destination_names: NameMap<u32>,
    connections: FxHashMap<u32, Connection>,

    batches: Batches,
    cache: Cache,
    extras: FxHashMap<Key, Extra>,
    /// Messages that wait for a time.
    timers: Timers,
    /// Records whose messages have all ended, in the order in which they are forgotten.
    ended: VecDeque<Ended>,
    ended_bytes: u64,
    /// Dead letters by key.
    dead: BTreeMap<Key, Dead>,
    /// Ends of validity of dead letters that were replayed; other timers of theirs are old.
    replayed: FxHashMap<Key, Timer>,
    idempotency: Idempotency,
    events: Events,
    usage: Usage,
    jobs: Jobs,
    /// Bytes of the bodies of all messages that have not ended.
    live_bytes: u64,
    /// When a destination's tree has something that becomes eligible, µs.
    wakes: BinaryHeap<Reverse<(u64, u32)>>,
    /// When the queues of a destination are looked over for what is no longer valid, µs.
    expiries: BinaryHeap<Reverse<(u64, u32)>>,
    /// Earliest lease check of a connection, µs.
    leases: BinaryHeap<Reverse<(u64, u32)>>,
    /// Destinations to look at in this exchange; those left over stay for the next.
    listed: Vec<u32>,
    sweep_next: usize,
    swept_all_us: u64,

    next_batch: u64,
    ceiling: u64,
    ceiling_changed: bool,
    next_log: u64,
    log_bytes: u64,
    checkpoint: Checkpoint,
    bounds: Bounds,

    counters: Counters,
    refused: BTreeMap<u32, u64>,
    totals: NameMap<TenantTotals>,
    other_totals: TenantTotals,

    // Of the current exchange; cleared at its begin, kept for their memory.
    open: Option<OpenBatch>,
    builder: BatchRecordBuilder,
    journal: JournalWriter,
    replies: Replies,
    handed: Vec<Handed>,
    handed_keys: Vec<Key>,
    handed_to: Vec<HandedTo>,
    scores: Vec<i64>,
    frames: Vec<DeliverFrame>,
    /// Outcome → keys settled for good.
    settled: [Vec<Key>; OUTCOMES],
    returns: Vec<Return>,
    wants: Vec<Want>,
    provided: Vec<Option<Box<[u8]>>>,
    effects: Vec<u8>,
    effects_ready: bool,
    more: bool,

    // Scratch.
    /// Dead letters made by recovery; journaled by the first step.
    died: Vec<Return>,
    /// In doubt at recovery and back in their queues; journaled by the first step.
    in_doubt: Vec<Return>,
    /// Scheduled messages with a callback that recovery found due; journaled by the first step.
    due_at_restart: Vec<Key>,
    /// Records that this exchange wrote anew, by their first message.
    rewritten: Vec<Key>,
    log_scratch: Vec<u8>,
    publish_items: Vec<PublishItem>,
    outcomes: Vec<Outcome>,
    taken: Vec<InFlight>,
    name: Vec<u8>,
    freed: Vec<NodeId>,
}

/// Where each outcome keeps its keys in `settled`.
const OUTCOMES: usize = 8;
const SETTLED_OUTCOMES: [u8; OUTCOMES] = [
    0,
    1,
    3,
    OUTCOME_EXPIRED,
    OUTCOME_CANCELLED,
    OUTCOME_PURGED,
    OUTCOME_UNDELIVERED,
    OUTCOME_FORGOTTEN,
];

/// A record that `emit` needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// The batch record whose first message this is.
    Batch(Key),
    /// The log record of that sequence.
    Log(u64),
    /// The events record of that sequence.
    Events(u64),
    /// The usage record of that sequence.
    Usage(u64),
}

impl Shard {
    pub fn new(options: Options) -> Self {
        let names = NameHash::new(&options.hash_key);
        let now_us = options.now_us;
        Self {
            committed: 0,
            committed_log: 0,
            logged: VecDeque::new(),
            caller: Box::default(),
            names,
            now_us,
            started_us: now_us,
            exchange: 0,
            recovering: Some(Overlay::default()),
            draining: false,
            disk_full: false,
            sets: NameMap::with_hasher(names),
            any_strict: false,
            any_shuffle: false,
            tenants: NameMap::with_hasher(names),
            senders: NameMap::with_hasher(names),
            pools: Pools::new(names, now_us),
            gateways: Gateways::new(names, now_us),
            destinations: Vec::new(),
            destination_names: NameMap::with_hasher(names),
            connections: FxHashMap::default(),
            batches: Batches::default(),
            cache: Cache::new(limits::CACHE_BYTES),
            extras: FxHashMap::default(),
            timers: Timers::default(),
            ended: VecDeque::new(),
            ended_bytes: 0,
            dead: BTreeMap::new(),
            replayed: FxHashMap::default(),
            idempotency: Idempotency::default(),
            events: Events::default(),
            usage: Usage::new(names, UsageBounds::default()),
            jobs: Jobs::default(),
            live_bytes: 0,
            wakes: BinaryHeap::new(),
            expiries: BinaryHeap::new(),
            leases: BinaryHeap::new(),
            listed: Vec::new(),
            sweep_next: 0,
            swept_all_us: 0,
            next_batch: 0,
            ceiling: 0,
            ceiling_changed: false,
            next_log: 1,
            log_bytes: 0,
            checkpoint: Checkpoint::default(),
            bounds: Bounds::default(),
            counters: Counters::default(),
            refused: BTreeMap::new(),
            totals: NameMap::with_hasher(names),
            other_totals: TenantTotals::default(),
            open: None,
            builder: BatchRecordBuilder::new(),
            journal: JournalWriter::new(),
            replies: Replies::default(),
            handed: Vec::new(),
            handed_keys: Vec::new(),
            handed_to: Vec::new(),
            scores: Vec::new(),
            frames: Vec::new(),
            settled: std::array::from_fn(|_| Vec::new()),
            returns: Vec::new(),
            wants: Vec::new(),
            provided: Vec::new(),
            effects: Vec::new(),
            effects_ready: false,
            more: false,
            died: Vec::new(),
            in_doubt: Vec::new(),
            due_at_restart: Vec::new(),
            rewritten: Vec::new(),
            log_scratch: Vec::new(),
            publish_items: Vec::new(),
            outcomes: Vec::new(),
            taken: Vec::new(),
            name: Vec::new(),
            freed: Vec::new(),
            options,
        }
    }

    /// The same with other bounds: nothing that clients see depends on them.
    #[doc(hidden)]
    pub fn with_bounds(options: Options, bounds: Bounds) -> Self {
        let shard = Self::new(options);
        Self {
            cache: Cache::new(bounds.cache_bytes),
            events: Events::with_bounds(bounds.events),
            usage: Usage::new(shard.names, bounds.usage),
            bounds,
            ..shard
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
