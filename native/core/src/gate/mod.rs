//! Concurrency: permits of keys under caps of tenants and resources (US20250130872A1, US11093305).
//!
//! `Gate` decides who goes on, who waits and who is refused: a deterministic state machine, no I/O,
//! no clock. The counts themselves lie in the `table`, which other threads may use too.
//!
//! A *key* is a tenant at a resource. An ask for seats of it is *granted* (a permit, until it is
//! released or its lease ends), *waits* (until it is admitted, given up or has waited too long), or is
//! *refused*. Three caps have to have room: the key's limit, the tenant's, the resource's.
//!
//! A key whose head waits is *blocked* by one cap, or by its pace. Blocked by its own limit it is in
//! nobody's way. Blocked by the tenant's or the resource's cap it stands in that cap's `Line`, in the
//! order of start-time fair queueing. See `admit` for who is next.

mod adaptive;
mod admit;
mod ask;
pub mod atomic;
pub mod cell;
pub mod chain;
mod charge;
mod check;
mod configure;
mod connection;
mod counts;
mod decisions;
mod effects;
mod end;
mod estimate;
mod explain;
mod frames;
mod journal;
mod kept;
mod key;
mod keys;
mod lease;
mod line;
mod local;
mod names;
mod permit;
mod recovery;
mod slots;
mod snapshot;
mod step;
pub mod table;
mod waiter;
mod waits;
mod wheel;
mod word;

use crate::client_frame::{AcquireItem, ReleaseItem};
use crate::name_map::NameMap;
use crate::record::{JournalWriter, RecordError};
use connection::Connections;
use counts::Counts;
use decisions::Decision;
use effects::Effects;
use journal::Log;
use key::Key;
use names::{Names, PolicyFields, Resource, Tenant};
use permit::Permits;
use recovery::Recovered;
use rustc_hash::FxHashMap;
use snapshot::Snapshot;
use std::sync::Arc;
use table::Table;
use waiter::Waiters;
use wheel::Wheel;

pub use crate::exchange::ExchangeError;
pub use check::PermitState;
pub use effects::GateCounters;
pub use local::{Entered, Handle};
pub use permit::PermitId;

/// No slot, key, connection.
const NONE: u32 = u32::MAX;
/// Stands for the connection of callers within the process.
const LOCAL: u32 = u32::MAX - 1;

/// Places of the caps in a key's chain of cells.
const KEY: usize = 0;
const TENANT: usize = 1;
const RESOURCE: usize = 2;

/// What a gate is made with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Differs at every start; comes back in every effects header.
    pub boot_id: u32,
    /// Key of the data directory, for permit ids and name hashing.
    pub hash_key: [u8; 16],
    pub now_us: u64,
    /// Answers leave before their journal is flushed.
    pub relaxed: bool,
    /// How long permits outlive their connection.
    pub grace_ms: u64,
    pub permits_max: usize,
    pub keys_max: usize,
    /// When a snapshot is begun.
    pub log_bytes_max: u64,
    /// Tells the cells of one gate in a shared table from another's.
    pub instance: u64,
}

/// Why a gate cannot go on: the process ends and recovers.
#[derive(Debug)]
pub enum Fatal {
    /// A programmer's error on the other side of the exchange.
    Exchange(ExchangeError),
    /// The stored record of that name is damaged or newer than this version knows.
    Stored { name: String, error: RecordError },
    /// Permits of more keys are stored than the table has cells for.
    Keys,
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
            Self::Keys => write!(
                f,
                "permits of more keys are stored than there is room for; set gate.keysMax to as many as it was"
            ),
            Self::State(text) => write!(f, "state: {text}"),
        }
    }
}

/// What a step gives, beside its effects and journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stepped {
    pub effects_bytes: usize,
    pub journal_bytes: usize,
    /// Also a relaxed gate's effects have to wait for the flush of this journal.
    pub flush: bool,
}

pub struct Gate {
    options: Options,
    table: Arc<Table>,
    now_us: u64,
    exchange: u64,
    recovering: Option<Recovered>,
    draining: bool,
    /// No new permit before it: an unclean end may have lost grants. 0: none lost.
    closed_until_us: u64,

    names: Names,
    resources: Vec<Resource>,
    tenants: Vec<Tenant>,
    /// By `resource/tenant`.
    policies: NameMap<PolicyFields>,
    keys: Vec<Key>,
    free_keys: Vec<u32>,
    /// Keys opened so far.
    opened: u64,
    /// By resource (high) and tenant (low).
    key_of: FxHashMap<u64, u32>,
    sweep_next: usize,
    /// Counts who begins to wait and who is let in: who was first.
    turns: u64,
    /// Resources whose cap adapts.
    adaptive: Vec<u32>,

    counts: Counts,
    permits: Permits,
    leases: Wheel,
    waiters: Waiters,
    waits: Wheel,
    paces: Wheel,
    connections: Connections,

    counters: GateCounters,
    effects: Effects,
    log: Log,
    snapshot: Snapshot,
    journal: JournalWriter,
    flush: bool,
    /// A time was set since the last step told how long nothing is to be done.
    wakes: bool,

    /// Tenants of whose caps somebody gave kept seats back, until others were tried.
    let_go: Vec<u32>,
    // Scratch.
    due: Vec<u32>,
    items: Vec<AcquireItem>,
    released: Vec<ReleaseItem>,
    permit_ids: Vec<PermitId>,
}

impl Gate {
    pub fn new(options: Options, table: Arc<Table>) -> Self {
        let now_us = options.now_us;
        let names = Names::new(&options.hash_key);
        Self {
            table,
            now_us,
            exchange: 0,
            recovering: Some(Recovered::default()),
            draining: false,
            closed_until_us: 0,
            policies: NameMap::with_hasher(names.hash),
            counts: Counts::new(names.hash),
            names,
            resources: Vec::new(),
            tenants: Vec::new(),
            keys: Vec::new(),
            free_keys: Vec::new(),
            opened: 0,
            key_of: FxHashMap::default(),
            sweep_next: 0,
            turns: 0,
            adaptive: Vec::new(),
            permits: Permits::new(options.hash_key, options.permits_max),
            leases: Wheel::new(now_us),
            waiters: Waiters::default(),
            waits: Wheel::new(now_us),
            paces: Wheel::new(now_us),
            connections: Connections::default(),
            counters: GateCounters::default(),
            effects: Effects::default(),
            log: Log::default(),
            snapshot: Snapshot::default(),
            journal: JournalWriter::new(),
            flush: false,
            wakes: false,
            due: Vec::new(),
            let_go: Vec::new(),
            items: Vec::new(),
            released: Vec::new(),
            permit_ids: Vec::new(),
            options,
        }
    }

    /// How this gate judged this key, for whoever asks why.
    #[inline]
    fn note(&mut self, key: u32, decision: Decision) {
        let at_ms = self.now_us / 1000;
        self.keys[key as usize].decisions.push(at_ms, decision);
    }
}

impl Drop for Gate {
    /// The table outlives a gate: its cells are left as if it had not been.
    fn drop(&mut self) {
        for slot in 0..self.permits.slots() as u32 {
            let permit = *self.permits.get(slot);
            if permit.key != NONE {
                let cells = self.keys[permit.key as usize].cells;
                self.table.give(&cells, u32::from(permit.seats));
            }
        }
        for key in 0..self.keys.len() as u32 {
            if !self.keys[key as usize].is_free() {
                self.let_go(key);
            }
        }
        for key in self.keys.iter().filter(|key| !key.is_free()) {
            let _ = self.table.set_floor(key.cells[KEY], key.cells[RESOURCE], 0);
            self.table.set_waiters(key.cells[KEY], false);
            self.table.release(key.cells[KEY]);
        }
        let tenants = self.tenants.iter().filter(|tenant| tenant.live);
        let resources = self.resources.iter().filter(|resource| resource.live);
        let cells = tenants.map(|tenant| tenant.cell);
        for cell in cells.chain(resources.map(|resource| resource.cell)) {
            self.table.set_waiters(cell, false);
            self.table.release(cell);
        }
    }
}
