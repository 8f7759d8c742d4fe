//! Bytes of batch records at hand: those not yet committed (pinned), and the newest others up to a bound.
//!
//! At the bound the oldest leaves; what is picked never depends on what is here.

use super::batches::Key;
use std::collections::VecDeque;

struct Entry {
    value: Box<[u8]>,
    /// Key of the record's first message.
    owner: Key,
    /// Exchange whose transaction stores it; readable from disk once that is committed.
    exchange: u64,
    generation: u32,
}

/// A bounded first-in first-out cache with stable slots.
pub struct Cache {
    entries: Vec<Entry>,
    free: Vec<u32>,
    order: VecDeque<(u32, u32)>,
    /// Those that leave as soon as they can be read from disk.
    leaving: VecDeque<(u32, u32)>,
    bytes: usize,
    bytes_max: usize,
}

impl Cache {
    pub fn new(bytes_max: usize) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            leaving: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub fn insert(&mut self, owner: Key, exchange: u64, value: Box<[u8]>) -> u32 {
        self.bytes += value.len();
        let slot = if let Some(slot) = self.free.pop() {
            let entry = &mut self.entries[slot as usize];
            entry.value = value;
            entry.owner = owner;
            entry.exchange = exchange;
            slot
        } else {
            self.entries.push(Entry {
                value,
                owner,
                exchange,
                generation: 0,
            });
            (self.entries.len() - 1) as u32
        };
        self.order
            .push_back((slot, self.entries[slot as usize].generation));
        slot
    }

    pub fn get(&self, slot: u32) -> &[u8] {
        &self.entries[slot as usize].value
    }

    /// Key of the record's first message.
    pub fn owner(&self, slot: u32) -> Key {
        self.entries[slot as usize].owner
    }

    /// Whether a record can be read from disk, so that it may leave.
    pub fn is_committed(&self, slot: u32, committed: u64) -> bool {
        self.entries[slot as usize].exchange <= committed
    }

    /// Lets go of a record, pinned or not.
    pub fn remove(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        self.bytes -= entry.value.len();
        entry.value = Box::default();
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        // Records mostly leave in the order they came, so the front is trimmed as it goes.
        while let Some(&(slot, generation)) = self.order.front() {
            if self.entries[slot as usize].generation == generation {
                break;
            }
            self.order.pop_front();
        }
        if self.order.len() > 1024 + 2 * (self.entries.len() - self.free.len()) {
            let entries = &self.entries;
            self.order
                .retain(|&(slot, generation)| entries[slot as usize].generation == generation);
        }
    }

    /// Nobody will ask for this record soon: it leaves once it can be read from disk.
    pub fn leave_when_committed(&mut self, slot: u32) {
        let generation = self.entries[slot as usize].generation;
        self.leaving.push_back((slot, generation));
    }

    /// Drops the oldest entries down to the bound, never one whose exchange is above `committed`.
    pub fn evict(&mut self, committed: u64, mut dropped: impl FnMut(Key)) {
        while let Some(&(slot, generation)) = self.leaving.front() {
            let entry = &self.entries[slot as usize];
            if entry.generation == generation {
                if entry.exchange > committed {
                    break;
                }
                dropped(entry.owner);
                self.remove(slot);
            }
            self.leaving.pop_front();
        }
        while self.bytes > self.bytes_max {
            let Some(&(slot, generation)) = self.order.front() else {
                return;
            };
            let entry = &self.entries[slot as usize];
            if entry.generation == generation {
                if entry.exchange > committed {
                    return;
                }
                dropped(entry.owner);
                self.remove(slot);
            } else {
                self.order.pop_front();
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
