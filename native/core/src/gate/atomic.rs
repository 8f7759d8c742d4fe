//! The atomic integer that cells are made of: the machine's own in the daemon, one that tries every
//! interleaving in a model check. So the code that is checked is the code that runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a cell needs of an atomic u64. A fresh one is 0.
pub trait Atomic: Send + Sync + Default {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    /// Strong: fails only where the value differs; the error is the value found.
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64>;
    fn fetch_sub(&self, value: u64, order: Ordering) -> u64;
    /// Lets another thread go on that this one waits for; `spins` counts from 0.
    fn pause(spins: u32);
}

/// A step that is waited for is some ten instructions long, so a spin or two mostly does; after
/// this many its thread was set aside by the system and needs the processor.
const SPINS_BEFORE_YIELD: u32 = 32;

impl Atomic for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        AtomicU64::store(self, value, order);
    }

    #[inline]
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        AtomicU64::compare_exchange(self, current, new, success, failure)
    }

    #[inline]
    fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        AtomicU64::fetch_sub(self, value, order)
    }

    fn pause(spins: u32) {
        if spins < SPINS_BEFORE_YIELD {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}
