//! The table of accepted messages: one state byte a message, one slot a stored record.
//!
//! Owns nothing of the payloads (cache and disk do) and nothing of the order (queues do). A message
//! that has ended stays in it, as its state, until its record is forgotten.

use super::accounts::{AccountId, Accounts, Owners};
use super::usage::Counted;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// A message's place: `batch << 16 | index`. Ascending in order of acceptance.
pub type Key = u64;

/// Refused, or never there.
pub const GONE: u8 = 0;
pub const WAITING: u8 = 1;
pub const IN_FLIGHT: u8 = 2;
/// Waits for its next attempt.
pub const TIMED: u8 = 3;
/// Waits for the time it is to be sent at.
pub const SCHEDULED: u8 = 4;
pub const SENT: u8 = 8;
pub const DELIVERED: u8 = 9;
pub const UNDELIVERED: u8 = 10;
pub const FAILED: u8 = 11;
pub const EXPIRED: u8 = 12;
pub const CANCELLED: u8 = 13;
/// A dead letter: may be replayed.
pub const DEAD: u8 = 14;
/// A dead letter that was purged.
pub const GIVEN_UP: u8 = 15;

/// The state of a cell; what is above it are flags.
const STATE_MASK: u8 = 0x0f;
/// A timer ends its validity; else that of its destination counts from its acceptance.
pub const OWN_EXPIRY: u8 = 0x10;
/// Its validity ended while it was in flight.
pub const OVERDUE: u8 = 0x20;
/// Admission by time would have refused it, had it been on.
pub const DOUBTED: u8 = 0x40;
/// It was accepted while admission by time was on, or in shadow.
pub const JUDGED: u8 = 0x80;

/// Whether a message in that state still needs its record: it has not ended, or is a dead letter.
pub const fn is_live(state: u8) -> bool {
    matches!(state, WAITING | IN_FLIGHT | TIMED | SCHEDULED | DEAD)
}

/// No cache slot.
pub const NONE: u32 = u32::MAX;

pub const fn key(batch: u64, index: u16) -> Key {
    batch << 16 | index as u64
}

pub const fn batch_of(key: Key) -> u64 {
    key >> 16
}

pub const fn index_of(key: Key) -> u16 {
    key as u16
}

/// Bytes of a body are counted in units of 32, so that two bytes a message hold them.
const SIZE_SHIFT: u32 = 5;

/// What the index of a small batch takes in memory, bytes: a batch of one message is the common case
/// when little is going on.
const RECORD_MEMORY_BYTES: usize = 448;

/// What a record counts for while it is remembered: on disk and in memory.
pub fn remembered_bytes(value: &[u8]) -> u32 {
    (value.len() + RECORD_MEMORY_BYTES) as u32
}

/// One stored record of a batch: what it still holds and where its bytes are.
#[derive(Debug)]
pub struct RecordSlot {
    /// Index of its first message; the record's key on disk.
    pub first: u16,
    /// Messages that have not ended; at 0 the record is only remembered.
    pub live: u16,
    /// `remembered_bytes` of the record; 0: it was forgotten.
    pub bytes: u32,
    /// Longest body: an upper bound for what one delivery takes.
    pub body_bytes_max: u32,
    /// Slot in the cache, or `NONE`.
    pub cache: u32,
    /// Exchange that last handed out from it.
    pub touched: u64,
    /// Index in that exchange's `wants`, or `NONE`.
    pub want: u32,
}

/// The messages of one exchange (at most 65,536).
#[derive(Debug)]
pub struct Batch {
    pub accepted_ms: u64,
    /// Keyed hash of shard and batch: part of each message id.
    pub hash: u64,
    pub records: Vec<RecordSlot>,
    /// State and flags of each index; beyond its length nothing was accepted.
    cells: Vec<u8>,
    /// Cost of each index; empty: 1 each.
    costs: Vec<u16>,
    /// Length of each body, in units of 32 bytes.
    sizes: Vec<u16>,
    /// A bit each index: the message has a callback; empty where none has.
    callbacks: Vec<u64>,
    owners: Owners,
    /// Messages that have not ended, dead letters included.
    pub live: u32,
    /// Dead letters among them.
    pub dead: u32,
    /// Records that are on disk.
    pub kept: u32,
    /// When each message ended, ms since acceptance and 1 more; 0: it did not, or too long after.
    /// Empty until one did.
    ends: Vec<u32>,
    /// When the last message that ended did so, as far as is known.
    pub ended_ms: u64,
    /// First and last log record that may speak of it.
    pub log_first: u64,
    pub log_last: u64,
    /// Changed since its last state record (or since it was accepted).
    pub dirty: bool,
    /// A state record is stored.
    pub stored: bool,
}

impl Batch {
    pub fn new(accepted_ms: u64, hash: u64) -> Self {
        Self {
            accepted_ms,
            hash,
            records: Vec::new(),
            cells: Vec::new(),
            costs: Vec::new(),
            sizes: Vec::new(),
            callbacks: Vec::new(),
            owners: Owners::default(),
            live: 0,
            dead: 0,
            kept: 0,
            ends: Vec::new(),
            ended_ms: 0,
            log_first: 0,
            log_last: 0,
            dirty: false,
            stored: false,
        }
    }

    pub fn with_cells(accepted_ms: u64, hash: u64, cells: Cells) -> Self {
        Self {
            cells: cells.cells,
            costs: cells.costs,
            sizes: cells.sizes,
            callbacks: cells.callbacks,
            owners: cells.owners,
            ..Self::new(accepted_ms, hash)
        }
    }

    /// Indexes of the batch, refused ones included.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    #[inline]
    pub fn state(&self, index: u16) -> u8 {
        self.cells
            .get(usize::from(index))
            .map_or(GONE, |cell| cell & STATE_MASK)
    }

    #[inline]
    pub fn flags(&self, index: u16) -> u8 {
        self.cells
            .get(usize::from(index))
            .map_or(0, |cell| cell & !STATE_MASK)
    }

    /// Changes the state; the flags stay.
    #[inline]
    pub fn set_state(&mut self, index: u16, state: u8) {
        let cell = &mut self.cells[usize::from(index)];
        *cell = *cell & !STATE_MASK | state;
    }

    pub fn set_flag(&mut self, index: u16, flag: u8) {
        self.cells[usize::from(index)] |= flag;
    }

    pub fn clear_flag(&mut self, index: u16, flag: u8) {
        self.cells[usize::from(index)] &= !flag;
    }

    /// Whether changes of its status are told.
    #[inline]
    pub fn has_callback(&self, index: u16) -> bool {
        self.callbacks
            .get(usize::from(index / 64))
            .is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }

    pub fn set_callback(&mut self, index: u16) {
        set_bit(&mut self.callbacks, index);
    }

    pub fn clear_callback(&mut self, index: u16) {
        if let Some(bits) = self.callbacks.get_mut(usize::from(index / 64)) {
            *bits &= !(1 << (index % 64));
        }
    }

    pub fn states(&self) -> impl Iterator<Item = u8> + Clone + '_ {
        self.cells.iter().map(|cell| cell & STATE_MASK)
    }

    #[inline]
    pub fn cost(&self, index: u16) -> u32 {
        self.costs
            .get(usize::from(index))
            .map_or(1, |&cost| u32::from(cost))
    }

    /// Whose its messages are.
    pub const fn owners(&self) -> &Owners {
        &self.owners
    }

    /// A message that was accepted, as it is counted.
    #[inline]
    pub fn counted(&self, index: u16) -> Counted {
        Counted {
            account: self.owners.account(index),
            accepted_ms: self.accepted_ms,
            cost: self.cost(index),
        }
    }

    /// Bytes of a body, rounded up to 32.
    #[inline]
    pub fn body_bytes(&self, index: u16) -> u64 {
        let size = self.sizes.get(usize::from(index)).copied().unwrap_or(0);
        u64::from(size) << SIZE_SHIFT
    }

    /// Adds the next index, at recovery; those before it that are missing were refused.
    pub fn put_cell(&mut self, index: u16, cell: u8, cost: u32, body_bytes: usize) {
        let mut cells = Cells {
            cells: std::mem::take(&mut self.cells),
            costs: std::mem::take(&mut self.costs),
            sizes: std::mem::take(&mut self.sizes),
            callbacks: Vec::new(),
            owners: std::mem::take(&mut self.owners),
        };
        cells.grow(usize::from(index) + 1);
        cells.put(index, cell, cost, body_bytes);
        (self.cells, self.costs, self.sizes) = (cells.cells, cells.costs, cells.sizes);
        self.owners = cells.owners;
    }

    /// Whose a message is that was put, at recovery.
    pub fn own(&mut self, accounts: &mut Accounts, number: u64, index: u16, name: &[u8]) {
        let place = accounts.place_of(number, &mut self.owners, name);
        self.owners.put(index, place, self.cells.len());
    }

    /// Notes the end of a message.
    #[inline]
    pub fn end(&mut self, index: u16, state: u8, now_ms: u64) {
        self.set_state(index, state);
        self.ended_ms = self.ended_ms.max(now_ms);
        if self.ends.len() < self.cells.len() {
            self.ends.resize(self.cells.len(), 0);
        }
        let after_ms = now_ms.saturating_sub(self.accepted_ms);
        self.ends[usize::from(index)] = u32::try_from(after_ms + 1).unwrap_or(0);
    }

    /// The messages from `first` to before `end` are no longer known.
    pub fn forget(&mut self, first: u16, end: usize) {
        self.cells[usize::from(first)..end].fill(GONE);
    }

    /// The end of a message that recovery found.
    pub fn recover_end(&mut self, index: u16, state: u8, ended_ms: Option<u64>) {
        match ended_ms {
            Some(at_ms) => {
                self.end(index, state, at_ms);
            }
            None => self.set_state(index, state),
        }
    }

    /// When a message ended; of one whose log is no longer there, the latest it can have been.
    pub fn ended_at_ms(&self, index: u16) -> u64 {
        match self.ends.get(usize::from(index)) {
            Some(&after_ms) if after_ms > 0 => self.accepted_ms + u64::from(after_ms) - 1,
            _ => self.ended_ms,
        }
    }

    /// Memory it holds, bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.cells.capacity()
            + 4 * self.ends.capacity()
            + 2 * (self.costs.capacity() + self.sizes.capacity())
            + 8 * self.callbacks.capacity()
            + self.owners.memory_bytes()
            + self.records.capacity() * size_of::<RecordSlot>()
    }

    /// The record that holds `index`.
    pub fn record_of(&self, index: u16) -> usize {
        let after = self.records.partition_point(|record| record.first <= index);
        debug_assert!(after > 0, "every accepted message lies in a record");
        after - 1
    }
}

fn set_bit(bits: &mut Vec<u64>, index: u16) {
    let place = usize::from(index / 64);
    if bits.len() <= place {
        bits.resize(place + 1, 0);
    }
    bits[place] |= 1 << (index % 64);
}

/// What a batch knows of each index, while it is being filled.
#[allow(clippy::struct_field_names, reason = "as in the batch")]
#[derive(Debug, Default)]
pub struct Cells {
    cells: Vec<u8>,
    costs: Vec<u16>,
    sizes: Vec<u16>,
    callbacks: Vec<u64>,
    owners: Owners,
}

impl Cells {
    /// Room for `length` indexes, none accepted yet.
    pub fn grow(&mut self, length: usize) {
        self.cells.resize(length, GONE);
        self.sizes.resize(length, 0);
        self.owners.grow(length);
        if !self.costs.is_empty() {
            self.costs.resize(length, 1);
        }
    }

    #[inline]
    pub fn put(&mut self, index: u16, cell: u8, cost: u32, body_bytes: usize) {
        let at = usize::from(index);
        self.cells[at] = cell;
        self.sizes[at] = u16::try_from(body_bytes.div_ceil(1 << SIZE_SHIFT)).unwrap_or(u16::MAX);
        if cost != 1 {
            if self.costs.is_empty() {
                self.costs.resize(self.cells.len(), 1);
            }
            self.costs[at] = u16::try_from(cost).unwrap_or(u16::MAX);
        }
    }

    pub fn set_callback(&mut self, index: u16) {
        set_bit(&mut self.callbacks, index);
    }

    /// Whose the message is that was put.
    #[inline]
    pub fn own(&mut self, accounts: &mut Accounts, number: u64, index: u16, account: AccountId) {
        let place = accounts.place_in(number, &mut self.owners, account);
        self.owners.put(index, place, self.cells.len());
    }

    pub fn cost(&self, index: u16) -> u32 {
        let cost = self.costs.get(usize::from(index)).copied();
        cost.map_or(1, u32::from)
    }

    /// What a message in the batch being filled counts as, in the units of `Batch::body_bytes`.
    #[inline]
    pub fn body_bytes(&self, index: u16) -> u64 {
        u64::from(self.sizes[usize::from(index)]) << SIZE_SHIFT
    }
}

/// All batches with a record on disk.
#[derive(Debug, Default)]
pub struct Batches {
    map: FxHashMap<u64, Box<Batch>>,
    /// Batch numbers in order of acceptance, removed ones included until they reach the front.
    order: VecDeque<u64>,
    /// The same of those with messages that wait or are in flight.
    waiting: VecDeque<u64>,
}

impl Batches {
    pub fn insert(&mut self, number: u64, batch: Batch) {
        self.order.push_back(number);
        self.waiting.push_back(number);
        if self.order.len() > 1024 + 2 * (self.map.len() + 1) {
            let map = &self.map;
            self.order.retain(|number| map.contains_key(number));
        }
        if self.waiting.len() > 1024 + 2 * (self.map.len() + 1) {
            let map = &self.map;
            self.waiting.retain(|number| map.contains_key(number));
        }
        self.map.insert(number, Box::new(batch));
    }

    pub fn get(&self, number: u64) -> Option<&Batch> {
        self.map.get(&number).map(|batch| &**batch)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut Batch> {
        self.map.get_mut(&number).map(|batch| &mut **batch)
    }

    pub fn remove(&mut self, number: u64) -> Option<Box<Batch>> {
        let removed = self.map.remove(&number);
        while let Some(front) = self.order.front() {
            if self.map.contains_key(front) {
                break;
            }
            self.order.pop_front();
        }
        removed
    }

    /// State of a message, also of the batch that is being filled: that is not in the table yet, and
    /// nothing of it has ended.
    fn state_or_open(&self, open: Option<u64>, key: Key) -> u8 {
        match self.get(batch_of(key)) {
            Some(batch) => batch.state(index_of(key)),
            None if open == Some(batch_of(key)) => WAITING,
            None => GONE,
        }
    }

    /// Whether an entry of a queue stands for a message that waits.
    pub fn waits(&self, open: Option<u64>, key: Key) -> bool {
        self.state_or_open(open, key) == WAITING
    }

    /// Whether a timer is of a message that has not ended.
    pub fn lives(&self, open: Option<u64>, key: Key) -> bool {
        is_live(self.state_or_open(open, key))
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// A batch has messages that wait again, though it had none: dead letters that were replayed.
    pub fn waits_again(&mut self, number: u64) {
        let place = self.waiting.partition_point(|&other| other < number);
        if self.waiting.get(place) != Some(&number) {
            self.waiting.insert(place, number);
        }
    }

    /// When the oldest message that waits or is in flight was accepted; 0 when there is none.
    pub fn oldest_accepted_ms(&mut self) -> u64 {
        while let Some(front) = self.waiting.front() {
            match self.map.get(front) {
                Some(batch) if batch.live > batch.dead => return batch.accepted_ms,
                _ => self.waiting.pop_front(),
            };
        }
        0
    }

    /// Batch numbers from `from` on, in order of acceptance.
    pub fn numbers_from(&self, from: u64) -> impl Iterator<Item = u64> + '_ {
        let start = self.order.partition_point(|&number| number < from);
        let numbers = self.order.range(start..).copied();
        numbers.filter(|number| self.map.contains_key(number))
    }

    /// Batch numbers up to `last`, the newest first.
    pub fn numbers_back_from(&self, last: u64) -> impl Iterator<Item = u64> + '_ {
        let end = self.order.partition_point(|&number| number <= last);
        let numbers = self.order.range(..end).rev().copied();
        numbers.filter(|number| self.map.contains_key(number))
    }

    /// Memory of the table itself, bytes.
    pub fn table_bytes(&self) -> usize {
        self.map.capacity() * (size_of::<(u64, Box<Batch>)>() + 1)
            + (self.order.capacity() + self.waiting.capacity()) * size_of::<u64>()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &Batch)> {
        self.map.iter().map(|(number, batch)| (*number, &**batch))
    }
}
