//! What waits for a time: messages to be sent or tried again, and the ends of validities.
//!
//! A heap, 24 bytes an entry; and one of 28 bytes for messages that are to be sent later, whose entry
//! holds both their time and the end of their validity, which counts from then. An entry whose message
//! has ended stays until its time, or until such entries are the larger part: then the heaps are made
//! anew without them.

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

/// A message to be sent later, and its validity from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(4))]
struct Later {
    at_ms: u64,
    key: Key,
    place: u32,
    queue: NodeId,
    validity_ms: u32,
}

impl Later {
    fn due(self) -> Timer {
        Timer::new(self.at_ms, Kind::Due, self.key, self.place, self.queue)
    }

    fn expiry(self) -> Timer {
        let at_ms = self.at_ms + u64::from(self.validity_ms);
        Timer::new(at_ms, Kind::Expiry, self.key, self.place, self.queue)
    }
}

#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
    later: BinaryHeap<Reverse<Later>>,
    /// Entries whose message has ended, roughly.
    stale: usize,
}

impl Timers {
    pub fn push(&mut self, timer: Timer) {
        self.heap.push(Reverse(timer));
    }

    /// A message that is to be sent when `due` says, and whose validity ends at `expires_ms`; 0: never.
    pub fn push_later(&mut self, due: Timer, expires_ms: u64) {
        let at_ms = due.at_ms();
        let (key, place, queue) = (due.key, due.place, due.queue);
        if let Some(validity_ms) = expires_ms.checked_sub(at_ms)
            && let Ok(validity_ms) = u32::try_from(validity_ms)
        {
            self.later.push(Reverse(Later {
                at_ms,
                key,
                place,
                queue,
                validity_ms,
            }));
        } else {
            self.push(due);
            if expires_ms > 0 {
                self.push(Timer::new(expires_ms, Kind::Expiry, key, place, queue));
            }
        }
    }

    /// The next entry that is due.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        let timer = self.heap.peek().map(|first| first.0);
        let later = self.later.peek().map(|first| first.0.due());
        let first = timer.into_iter().chain(later).min()?;
        if first.at_ms() > now_ms {
            return None;
        }
        if timer == Some(first) {
            self.heap.pop();
        } else if let Some(Reverse(later)) = self.later.pop() {
            self.push(later.expiry());
            if self.later.len() < self.later.capacity() / 4 {
                self.later.shrink_to(self.later.len() * 2);
            }
        }
        Some(first)
    }

    /// When the next entry is due, µs.
    pub fn next_us(&self) -> u64 {
        let timer = self.heap.peek().map(|first| first.0.at_ms());
        let later = self.later.peek().map(|first| first.0.at_ms);
        let first = timer.into_iter().chain(later).min();
        first.map_or(u64::MAX, |at_ms| at_ms * 1000)
    }

    /// A message ended that has an entry here. `is_live` says which have not.
    pub fn drop_one(&mut self, is_live: impl Fn(Key) -> bool) {
        self.stale += 1;
        if self.stale > STALE_MIN && self.stale > self.heap.len() / 2 + self.later.len() {
            self.heap.retain(|entry| is_live(entry.0.key));
            self.heap.shrink_to(self.heap.len() * 2);
            self.later.retain(|entry| is_live(entry.0.key));
            self.later.shrink_to(self.later.len() * 2);
            self.stale = 0;
        }
    }

    /// A dropped entry came to its time.
    pub fn stale_popped(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }

    /// Times in no order: of a message to be sent later that time, and the end of its validity.
    pub fn entries(&self) -> impl Iterator<Item = Timer> {
        let later = self.later.iter().map(|entry| entry.0);
        let later = later.flat_map(|later| [later.due(), later.expiry()]);
        self.heap.iter().map(|entry| entry.0).chain(later)
    }

    pub fn memory_bytes(&self) -> usize {
        self.heap.capacity() * size_of::<Timer>() + self.later.capacity() * size_of::<Later>()
    }
}

const _: () = assert!(size_of::<Timer>() == 24 && size_of::<Later>() == 28);

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

    /// The same calls on messages to be sent later and on two timers for each, in one heap.
    #[test]
    fn a_message_for_later_fires_as_its_two_timers_would() {
        let mut timers = Timers::default();
        let mut model = BinaryHeap::new();
        let mut seed = 11_u64;
        let mut fired = 0;
        for now_ms in 0..4_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at_ms = now_ms + (seed >> 56);
            let expires_ms = at_ms + (seed >> 40 & 63);
            let due = Timer::new(at_ms, Kind::Due, now_ms, 3, 5);
            let expiry = Timer::new(expires_ms, Kind::Expiry, now_ms, 3, 5);
            if seed & 1 << 32 == 0 {
                timers.push_later(due, expires_ms);
            } else {
                timers.push(due);
                timers.push(expiry);
            }
            model.extend([Reverse(due), Reverse(expiry)]);
            let mut entries: Vec<Timer> = timers.entries().collect();
            entries.sort_unstable();
            let mut wanted: Vec<Timer> = model.iter().map(|entry| entry.0).collect();
            wanted.sort_unstable();
            assert_eq!(entries, wanted);
            let next_us = wanted[0].at_ms() * 1000;
            assert_eq!(timers.next_us(), next_us);
            while let Some(timer) = timers.pop_due(now_ms) {
                assert_eq!(Some(Reverse(timer)), model.pop());
                fired += 1;
            }
            assert!(model.peek().is_none_or(|first| first.0.at_ms() > now_ms));
        }
        assert!(fired > 7_000);
    }

    #[test]
    fn messages_for_later_take_28_bytes_and_give_them_back() {
        let mut timers = Timers::default();
        for key in 0..1 << 16 {
            timers.push_later(Timer::new(key, Kind::Due, key, 0, 0), key + 36_000_000);
        }
        assert_eq!(timers.memory_bytes(), 28 << 16);
        for _ in 0..2 << 16 {
            timers.drop_one(|key| key < 100);
        }
        assert_eq!(timers.entries().count(), 200);
        assert!(timers.memory_bytes() < 1 << 14);
        // Longer than an entry holds: two timers.
        timers.push_later(Timer::new(5, Kind::Due, 7, 0, 0), 1 << 40);
        assert!(timers.entries().any(|timer| timer.at_ms() == 1 << 40));
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
