//! Dead letters: messages that used up their attempts, or are in doubt where nothing is sent twice.
//!
//! They are kept, bounded, until an operator replays or purges them; at the bound the oldest goes.

use super::batches::{self, DEAD, Key};
use super::end::PURGED;
use super::timers::{Kind, Timer};
use super::{
    DOUBTFUL, Extra, REASON_DEAD_ATTEMPTS, REASON_DEAD_IN_DOUBT, REASON_REPLAYED, REPLAYED, Shard,
    batches::WAITING,
};
use crate::record::{self, BuiltIn};
use crate::tree::NodeId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    pub destination: u32,
    /// `REASON_DEAD_…`
    pub reason: u8,
}

impl Shard {
    /// A message that was in flight, and left its queue's books, becomes a dead letter.
    pub(super) fn die(&mut self, place: u32, key: Key, attempts: u32, flags: u8, reason: u8) {
        debug_assert!(matches!(
            reason,
            REASON_DEAD_ATTEMPTS | REASON_DEAD_IN_DOUBT
        ));
        self.counters.failed_final += 1;
        let now_ms = self.now_us / 1000;
        self.returns.push(record::Return {
            key,
            reason,
            attempts,
            due_ms: now_ms,
            flags,
        });
        self.set_state(key, DEAD);
        self.count(key, BuiltIn::MessagesFailed);
        self.note_dead(place, key, reason);
        self.extras.insert(
            key,
            Extra {
                attempts,
                flags,
                detail: now_ms,
            },
        );
        self.note_status_if_asked(key);
        self.drop_dead();
    }

    /// At the bound the oldest go.
    pub(super) fn drop_dead(&mut self) {
        while self.dead.len() > self.options.memory.dead_letters {
            let (&oldest, _) = self.dead.first_key_value().expect("there are too many");
            self.counters.dead_letters_dropped += 1;
            self.purge_one(oldest);
        }
        self.counters.dead_letters = self.dead.len() as u64;
    }

    /// Books of a dead letter, also at recovery.
    pub(super) fn note_dead(&mut self, place: u32, key: Key, reason: u8) {
        let batch = self.batches.get_mut(batches::batch_of(key));
        batch.expect("a dead letter has its batch").dead += 1;
        self.dead.insert(
            key,
            Dead {
                destination: place,
                reason,
            },
        );
    }

    /// The validity of a replayed message, also at recovery. Any timer it had before is old: its queue
    /// may have been freed meanwhile.
    pub(super) fn begin_validity(&mut self, key: Key, place: u32, queue: NodeId, own_ms: u64) {
        let now_ms = self.now_us / 1000;
        let validity_ms = self.destinations[place as usize].fields.validity_ms;
        let expires_ms = if own_ms > now_ms {
            own_ms
        } else {
            now_ms.saturating_add(validity_ms)
        };
        let timer = Timer::new(expires_ms, Kind::Expiry, key, place, queue);
        self.timers.push(timer);
        self.replayed.insert(key, timer);
    }

    /// Ends a dead letter for good; false: it is none.
    pub(super) fn purge_one(&mut self, key: Key) -> bool {
        if self.dead.remove(&key).is_none() {
            return false;
        }
        self.counters.dead_letters = self.dead.len() as u64;
        self.end(key, PURGED);
        true
    }

    /// A dead letter goes to its place in its queue again, its attempts forgotten. Its validity is its
    /// destination's from now on, unless its own (0: none) ends later than now.
    pub(super) fn replay_one(&mut self, key: Key, place: u32, queue: NodeId, own_expires_ms: u64) {
        self.dead.remove(&key);
        self.counters.dead_letters = self.dead.len() as u64;
        let (number, index) = (batches::batch_of(key), batches::index_of(key));
        let batch = self
            .batches
            .get_mut(number)
            .expect("a dead letter has its batch");
        batch.dead -= 1;
        // Asked for by hand, it does not expire at once.
        batch.clear_flag(index, batches::OVERDUE);
        batch.set_flag(index, batches::OWN_EXPIRY);
        let bytes = batch.body_bytes(index);
        let waits_again = batch.live == batch.dead + 1;
        if waits_again {
            self.batches.waits_again(number);
        }
        let doubt = self.extras.get(&key).map_or(0, |extra| extra.flags) & DOUBTFUL;
        let extra = Extra {
            flags: REPLAYED | doubt,
            ..Extra::default()
        };
        self.extras.insert(key, extra);
        self.returns.push(record::Return {
            key,
            reason: REASON_REPLAYED,
            attempts: 0,
            due_ms: 0,
            flags: extra.flags,
        });
        self.enter(place, queue, bytes);
        self.counters.waiting += 1;
        self.set_state(key, WAITING);
        self.note_status_if_asked(key);
        self.begin_validity(key, place, queue, own_expires_ms);
        let cost = self.cost_of(key);
        self.destinations[place as usize].surcharge(queue, cost);
        self.requeue(place, queue, key);
        self.list(place);
    }
}
