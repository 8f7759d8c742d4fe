//! The validity that a destination gives: looked at when a message is picked or comes back, and by a
//! look over the queues when the oldest of them may have lost it. No message has a timer for it; each
//! destination has one time, the earliest at which anything there can be over.

use super::batches::{self, Key, OVERDUE, OWN_EXPIRY, WAITING};
use super::destination::{Destination, Owner};
use super::{OUTCOME_EXPIRED, Shard};
use crate::tree::NodeId;
use std::cmp::Reverse;

/// Queues and messages looked at in one exchange; the look goes on in the next.
const LOOKS_PER_STEP: usize = 16_384;
/// Least time between two looks over one destination, and more with many nodes, so that a backlog whose
/// head expires all the time costs about a hundredth of the thread.
const PACE_US_MIN: u64 = 100_000;
const PACE_US_PER_NODE: u64 = 10;

/// When a destination's queues are to be looked over, and where a look stands.
#[derive(Clone, Copy, Debug)]
pub struct ExpiryLook {
    /// Nothing is over before; `u64::MAX`: nothing waits that could be.
    pub at_us: u64,
    /// Node that comes next; 0: no look is under way.
    next: usize,
    /// Earliest end of a validity among what the look left, and what came meanwhile.
    bound_us: u64,
}

impl Default for ExpiryLook {
    fn default() -> Self {
        Self {
            at_us: u64::MAX,
            next: 0,
            bound_us: u64::MAX,
        }
    }
}

impl Shard {
    /// When the message's validity ends by its destination's rule, ms; none: a timer says.
    pub(super) fn default_expiry_ms(&self, place: u32, key: Key) -> Option<u64> {
        let batch = self.batches.get(batches::batch_of(key))?;
        if batch.flags(batches::index_of(key)) & OWN_EXPIRY != 0 {
            return None;
        }
        let validity_ms = self.destinations[place as usize].fields.validity_ms;
        Some(batch.accepted_ms.saturating_add(validity_ms))
    }

    /// Whether a message that comes back, or is looked at, has no validity left.
    pub(super) fn is_over(&self, place: u32, key: Key) -> bool {
        let batch = self.batches.get(batches::batch_of(key));
        let overdue = batch.is_some_and(|batch| batch.flags(batches::index_of(key)) & OVERDUE != 0);
        overdue
            || self
                .default_expiry_ms(place, key)
                .is_some_and(|at_ms| at_ms <= self.now_us / 1000)
    }

    /// Something waits at the destination whose validity ends then.
    #[inline]
    pub(super) fn note_expiry(&mut self, place: u32, at_us: u64) {
        let look = &mut self.destinations[place as usize].expiry;
        look.bound_us = look.bound_us.min(at_us);
        if at_us < look.at_us {
            look.at_us = at_us;
            self.expiries.push(Reverse((at_us, place)));
        }
    }

    /// The same of messages that are accepted now.
    #[inline]
    pub(super) fn note_accepted(&mut self, place: u32) {
        let validity_ms = self.destinations[place as usize].fields.validity_ms;
        let at_ms = (self.now_us / 1000).saturating_add(validity_ms);
        self.note_expiry(place, at_ms.saturating_mul(1000));
    }

    /// Looks over the destinations where something may be over.
    pub(super) fn expire_due(&mut self) {
        let mut left = LOOKS_PER_STEP;
        while let Some(&Reverse((at_us, place))) = self.expiries.peek() {
            if at_us > self.now_us || left == 0 {
                return;
            }
            self.expiries.pop();
            // An entry of a time that was replaced by an earlier one is old.
            if self.destinations[place as usize].expiry.at_us == at_us {
                self.look_over(place, &mut left);
            }
        }
    }

    fn look_over(&mut self, place: u32, left: &mut usize) {
        let look = &mut self.destinations[place as usize].expiry;
        if look.next == 0 {
            look.bound_us = u64::MAX;
        }
        loop {
            let Destination { expiry, owners, .. } = &mut self.destinations[place as usize];
            if expiry.next >= owners.len() || *left == 0 {
                break;
            }
            let node = expiry.next;
            expiry.next += 1;
            if matches!(owners[node], Owner::Queue { .. }) {
                *left -= 1;
                let again_us = self.look_at_queue(place, node as NodeId, left);
                let look = &mut self.destinations[place as usize].expiry;
                look.bound_us = look.bound_us.min(again_us);
            }
        }
        let Destination { expiry, owners, .. } = &mut self.destinations[place as usize];
        let mut at_us = self.now_us;
        if expiry.next >= owners.len() {
            expiry.next = 0;
            let pace_us = PACE_US_MIN.max(owners.len() as u64 * PACE_US_PER_NODE);
            at_us = expiry.bound_us.max(self.now_us + pace_us);
        }
        expiry.at_us = at_us;
        if at_us < u64::MAX {
            self.expiries.push(Reverse((at_us, place)));
        }
    }

    /// Ends what is over in a queue; when it is to be looked at again, µs.
    fn look_at_queue(&mut self, place: u32, queue: NodeId, left: &mut usize) -> u64 {
        let destination = &self.destinations[place as usize];
        let Owner::Queue { queue: entry, .. } = &destination.owners[queue as usize] else {
            return u64::MAX;
        };
        let now_ms = self.now_us / 1000;
        let validity_ms = destination.fields.validity_ms;
        // Of a message that has a timer this is too early: it is looked at and stays.
        let end_ms = |key: Key| {
            let batch = self.batches.get(batches::batch_of(key))?;
            Some(batch.accepted_ms.saturating_add(validity_ms))
        };
        let mut over = Vec::new();
        let mut again_ms = u64::MAX;
        // In order of acceptance: the first that is too young ends the look.
        for key in entry.in_order() {
            let Some(at_ms) = end_ms(key) else { continue };
            if at_ms > now_ms || *left == 0 {
                again_ms = at_ms;
                break;
            }
            *left -= 1;
            over.push(key);
        }
        for key in entry.out_of_order() {
            let Some(at_ms) = end_ms(key) else { continue };
            if at_ms > now_ms || *left == 0 {
                again_ms = again_ms.min(at_ms);
                continue;
            }
            *left -= 1;
            over.push(key);
        }
        over.retain(|&key| self.state_of(key) == WAITING && self.is_over(place, key));
        for key in over {
            self.end_waiting(place, queue, key, OUTCOME_EXPIRED);
        }
        again_ms.saturating_mul(1000)
    }
}
