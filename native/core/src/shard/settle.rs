//! Outcomes: settled for good, or back to the queue or into a timer.

use super::batches::{self, GONE, Key, TIMED, WAITING};
use super::connection::InFlight;
use super::{
    DOUBTFUL, Extra, OUTCOME_GIVEN_UP, REASON_DISCONNECT, REASON_LEASE_END, REASON_NOT_ATTEMPTED,
    REASON_RETRY, REASON_THROTTLED, SETTLED_OUTCOMES, Shard,
};
use crate::client_frame::{self, Outcome, decode_settle};
use crate::daemon_frame::write_settle_ok;
use crate::exchange::OnDoubt;
use crate::limits;
use crate::record::{self, batch_key, state_key};
use std::cmp::Reverse;

/// A retry outcome that names no time.
const RETRY_AFTER_MS_DEFAULT: u64 = 1000;
/// A throttled outcome that names no time.
const THROTTLE_MS_DEFAULT: u64 = 1000;

/// What happens to a delivery that was not settled for good.
struct Way {
    reason: u8,
    /// An attempt was made, or may have been.
    attempted: bool,
    doubtful: bool,
    after_ms: u64,
}

impl Shard {
    pub(super) fn settle(&mut self, connection: u32, frame: &[u8]) {
        let mut outcomes = std::mem::take(&mut self.outcomes);
        match decode_settle(frame, &mut outcomes) {
            Ok(head) => {
                let known = self
                    .connections
                    .get(&connection)
                    .and_then(|client| client.subscription(head.subscription));
                if let Some(subscription) = known {
                    // Also when all of them come too late: it is slow, but it works.
                    if let Some(consumer) = self.destinations[subscription.destination as usize]
                        .consumer_mut(connection, subscription.number)
                    {
                        consumer.late = false;
                    }
                    let applied = self.apply_outcomes(connection, subscription.number, &outcomes);
                    let unknown = outcomes.len() as u32 - applied;
                    if head.id > 0 {
                        self.reply(connection, |out| {
                            write_settle_ok(out, head.id, applied, unknown);
                        });
                    }
                } else {
                    self.reply_unknown_subscription(connection, head.id, head.subscription);
                }
            }
            Err(error) => self.reply_frame_error(connection, &error),
        }
        self.outcomes = outcomes;
    }

    fn apply_outcomes(&mut self, connection: u32, subscription: u32, outcomes: &[Outcome]) -> u32 {
        let mut applied = 0;
        let mut held_us_min = u64::MAX;
        let mut destination = None;
        for outcome in outcomes {
            let Some(client) = self.connections.get_mut(&connection) else {
                break;
            };
            let Some(slot) = client.take(outcome.delivery, subscription) else {
                continue;
            };
            applied += 1;
            held_us_min = held_us_min.min(self.now_us.saturating_sub(slot.dispatched_us));
            destination = Some(slot.destination);
            match outcome.outcome {
                client_frame::OUTCOME_SENT => {
                    self.counters.settled_sent += 1;
                    self.finish(&slot, client_frame::OUTCOME_SENT);
                }
                client_frame::OUTCOME_DELIVERED => {
                    self.counters.settled_delivered += 1;
                    self.finish(&slot, client_frame::OUTCOME_DELIVERED);
                }
                client_frame::OUTCOME_FAILED => {
                    self.counters.settled_failed += 1;
                    self.finish(&slot, client_frame::OUTCOME_FAILED);
                }
                client_frame::OUTCOME_RETRY => self.retry(&slot, outcome),
                client_frame::OUTCOME_THROTTLED => self.throttled(&slot, outcome, connection),
                _ => {
                    self.counters.settled_not_attempted += 1;
                    self.refund(&slot);
                    self.give_back(&slot, &back_to_head(REASON_NOT_ATTEMPTED));
                }
            }
        }
        if let Some(place) = destination {
            let destination = &mut self.destinations[place as usize];
            destination
                .outstanding
                .settled(u64::from(applied), held_us_min, self.now_us);
            self.list(place);
        }
        applied
    }

    fn retry(&mut self, slot: &InFlight, outcome: &Outcome) {
        self.counters.settled_retry += 1;
        self.charge_hold(slot);
        let after_ms = outcome.retry_after_ms.unwrap_or(RETRY_AFTER_MS_DEFAULT);
        self.give_back(
            slot,
            &Way {
                reason: REASON_RETRY,
                attempted: true,
                doubtful: false,
                after_ms: after_ms.min(limits::RETRY_AFTER_MS_MAX),
            },
        );
    }

    /// The scope that the gateway names rests; the message goes back to its place.
    fn throttled(&mut self, slot: &InFlight, outcome: &Outcome, connection: u32) {
        self.counters.settled_throttled += 1;
        self.refund(slot);
        self.give_back(slot, &back_to_head(REASON_THROTTLED));
        let rest_ms = outcome
            .retry_after_ms
            .unwrap_or(THROTTLE_MS_DEFAULT)
            .min(limits::THROTTLE_MS_MAX);
        let until_us = self.now_us + rest_ms * 1000;
        let destination = &mut self.destinations[slot.destination as usize];
        match outcome.scope {
            client_frame::SCOPE_TENANT => {
                if let Some(tenant) = destination.tree.parent(slot.queue) {
                    destination.tree.rest(tenant, until_us, self.now_us);
                }
            }
            client_frame::SCOPE_SENDER => {
                destination.tree.rest(slot.queue, until_us, self.now_us);
            }
            _ => {
                if let Some(consumer) = destination.consumer_mut(connection, slot.subscription) {
                    consumer.rest_until_us = consumer.rest_until_us.max(until_us);
                    self.wakes.push(Reverse((until_us, slot.destination)));
                }
            }
        }
    }

    /// Settled for good: the message is gone.
    fn finish(&mut self, slot: &InFlight, outcome: u8) {
        self.charge_hold(slot);
        if self.any_strict {
            self.keep_order(slot.destination, slot.queue);
        }
        self.forget(slot.key, outcome);
    }

    fn charge_hold(&mut self, slot: &InFlight) {
        let held_us = self.now_us.saturating_sub(slot.dispatched_us);
        let destination = &mut self.destinations[slot.destination as usize];
        destination
            .tree
            .settle(slot.queue, slot.charge, held_us, self.now_us);
        destination.in_flight -= 1;
        self.counters.in_flight -= 1;
    }

    fn refund(&mut self, slot: &InFlight) {
        let destination = &mut self.destinations[slot.destination as usize];
        destination
            .tree
            .refund(slot.queue, slot.charge, self.now_us);
        destination.in_flight -= 1;
        self.counters.in_flight -= 1;
    }

    /// Takes a message out of the table; a record without a live message is deleted from disk.
    pub(super) fn forget(&mut self, key: Key, outcome: u8) {
        let group = SETTLED_OUTCOMES
            .iter()
            .position(|known| *known == outcome)
            .expect("a final outcome");
        self.settled[group].push(key);
        if !self.extras.is_empty() {
            self.extras.remove(&key);
        }
        let number = batches::batch_of(key);
        let batch = self
            .batches
            .get_mut(number)
            .expect("a message in flight has its batch");
        batch.states[usize::from(batches::index_of(key))] = GONE;
        batch.live -= 1;
        let place = batch.record_of(batches::index_of(key));
        let record = &mut batch.records[place];
        record.live -= 1;
        if record.live == 0 {
            self.journal.delete(&batch_key(number, record.first));
            if record.cache != batches::NONE {
                self.cache.remove(record.cache);
                record.cache = batches::NONE;
            }
        }
        if batch.live == 0 {
            if batch.stored {
                self.journal.delete(&state_key(number));
            }
            self.batches.remove(number);
        } else if !batch.dirty {
            batch.dirty = true;
            self.checkpoint.dirty.push(number);
        }
    }

    /// The message goes back to its place, into a timer, or is given up.
    fn give_back(&mut self, slot: &InFlight, how: &Way) {
        let key = slot.key;
        let destination = &self.destinations[slot.destination as usize];
        let extra = self.extras.get(&key).copied().unwrap_or_default();
        let attempts = extra.attempts + u32::from(how.attempted);
        let given_up = (how.attempted && attempts >= destination.fields.attempts_max)
            || (how.doubtful && destination.fields.on_doubt == OnDoubt::Fail);
        if given_up {
            self.counters.failed_final += 1;
            if self.any_strict {
                self.keep_order(slot.destination, slot.queue);
            }
            self.forget(key, OUTCOME_GIVEN_UP);
            return;
        }
        let flags = extra.flags | if how.doubtful { DOUBTFUL } else { 0 };
        let due_ms = if how.after_ms > 0 {
            (self.now_us + how.after_ms * 1000).div_ceil(1000)
        } else {
            0
        };
        self.returns.push(record::Return {
            key,
            reason: how.reason,
            attempts,
            due_ms,
            flags,
        });
        self.counters.waiting += 1;
        if attempts > 0 || flags > 0 || due_ms > 0 {
            self.extras.insert(
                key,
                Extra {
                    attempts,
                    flags,
                    due_ms,
                    destination: slot.destination,
                    queue: slot.queue,
                },
            );
        }
        self.set_state(key, if due_ms > 0 { TIMED } else { WAITING });
        if due_ms > 0 {
            self.destinations[slot.destination as usize]
                .tree
                .hold(slot.queue);
            self.timers.push(Reverse((due_ms * 1000, key)));
        } else {
            self.requeue(slot.destination, slot.queue, key);
        }
    }

    /// Back to its place in the queue; a strict queue that waited for it goes on with it.
    fn requeue(&mut self, place: u32, queue: u32, key: Key) {
        let destination = &mut self.destinations[place as usize];
        destination.queue_mut(queue).push_returned(key);
        destination.tree.enqueue(queue, 1, self.now_us);
        if self.any_strict {
            self.keep_order(place, queue);
        }
        self.list(place);
    }

    pub(super) fn set_state(&mut self, key: Key, state: u8) {
        let number = batches::batch_of(key);
        let batch = self
            .batches
            .get_mut(number)
            .expect("a live message has its batch");
        let cell = &mut batch.states[usize::from(batches::index_of(key))];
        debug_assert!(*cell != GONE, "a message that is gone came back");
        *cell = state;
        if !batch.dirty {
            batch.dirty = true;
            self.checkpoint.dirty.push(number);
        }
    }

    /// Messages whose time has come go to their places.
    pub(super) fn fire_timers(&mut self) {
        while let Some(&Reverse((due_us, key))) = self.timers.peek() {
            if due_us > self.now_us {
                break;
            }
            self.timers.pop();
            let Some(extra) = self.extras.get_mut(&key) else {
                continue;
            };
            if extra.due_ms * 1000 != due_us {
                continue;
            }
            extra.due_ms = 0;
            let (place, queue) = (extra.destination, extra.queue);
            self.set_state(key, WAITING);
            self.requeue(place, queue, key);
            self.destinations[place as usize].tree.unhold(queue);
            if self.any_strict {
                self.keep_order(place, queue);
            }
        }
    }

    /// Deliveries whose lease is over go back: they are in doubt.
    pub(super) fn fire_leases(&mut self) {
        while let Some(&Reverse((check_us, connection))) = self.leases.peek() {
            if check_us > self.now_us {
                break;
            }
            self.leases.pop();
            let mut taken = std::mem::take(&mut self.taken);
            if let Some(client) = self.connections.get_mut(&connection)
                && client.lease_check_us == check_us
            {
                let destinations = &self.destinations;
                let lease_us = |place: u32| destinations[place as usize].fields.lease_ms * 1000;
                let shortest = client
                    .subscriptions
                    .iter()
                    .map(|subscription| lease_us(subscription.destination))
                    .min()
                    .unwrap_or(0);
                client.take_expired(self.now_us, shortest, lease_us, &mut taken);
                if client.lease_check_us != u64::MAX {
                    self.leases
                        .push(Reverse((client.lease_check_us, connection)));
                }
            }
            self.mark_late(connection, &taken);
            self.return_doubtful(&taken, REASON_LEASE_END);
            taken.clear();
            self.taken = taken;
        }
    }

    /// The subscriptions whose leases ended come after others until they settle something.
    fn mark_late(&mut self, connection: u32, taken: &[InFlight]) {
        let mut last = None;
        for slot in taken {
            let of = (slot.destination, slot.subscription);
            if last.replace(of) == Some(of) {
                continue;
            }
            if let Some(consumer) = self.destinations[slot.destination as usize]
                .consumer_mut(connection, slot.subscription)
            {
                consumer.late = true;
            }
        }
    }

    fn return_doubtful(&mut self, taken: &[InFlight], reason: u8) {
        for slot in taken {
            self.counters.returned += 1;
            self.charge_hold(slot);
            self.list(slot.destination);
            self.give_back(
                slot,
                &Way {
                    reason,
                    attempted: true,
                    doubtful: true,
                    after_ms: 0,
                },
            );
        }
    }

    /// A connection is gone: what it held is in doubt and goes back to its places.
    pub(super) fn disconnect(&mut self, connection: u32) {
        let Some(mut client) = self.connections.remove(&connection) else {
            return;
        };
        for subscription in &client.subscriptions {
            let consumers = &mut self.destinations[subscription.destination as usize].consumers;
            consumers.retain(|consumer| consumer.connection != connection);
            self.list(subscription.destination);
        }
        let mut taken = std::mem::take(&mut self.taken);
        client.take_all(&mut taken);
        self.return_doubtful(&taken, REASON_DISCONNECT);
        taken.clear();
        self.taken = taken;
    }
}

const fn back_to_head(reason: u8) -> Way {
    Way {
        reason,
        attempted: false,
        doubtful: false,
        after_ms: 0,
    }
}
