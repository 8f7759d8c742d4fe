//! What waits for a time: messages to be sent or tried again, and the ends of validities.
//!
//! One heap, 24 bytes an entry. An entry whose message has ended stays until its time, or until such
//! entries are the larger part: then the heap is made anew without them.

use super::batches::{self, Key};
use crate::tree::NodeId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Entries below it are not worth making the heap anew.
const STALE_MIN: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The message goes to its queue.
    Due,
    /// Its validity ends.
    Expiry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// Time in ms, and the kind in the lowest bit.
    at: u64,
    pub key: Key,
    pub place: u32,
    pub queue: NodeId,
}

impl Timer {
    pub fn new(at_ms: u64, kind: Kind, key: Key, place: u32, queue: NodeId) -> Self {
        Self {
            at: at_ms << 1 | u64::from(kind == Kind::Expiry),
            key,
            place,
            queue,
        }
    }

    pub fn at_ms(&self) -> u64 {
        self.at >> 1
    }

    pub fn kind(&self) -> Kind {
        if self.at & 1 == 1 {
            Kind::Expiry
        } else {
            Kind::Due
        }
    }
}

#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
    /// Entries whose message has ended, roughly.
    stale: usize,
}

impl Timers {
    pub fn push(&mut self, timer: Timer) {
        self.heap.push(Reverse(timer));
    }

    /// The next entry that is due.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        let first = self.heap.peek()?.0;
        if first.at_ms() > now_ms {
            return None;
        }
        self.heap.pop();
        Some(first)
    }

    /// When the next entry is due, µs.
    pub fn next_us(&self) -> u64 {
        self.heap
            .peek()
            .map_or(u64::MAX, |first| first.0.at_ms() * 1000)
    }

    /// A message ended that has an entry here. `is_live` says which have not.
    pub fn drop_one(&mut self, is_live: impl Fn(Key) -> bool) {
        self.stale += 1;
        if self.stale > STALE_MIN && self.stale > self.heap.len() / 2 {
            self.heap.retain(|entry| is_live(entry.0.key));
            self.heap.shrink_to(self.heap.len() * 2);
            self.stale = 0;
        }
    }

    /// A dropped entry came to its time.
    pub fn stale_popped(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }

    /// Entries in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Timer> {
        self.heap.iter().map(|entry| &entry.0)
    }

    pub fn memory_bytes(&self) -> usize {
        self.heap.capacity() * size_of::<Timer>()
    }
}

const _: () = assert!(size_of::<Timer>() == 24);

/// When a message may be tried again after `attempt` attempts: exponential, held to the largest, and
/// varied by the jitter. Drawn from the message's key, so that a replay of the step draws the same.
pub fn back_off_ms(key: Key, attempt: u32, base_ms: u64, max_ms: u64, jitter: f64) -> u64 {
    let doubled = base_ms.saturating_mul(
        1_u64
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u64::MAX),
    );
    let whole = doubled.min(max_ms);
    // SplitMix64 (Steele, Lea, Flood 2014).
    let mut mixed = (batches::batch_of(key) << 20 ^ key ^ u64::from(attempt) << 56)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    #[allow(clippy::cast_precision_loss, reason = "32 bits")]
    let unit = (mixed >> 32) as f64 / f64::from(u32::MAX);
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]
    let varied = (whole as f64 * (1.0 + jitter * (2.0 * unit - 1.0))) as u64;
    varied.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_exponentially_within_the_jitter_and_the_largest() {
        for attempt in 1..=80_u32 {
            let whole = (1_000_u64 << (attempt - 1_u32).min(20)).min(600_000);
            for key in 0..200 {
                let after_ms = back_off_ms(key << 16, attempt, 1_000, 600_000, 0.2);
                assert!(after_ms >= whole * 8 / 10 && after_ms <= whole * 12 / 10 + 1);
            }
        }
        assert_eq!(back_off_ms(1, 1, 1_000, 600_000, 0.0), 1_000);
        let spread: std::collections::BTreeSet<u64> = (0..100)
            .map(|key| back_off_ms(key, 3, 1_000, 600_000, 0.2))
            .collect();
        assert!(
            spread.len() > 80,
            "messages that failed together come back apart"
        );
    }

    #[test]
    fn fires_in_order_and_forgets_the_larger_part() {
        let mut timers = Timers::default();
        for at in (0..10_000_u64).rev() {
            timers.push(Timer::new(at, Kind::Due, at, 0, 0));
        }
        for _ in 0..6_000 {
            timers.drop_one(|key| key % 2 == 0);
        }
        assert_eq!(timers.entries().count(), 5_000);
        let mut last = 0;
        while let Some(timer) = timers.pop_due(9_000) {
            assert!(timer.at_ms() >= last && timer.kind() == Kind::Due);
            last = timer.at_ms();
        }
        assert_eq!(last, 9_000);
    }
}
