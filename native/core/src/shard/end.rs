//! How a message ends, and how long that is remembered.
//!
//! A record stays on disk while a message of it has not ended, and then until its retention is over
//! or newer ended records need the room; a straggler pins 16 KiB, no more.

use super::batches::{
    self, CANCELLED, DEAD, DELIVERED, EXPIRED, FAILED, GIVEN_UP, IN_FLIGHT, JUDGED, Key, OVERDUE,
    OWN_EXPIRY, SCHEDULED, SENT, TIMED, UNDELIVERED, WAITING,
};
use super::timers::{Kind, Timer};
use super::{
    OUTCOME_CANCELLED, OUTCOME_EXPIRED, OUTCOME_FORGOTTEN, OUTCOME_PURGED, OUTCOME_UNDELIVERED,
    SETTLED_OUTCOMES, Shard,
};
use crate::client_frame;
use crate::limits;
use crate::record::{batch_key, state_key};
use crate::tree::NodeId;

/// Records forgotten in one exchange: 500 deletes block the store's writer for 0.1–0.2 ms.
const FORGET_PER_STEP: usize = 2048;
/// What a message that has an `Extra` counts for among the remembered bytes.
pub const EXTRA_BYTES: u64 = 48;

/// A record whose messages have all ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub at_ms: u64,
    /// Its first message.
    pub key: Key,
}

/// The state that an outcome leads to.
pub const fn state_of_outcome(outcome: u8) -> u8 {
    match outcome {
        client_frame::OUTCOME_SENT => SENT,
        client_frame::OUTCOME_DELIVERED => DELIVERED,
        client_frame::OUTCOME_FAILED => FAILED,
        OUTCOME_EXPIRED => EXPIRED,
        OUTCOME_CANCELLED => CANCELLED,
        OUTCOME_UNDELIVERED => UNDELIVERED,
        OUTCOME_FORGOTTEN => batches::GONE,
        _ => GIVEN_UP,
    }
}

impl Shard {
    /// The message ended with that outcome. It has left its queue, and its bytes are no longer counted.
    pub(super) fn end(&mut self, key: Key, outcome: u8) {
        self.note_settled(key, outcome);
        self.mark_ended(key, state_of_outcome(outcome));
    }

    /// Writes an outcome into the log.
    pub(super) fn note_settled(&mut self, key: Key, outcome: u8) {
        let group = SETTLED_OUTCOMES
            .iter()
            .position(|known| *known == outcome)
            .expect("a final outcome");
        self.settled[group].push(key);
    }

    /// Keeps something of a message that has ended; it counts for what is remembered.
    pub(super) fn keep_extra(&mut self, key: Key, extra: super::Extra) {
        if self.extras.insert(key, extra).is_none() {
            self.ended_bytes += EXTRA_BYTES;
        }
    }

    /// The same without a word in the log: the caller writes it.
    pub(super) fn mark_ended(&mut self, key: Key, state: u8) {
        let (number, index) = (batches::batch_of(key), batches::index_of(key));
        let now_ms = self.now_us / 1000;
        let batch = self
            .batches
            .get_mut(number)
            .expect("a message that has not ended has its batch");
        let before = batch.state(index);
        debug_assert!(batches::is_live(before));
        let counted = batch.counted(index);
        batch.dead -= u32::from(before == DEAD);
        batch.end(index, state, now_ms);
        batch.live -= 1;
        batch.log_last = self.next_log;
        let is_told = Self::is_told(state) && batch.has_callback(index);
        let flags = batch.flags(index);
        let has_timer = flags & (OWN_EXPIRY | OVERDUE) == OWN_EXPIRY;
        if !batch.dirty {
            batch.dirty = true;
            self.checkpoint.dirty.push(number);
        }
        let place = batch.record_of(index);
        let record = &mut batch.records[place];
        record.live -= 1;
        if record.live == 0 {
            let first = batches::key(number, record.first);
            self.ended_bytes += u64::from(record.bytes);
            // One that is not yet on disk stays at hand until it can be read from there.
            if record.cache != batches::NONE
                && self.cache.is_committed(record.cache, self.committed)
            {
                self.cache.remove(record.cache);
                record.cache = batches::NONE;
            }
            self.ended.push_back(Ended {
                at_ms: now_ms,
                key: first,
            });
        }
        self.count_end(counted, before, state);
        if has_timer {
            self.drop_timer();
        }
        if !self.replayed.is_empty() {
            self.replayed.remove(&key);
        }
        if flags & JUDGED != 0 {
            self.note_judged(flags, state);
        }
        if !self.extras.is_empty()
            && let Some(extra) = self.extras.get_mut(&key)
        {
            if state != FAILED && state != UNDELIVERED {
                extra.detail = 0;
            }
            if extra.is_empty() {
                self.extras.remove(&key);
            } else {
                self.ended_bytes += EXTRA_BYTES;
            }
        }
        if is_told {
            self.note_status(key);
        }
    }

    /// A timer of a message that ended is left behind.
    pub(super) fn drop_timer(&mut self) {
        let (batches, open) = (&self.batches, self.open.as_ref().map(|open| open.number));
        self.timers.drop_one(|key| batches.lives(open, key));
    }

    /// Its bytes no longer count for queue and tenant.
    pub(super) fn leave(&mut self, place: u32, queue: NodeId, key: Key) {
        let batch = self.batches.get(batches::batch_of(key));
        let bytes = batch.map_or(0, |batch| batch.body_bytes(batches::index_of(key)));
        let destination = &mut self.destinations[place as usize];
        let tenant = destination
            .tenant_of(queue)
            .expect("a queue has its tenant");
        destination.queue_mut(queue).bytes -= bytes;
        let tenant = destination.tenant_mut(tenant);
        tenant.bytes -= bytes;
        tenant.live -= 1;
        self.live_bytes -= bytes;
    }

    /// The opposite of `leave`: a dead letter is replayed, or recovery found the message.
    pub(super) fn enter(&mut self, place: u32, queue: NodeId, bytes: u64) {
        let destination = &mut self.destinations[place as usize];
        let tenant = destination
            .tenant_of(queue)
            .expect("a queue has its tenant");
        destination.queue_mut(queue).bytes += bytes;
        let tenant = destination.tenant_mut(tenant);
        tenant.bytes += bytes;
        tenant.live += 1;
        self.live_bytes += bytes;
    }

    /// Takes a message that is not in flight out of its queue or timer, for good.
    pub(super) fn take_out(&mut self, place: u32, queue: NodeId, key: Key) {
        let state = self.state_of(key);
        let now_us = self.now_us;
        self.leave(place, queue, key);
        self.counters.waiting -= 1;
        if state != SCHEDULED {
            let cost = self.cost_of(key);
            self.destinations[place as usize].discharge(queue, cost);
        }
        let destination = &mut self.destinations[place as usize];
        match state {
            WAITING => {
                destination.tree.dequeue(queue, 1, now_us);
                // It counts as waiting until its state is changed, which the caller does now.
                let (batches, open) = (&self.batches, self.open.as_ref().map(|open| open.number));
                destination
                    .queue_mut(queue)
                    .drop_one(|other| other != key && batches.waits(open, other));
            }
            TIMED | SCHEDULED => {
                destination.tree.unhold(queue);
                if state == TIMED {
                    destination.queue_mut(queue).timed -= 1;
                } else {
                    self.counters.scheduled -= 1;
                }
            }
            other => unreachable!("{key:x} is in state {other}"),
        }
        if self.any_strict {
            self.keep_order(place, queue);
        }
    }

    /// Ends a message that is not in flight.
    pub(super) fn end_waiting(&mut self, place: u32, queue: NodeId, key: Key, outcome: u8) {
        let state = self.state_of(key);
        self.take_out(place, queue, key);
        match outcome {
            OUTCOME_EXPIRED => self.counters.expired += 1,
            OUTCOME_CANCELLED => self.counters.cancelled += 1,
            _ => {}
        }
        self.end(key, outcome);
        if state == WAITING {
            self.tell_head_cost(place, queue);
        } else {
            self.drop_timer();
        }
        self.list(place);
    }

    pub(super) fn state_of(&self, key: Key) -> u8 {
        self.batches
            .get(batches::batch_of(key))
            .map_or(batches::GONE, |batch| batch.state(batches::index_of(key)))
    }

    /// Messages whose time has come go to their places; those whose validity is over end.
    pub(super) fn fire_timers(&mut self) {
        let now_ms = self.now_us / 1000;
        let mut due = 0;
        while due < limits::TIMERS_PER_EXCHANGE {
            let Some(timer) = self.timers.pop_due(now_ms) else {
                return;
            };
            let (key, place, queue) = (timer.key, timer.place, timer.queue);
            match (timer.kind(), self.state_of(key)) {
                (Kind::Due, TIMED | SCHEDULED) => {
                    due += 1;
                    self.now_due(place, queue, key);
                }
                (Kind::Expiry, _) if self.is_old_expiry(&timer) => self.timers.stale_popped(),
                (Kind::Expiry, WAITING | TIMED | SCHEDULED) => {
                    let batch = self.batches.get_mut(batches::batch_of(key));
                    batch
                        .expect("it has a state")
                        .set_flag(batches::index_of(key), OVERDUE);
                    self.end_waiting(place, queue, key, OUTCOME_EXPIRED);
                }
                (Kind::Expiry, IN_FLIGHT | DEAD) => {
                    let batch = self.batches.get_mut(batches::batch_of(key));
                    batch
                        .expect("it has a state")
                        .set_flag(batches::index_of(key), OVERDUE);
                }
                _ => self.timers.stale_popped(),
            }
        }
        // Others may be due: the next exchange follows at once, as the heap says.
    }

    /// Whether the validity of a dead letter that was replayed meanwhile was to end here: it began anew,
    /// and its queue may be another.
    fn is_old_expiry(&self, timer: &Timer) -> bool {
        let own = self.replayed.get(&timer.key);
        own.is_some_and(|own| own != timer)
    }

    fn now_due(&mut self, place: u32, queue: NodeId, key: Key) {
        let was_scheduled = self.state_of(key) == SCHEDULED;
        if was_scheduled {
            self.counters.scheduled -= 1;
            let cost = self.cost_of(key);
            self.destinations[place as usize].surcharge(queue, cost);
        } else {
            if let Some(extra) = self.extras.get_mut(&key) {
                extra.detail = 0;
            }
            self.destinations[place as usize].queue_mut(queue).timed -= 1;
        }
        self.set_state(key, WAITING);
        if was_scheduled && self.has_callback(key) {
            self.note_due(key);
        }
        self.requeue(place, queue, key);
        self.destinations[place as usize].tree.unhold(queue);
        if self.any_strict {
            self.keep_order(place, queue);
        }
    }

    /// Forgets the oldest ended records: those whose retention is over, and as many as are too much.
    pub(super) fn forget_old(&mut self) {
        let memory = self.options.memory;
        let now_ms = self.now_us / 1000;
        for _ in 0..FORGET_PER_STEP {
            let Some(&Ended { at_ms, key }) = self.ended.front() else {
                return;
            };
            let is_over = at_ms.saturating_add(memory.retention_ms) <= now_ms;
            if !is_over && self.ended_bytes <= memory.retention_bytes {
                return;
            }
            self.ended.pop_front();
            self.forget_record(key);
        }
    }

    /// Whether there is more to forget than one exchange does, or when the next is due, µs.
    pub(super) fn next_forget_us(&self) -> u64 {
        let memory = self.options.memory;
        let Some(first) = self.ended.front() else {
            return u64::MAX;
        };
        if self.ended_bytes > memory.retention_bytes {
            return 0;
        }
        first
            .at_ms
            .saturating_add(memory.retention_ms)
            .saturating_mul(1000)
    }

    /// Forgets one message that has ended, and its record keeps for a while.
    pub(super) fn forget_message(&mut self, key: Key) {
        let (number, index) = (batches::batch_of(key), batches::index_of(key));
        let log = self.next_log;
        self.forget_caps(key);
        let Some(batch) = self.batches.get_mut(number) else {
            return;
        };
        batch.forget(index, usize::from(index) + 1);
        batch.clear_callback(index);
        batch.log_last = log;
        if !batch.dirty {
            batch.dirty = true;
            self.checkpoint.dirty.push(number);
        }
        if self.extras.remove(&key).is_some() {
            self.ended_bytes -= EXTRA_BYTES;
        }
        self.note_settled(key, OUTCOME_FORGOTTEN);
    }

    fn forget_record(&mut self, first: Key) {
        let number = batches::batch_of(first);
        let Some(batch) = self.batches.get_mut(number) else {
            return;
        };
        let place = batch.record_of(batches::index_of(first));
        let end = batch
            .records
            .get(place + 1)
            .map_or(batch.len(), |next| usize::from(next.first));
        let record = &mut batch.records[place];
        // A dead letter of it may have been replayed since, or a record be listed twice.
        if record.live > 0 || record.bytes == 0 || record.first != batches::index_of(first) {
            return;
        }
        self.ended_bytes -= u64::from(std::mem::take(&mut record.bytes));
        if record.cache != batches::NONE {
            self.cache.remove(record.cache);
            record.cache = batches::NONE;
        }
        self.journal.delete(&batch_key(number, record.first));
        if !self.usage.caps.is_empty() {
            for index in usize::from(batches::index_of(first))..end {
                self.forget_caps(batches::key(number, index as u16));
            }
        }
        let batch = self.batches.get_mut(number).expect("it was just there");
        batch.kept -= 1;
        batch.forget(batches::index_of(first), end);
        if !self.extras.is_empty() {
            for index in usize::from(batches::index_of(first))..end {
                let key = batches::key(number, index as u16);
                if self.extras.remove(&key).is_some() {
                    self.ended_bytes -= EXTRA_BYTES;
                }
            }
        }
        if batch.kept == 0 {
            if batch.stored {
                self.journal.delete(&state_key(number));
            }
            if let Some(batch) = self.batches.remove(number) {
                self.usage.accounts.release_all(batch.owners());
            }
        }
    }
}

/// A dead letter leaves for good.
pub const PURGED: u8 = OUTCOME_PURGED;
