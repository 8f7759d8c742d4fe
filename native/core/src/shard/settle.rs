//! Outcomes: settled for good, or back to the queue or into a timer.

use super::batches::{self, FAILED, Key, TIMED, WAITING};
use super::connection::InFlight;
use super::slowed::Slowed;
use super::timers::{Kind, Timer, back_off_ms};
use super::{
    DOUBTFUL, Extra, OUTCOME_EXPIRED, REASON_DEAD_ATTEMPTS, REASON_DEAD_IN_DOUBT,
    REASON_DISCONNECT, REASON_FAILED, REASON_LEASE_END, REASON_NOT_ATTEMPTED, REASON_RETRY,
    REASON_THROTTLED, Shard,
};
use crate::client_frame::{self, Outcome, decode_settle};
use crate::daemon_frame::write_settle_ok;
use crate::exchange::OnDoubt;
use crate::limits;
use crate::record::{self, BuiltIn};
use std::cmp::Reverse;

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
                    // Also when all of them come too late: it is slow, but it works. One that did not
                    // attempt comes after the others, or one that is about to close would take
                    // message after message while it holds the most credit.
                    let untried = client_frame::OUTCOME_NOT_ATTEMPTED;
                    let late = outcomes.iter().any(|said| said.outcome == untried);
                    if let Some(consumer) = self.destinations[subscription.destination as usize]
                        .consumer_mut(connection, subscription.number)
                    {
                        consumer.late = late;
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
            Err(error) => self.replies.frame_error(connection, &error),
        }
        self.outcomes = outcomes;
    }

    fn apply_outcomes(&mut self, connection: u32, subscription: u32, outcomes: &[Outcome]) -> u32 {
        let mut applied = 0;
        let mut cost = 0;
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
            if outcome.outcome <= client_frame::OUTCOME_FAILED {
                cost += u64::from(slot.charge.cost);
            }
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
                    self.failed(&slot, outcome.code);
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
            if let Some(admission) = &mut destination.admission {
                admission.settled(applied, cost, self.now_us);
            }
            self.list(place);
        }
        applied
    }

    fn retry(&mut self, slot: &InFlight, outcome: &Outcome) {
        self.counters.settled_retry += 1;
        self.charge_hold(slot);
        let after_ms = outcome
            .retry_after_ms
            .unwrap_or_else(|| self.back_off_of(slot));
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

    /// How long a message waits that a gateway wants tried again without saying when.
    fn back_off_of(&self, slot: &InFlight) -> u64 {
        let fields = &self.destinations[slot.destination as usize].fields;
        let attempts = self.extras.get(&slot.key).map_or(0, |extra| extra.attempts) + 1;
        back_off_ms(
            slot.key,
            attempts,
            fields.retry_base_ms,
            fields.retry_max_ms,
            fields.retry_jitter,
        )
    }

    /// Failed for good, with the gateway's code if it gave one.
    fn failed(&mut self, slot: &InFlight, code: Option<u32>) {
        let Some(code) = code.filter(|&code| code > 0) else {
            return self.finish(slot, client_frame::OUTCOME_FAILED);
        };
        self.settle_slot(slot);
        let before = self.extras.get(&slot.key).copied().unwrap_or_default();
        let extra = Extra {
            attempts: before.attempts + 1,
            flags: before.flags,
            detail: u64::from(code),
        };
        self.returns.push(record::Return {
            key: slot.key,
            reason: REASON_FAILED,
            attempts: extra.attempts,
            due_ms: extra.detail,
            flags: extra.flags,
        });
        self.extras.insert(slot.key, extra);
        self.mark_ended(slot.key, FAILED);
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
                if let Some(tenant) = destination.tenant_of(slot.queue) {
                    destination.tree.rest(tenant, until_us, self.now_us);
                }
            }
            client_frame::SCOPE_SENDER => {
                destination.tree.rest(slot.queue, until_us, self.now_us);
            }
            _ => {
                if slot.lane != 0 {
                    return self.throttle_gateway(slot, until_us);
                }
                let has_rate = destination.fields.rate_per_sec.is_some();
                if let Some(consumer) = destination.consumer_mut(connection, slot.subscription) {
                    let was_resting = consumer.rest_until_us > self.now_us;
                    consumer.rest_until_us = consumer.rest_until_us.max(until_us);
                    // Once a rest: a frame of a hundred refusals is one.
                    if has_rate && !was_resting {
                        consumer.slowed = Some(Slowed::halved(consumer.slowed, until_us));
                    }
                    self.wakes.push(Reverse((until_us, slot.destination)));
                }
            }
        }
    }

    /// Settled for good.
    fn finish(&mut self, slot: &InFlight, outcome: u8) {
        self.settle_slot(slot);
        if !self.extras.is_empty()
            && let Some(extra) = self.extras.get_mut(&slot.key)
        {
            extra.attempts += 1;
        }
        self.end(slot.key, outcome);
    }

    /// The delivery is over and its message does not come back.
    fn settle_slot(&mut self, slot: &InFlight) {
        self.charge_hold(slot);
        if self.any_strict {
            self.keep_order(slot.destination, slot.queue);
        }
        self.leave(slot.destination, slot.queue, slot.key);
    }

    fn charge_hold(&mut self, slot: &InFlight) {
        let held_us = self.now_us.saturating_sub(slot.dispatched_us);
        let destination = &mut self.destinations[slot.destination as usize];
        destination
            .tree
            .settle(slot.queue, slot.charge, held_us, self.now_us);
        self.landed(slot);
    }

    /// The delivery is no longer in flight.
    fn landed(&mut self, slot: &InFlight) {
        self.destinations[slot.destination as usize].in_flight -= 1;
        self.counters.in_flight -= 1;
        if slot.lane != 0 {
            self.landed_at_gateway(slot);
        }
    }

    fn refund(&mut self, slot: &InFlight) {
        let destination = &mut self.destinations[slot.destination as usize];
        destination
            .tree
            .refund(slot.queue, slot.charge, self.now_us);
        self.landed(slot);
    }

    /// The message goes back to its place or into a timer, or its life ends here.
    fn give_back(&mut self, slot: &InFlight, how: &Way) {
        let key = slot.key;
        let (place, queue) = (slot.destination, slot.queue);
        let fields = &self.destinations[place as usize].fields;
        let extra = self.extras.get(&key).copied().unwrap_or_default();
        let attempts = extra.attempts + u32::from(how.attempted);
        let flags = extra.flags | if how.doubtful { DOUBTFUL } else { 0 };
        let exhausted = how.attempted && attempts >= fields.attempts_max;
        if how.attempted {
            self.count(key, BuiltIn::MessageAttempts);
        }
        let fields = &self.destinations[place as usize].fields;
        let in_doubt = how.doubtful && fields.on_doubt == OnDoubt::Fail;
        if exhausted || in_doubt || self.is_over(place, key) {
            if self.any_strict {
                self.keep_order(place, queue);
            }
            self.leave(place, queue, key);
            if in_doubt {
                self.die(place, key, attempts, flags, REASON_DEAD_IN_DOUBT);
            } else if exhausted {
                self.die(place, key, attempts, flags, REASON_DEAD_ATTEMPTS);
            } else {
                self.expire_back(key, how.reason, attempts, flags);
            }
            return;
        }
        let due_ms = self.due_ms(slot, how.after_ms);
        self.returns.push(record::Return {
            key,
            reason: how.reason,
            attempts,
            due_ms,
            flags,
        });
        self.counters.waiting += 1;
        let cost = self.cost_of(key);
        self.destinations[place as usize].surcharge(queue, cost);
        let extra = Extra {
            attempts,
            flags,
            detail: due_ms,
        };
        if !extra.is_empty() {
            self.extras.insert(key, extra);
        }
        self.set_state(key, if due_ms > 0 { TIMED } else { WAITING });
        self.note_status_if_asked(key);
        if due_ms > 0 {
            let destination = &mut self.destinations[place as usize];
            destination.tree.hold(queue);
            destination.queue_mut(queue).timed += 1;
            self.timers
                .push(Timer::new(due_ms, Kind::Due, key, place, queue));
            if self.any_strict {
                self.keep_order(place, queue);
            }
        } else {
            self.requeue(place, queue, key);
        }
    }

    /// A message that comes back without validity ends; the log keeps why it came.
    fn expire_back(&mut self, key: Key, reason: u8, attempts: u32, flags: u8) {
        self.returns.push(record::Return {
            key,
            reason,
            attempts,
            due_ms: 0,
            flags,
        });
        let extra = Extra {
            attempts,
            flags,
            detail: 0,
        };
        if !extra.is_empty() {
            self.extras.insert(key, extra);
        }
        self.counters.expired += 1;
        self.end(key, OUTCOME_EXPIRED);
    }

    /// When a message that comes back is due, ms; 0: now. Never later than the end of its validity.
    fn due_ms(&self, slot: &InFlight, after_ms: u64) -> u64 {
        if after_ms == 0 {
            return 0;
        }
        let due_ms = (self.now_us + after_ms * 1000).div_ceil(1000);
        let expiry_ms = self.default_expiry_ms(slot.destination, slot.key);
        due_ms.min(expiry_ms.unwrap_or(u64::MAX))
    }

    /// Back to its place in the queue; a strict queue that waited for it goes on with it.
    pub(super) fn requeue(&mut self, place: u32, queue: u32, key: Key) {
        let destination = &mut self.destinations[place as usize];
        let entry = destination.queue_mut(queue);
        entry.push(key);
        if !entry.costed
            && self
                .batches
                .get(batches::batch_of(key))
                .is_some_and(|batch| batch.cost(batches::index_of(key)) != 1)
        {
            entry.costed = true;
        }
        if entry.costed {
            self.tell_head_cost(place, queue);
        }
        let destination = &mut self.destinations[place as usize];
        destination.tree.enqueue(queue, 1, self.now_us);
        if self.any_strict {
            self.keep_order(place, queue);
        }
        if let Some(at_ms) = self.default_expiry_ms(place, key) {
            self.note_expiry(place, at_ms.saturating_mul(1000));
        }
        self.list(place);
    }

    /// The tree charges and paces a queue by the cost of its next message; gives that cost.
    pub(super) fn tell_head_cost(&mut self, place: u32, queue: u32) -> u32 {
        let (batches, open) = (&self.batches, self.open.as_ref());
        let destination = &mut self.destinations[place as usize];
        let entry = destination.queue_mut(queue);
        if !entry.costed {
            return 1;
        }
        let number = open.map(|open| open.number);
        let head = entry.peek(|key| batches.waits(number, key));
        entry.costed = head.is_some();
        let cost = head.map_or(1, |key| {
            let index = batches::index_of(key);
            match (batches.get(batches::batch_of(key)), open) {
                (Some(batch), _) => batch.cost(index),
                (None, Some(open)) => open.cells.cost(index),
                (None, None) => 1,
            }
        });
        destination.tree.set_head_cost(queue, cost, self.now_us);
        cost
    }

    pub(super) fn set_state(&mut self, key: Key, state: u8) {
        let number = batches::batch_of(key);
        let batch = self
            .batches
            .get_mut(number)
            .expect("a live message has its batch");
        let index = batches::index_of(key);
        debug_assert!(
            batches::is_live(batch.state(index)),
            "a message that ended came back"
        );
        batch.set_state(index, state);
        batch.log_last = self.next_log;
        if !batch.dirty {
            batch.dirty = true;
            self.checkpoint.dirty.push(number);
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
