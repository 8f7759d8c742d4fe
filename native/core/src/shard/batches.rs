//! The table of accepted messages: one state byte a message, one slot a stored record.
//!
//! Owns nothing of the payloads (cache and disk do) and nothing of the order (queues do).

use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// A message's place: `batch << 16 | index`. Ascending in order of acceptance.
pub type Key = u64;

pub const GONE: u8 = 0;
pub const WAITING: u8 = 1;
pub const IN_FLIGHT: u8 = 2;
pub const TIMED: u8 = 3;

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

/// One stored record of a batch: what it still holds and where its bytes are.
#[derive(Debug)]
pub struct RecordSlot {
    /// Index of its first message; the record's key on disk.
    pub first: u16,
    /// Messages not yet gone; at 0 the record is deleted.
    pub live: u16,
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
    /// State of each index; beyond its length nothing was accepted.
    pub states: Vec<u8>,
    pub live: u32,
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
            states: Vec::new(),
            live: 0,
            dirty: false,
            stored: false,
        }
    }

    /// The record that holds `index`.
    pub fn record_of(&self, index: u16) -> usize {
        let after = self.records.partition_point(|record| record.first <= index);
        debug_assert!(after > 0, "every accepted message lies in a record");
        after - 1
    }
}

/// All batches with a live message.
#[derive(Debug, Default)]
pub struct Batches {
    map: FxHashMap<u64, Box<Batch>>,
    /// Batch numbers in order of acceptance, gone ones included until they reach the front.
    order: VecDeque<u64>,
}

impl Batches {
    pub fn insert(&mut self, number: u64, batch: Batch) {
        self.order.push_back(number);
        if self.order.len() > 1024 + 2 * (self.map.len() + 1) {
            let map = &self.map;
            self.order.retain(|number| map.contains_key(number));
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

    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// When the oldest message that is not gone was accepted; 0 when there is none.
    pub fn oldest_accepted_ms(&self) -> u64 {
        self.order
            .front()
            .and_then(|number| self.map.get(number))
            .map_or(0, |batch| batch.accepted_ms)
    }

    /// Memory of the table itself, bytes.
    pub fn table_bytes(&self) -> usize {
        self.map.capacity() * (size_of::<(u64, Box<Batch>)>() + 1)
            + self.order.capacity() * size_of::<u64>()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &Batch)> {
        self.map.iter().map(|(number, batch)| (*number, &**batch))
    }
}
