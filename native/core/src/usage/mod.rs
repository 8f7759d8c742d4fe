//! Usage: what accounts use, in counters of UTC days, months, years and all time (US20210329426A1,
//! US9319857).
//!
//! `Usage` folds what the daemon's parts and its clients counted: a deterministic state machine, no
//! I/O, no clock. It runs on the main thread alone.
//!
//! Counters live in the store, not in memory: a cell a day and an all-time one. In memory are *dirty*
//! cells, what was counted since the last checkpoint, in two generations: B takes what comes, A is
//! being merged into the store, piece by piece. A counter is the stored cell and what A and B have of
//! it; `asOf` of the stored cell says whether A is in it already. What a step folded is one log record,
//! written with the step, so nothing that was acknowledged is lost and nothing is counted twice.

mod accounts;
pub mod calendar;
mod caps;
mod check;
mod checkpoint;
mod configure;
mod counters;
mod effects;
mod event_keys;
mod fold;
mod frames;
mod generation;
pub mod price;
mod question;
mod reading;
mod records;
mod recovery;
pub mod reserve;
mod step;
mod tally;
pub mod trigger;
mod wants;
mod watch;

use crate::client_frame::UseItem;
use crate::limits;
use crate::name_map::{NameHash, NameMap};
use crate::record::{DeltaWriter, JournalWriter, RecordError};
use accounts::Accounts;
use calendar::day_of_ms;
use caps::Cap;
use checkpoint::Checkpoint;
use counters::Counters;
use effects::Effects;
use event_keys::EventKeys;
use fold::Log;
use frames::Connection;
use generation::Generation;
use price::PriceList;
use question::Question;
use recovery::Recovered;
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use tally::Tally;
use trigger::Triggers;
use wants::Wants;
use watch::Loading;

pub use crate::exchange::ExchangeError;
pub use effects::UsageCounters;

/// No account, counter.
const NONE: u32 = u32::MAX;

/// What the counters are made with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Differs at every start; comes back in every effects header.
    pub boot_id: u32,
    /// Key of the data directory, for event keys and name hashing.
    pub hash_key: [u8; 16],
    pub now_us: u64,
    /// How long event keys are remembered.
    pub event_key_hours: u32,
    /// Of one account.
    pub event_keys_max: u32,
    pub counters_max: u32,
}

/// Bounds of all accounts together; tests make them small.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct UsageBounds {
    pub counters: usize,
    pub event_keys: usize,
    pub dirty_cells: usize,
}

impl Default for UsageBounds {
    fn default() -> Self {
        Self {
            counters: limits::USAGE_COUNTERS_ALL,
            event_keys: limits::USAGE_KEYS_ALL,
            dirty_cells: limits::USAGE_DIRTY_CELLS,
        }
    }
}

/// Why the counters cannot go on: the process ends and recovers.
#[derive(Debug)]
pub enum Fatal {
    /// A programmer's error on the other side of the exchange.
    Exchange(ExchangeError),
    /// The stored record of that name is damaged or newer than this version knows.
    Stored { name: String, error: RecordError },
    /// The records or calls contradict each other.
    State(String),
}

impl From<ExchangeError> for Fatal {
    fn from(error: ExchangeError) -> Self {
        Self::Exchange(error)
    }
}

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exchange(error) => write!(f, "exchange: {} (at byte {})", error.what, error.at),
            Self::Stored { name, error } => write!(f, "{name} {error}"),
            Self::State(text) => write!(f, "state: {text}"),
        }
    }
}

/// What `give` gives, beside effects and journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    pub effects_bytes: usize,
    pub journal_bytes: usize,
    /// The journal has what was acknowledged, not only what keeps the store in order.
    pub flush: bool,
}

/// States: *recovering* until `recover_finish`; then each turn `step`, which takes an input and says
/// what it wants of the store, and `give`, which takes that and ends the turn.
pub struct Usage {
    options: Options,
    bounds: UsageBounds,
    now_us: u64,
    exchange: u64,
    recovering: Option<Recovered>,
    /// Between `step` and `give`.
    is_open: bool,
    /// Journals of exchanges up to this one can be read.
    committed: u64,

    accounts: Accounts,
    counters_of: Counters,
    hash: NameHash,
    prices: NameMap<Arc<PriceList>>,
    connections: FxHashMap<u32, Connection>,
    event_keys: EventKeys,
    triggers: Triggers,
    caps: NameMap<Cap>,
    /// Their names, by account.
    caps_of: FxHashMap<u32, Vec<Box<[u8]>>>,
    /// Those whose base is not set, and those of them that are read in this step.
    caps_unset: BTreeSet<Box<[u8]>>,
    caps_loading: Vec<Box<[u8]>>,
    /// Counts how often an account got another parent.
    families: u32,

    /// What this step counted.
    fresh: Generation,
    /// Generation B, and A.
    dirty: Generation,
    frozen: Generation,
    checkpoint: Checkpoint,
    log: Log,

    loading: Vec<Loading>,
    questions: VecDeque<Question>,
    wants: Wants,

    counters: UsageCounters,
    effects: Effects,
    journal: JournalWriter,
    /// The journal has more than what keeps the store in order.
    has_acknowledged: bool,

    // Scratch.
    items: Vec<UseItem>,
    tally: Tally,
    list: DeltaWriter,
    bytes: Vec<u8>,
    key: Vec<u8>,
}

impl Usage {
    pub fn new(options: Options) -> Self {
        let hash = NameHash::new(&options.hash_key);
        Self {
            now_us: options.now_us,
            bounds: UsageBounds::default(),
            exchange: 0,
            recovering: Some(Recovered::default()),
            is_open: false,
            committed: 0,
            accounts: Accounts::new(hash),
            counters_of: Counters::new(hash),
            hash,
            prices: NameMap::with_hasher(hash),
            connections: FxHashMap::default(),
            event_keys: EventKeys::new(&options.hash_key, options.event_key_hours),
            triggers: Triggers::new(&options.hash_key),
            caps: NameMap::with_hasher(hash),
            caps_of: FxHashMap::default(),
            caps_unset: BTreeSet::new(),
            caps_loading: Vec::new(),
            families: 0,
            fresh: Generation::default(),
            dirty: Generation::default(),
            frozen: Generation::default(),
            checkpoint: Checkpoint::new(options.now_us),
            log: Log::default(),
            loading: Vec::new(),
            questions: VecDeque::new(),
            wants: Wants::default(),
            counters: UsageCounters::default(),
            effects: Effects::default(),
            journal: JournalWriter::new(),
            has_acknowledged: false,
            items: Vec::new(),
            tally: Tally::default(),
            list: DeltaWriter::new(),
            bytes: Vec::new(),
            key: Vec::new(),
            options,
        }
    }

    /// Before the first step.
    #[doc(hidden)]
    pub const fn set_bounds(&mut self, bounds: UsageBounds) {
        self.bounds = bounds;
    }

    /// Whether an account may have so many counters more.
    fn has_room_for(&self, account: Option<u32>, counters: u32) -> bool {
        let of_one = account.map_or(0, |account| self.accounts.get(account).counters);
        of_one + counters <= self.options.counters_max
            && self.counters_of.len() + counters as usize <= self.bounds.counters
    }

    const fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    fn today(&self) -> u32 {
        day_of_ms(self.now_ms())
    }
}
