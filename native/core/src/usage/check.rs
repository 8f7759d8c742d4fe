//! The books, for tests.

use super::{NONE, Usage};
use rustc_hash::FxHashMap;

impl Usage {
    /// Compares what is counted twice.
    #[doc(hidden)]
    pub fn check(&self) {
        let mut cells: FxHashMap<u32, u32> = FxHashMap::default();
        let released = self.checkpoint.released();
        let frozen = &self.frozen.cells()[released..];
        for cell in self.dirty.cells().iter().chain(frozen) {
            *cells.entry(cell.counter).or_default() += 1;
        }
        let held = self.counters_of.slots();
        assert_eq!(held.len(), cells.len(), "counters with a cell");
        for (slot, held) in held {
            assert_eq!(cells.get(&slot), Some(&held), "cells of counter {slot}");
            let counter = self.counters_of.get(slot);
            let found = self.counters_of.find(counter.account, counter.kind());
            assert_eq!(found, Some(slot), "found by its name");
            assert!(self.counters_of.is_known(counter.account, counter.kind()));
        }
        let of_all: u32 = (0..self.accounts.len() as u32)
            .map(|account| self.accounts.get(account).counters)
            .sum();
        assert_eq!(
            of_all as usize,
            self.counters_of.len(),
            "counters of accounts"
        );
        let keys: u32 = (0..self.accounts.len() as u32)
            .map(|account| self.accounts.get(account).event_keys)
            .sum();
        assert_eq!(
            keys as usize,
            self.event_keys.len(),
            "event keys of accounts"
        );
        assert!(
            self.caps_of.values().all(|names| !names.is_empty()),
            "accounts without a cap"
        );
        assert!(self.fresh.is_empty(), "a step folds what it counted");
        assert_ne!(self.accounts.len() as u32, NONE);
    }
}
