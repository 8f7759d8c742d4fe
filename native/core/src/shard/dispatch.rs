//! Picking by score while room and credit allow, and noting what was handed out.

use super::batches::{self, IN_FLIGHT, Key, NONE, WAITING};
use super::connection::InFlight;
use super::destination::{Destination, Owner};
use super::{DOUBTFUL, DeliverFrame, Handed, OUTCOME_EXPIRED, Shard, Want};
use crate::daemon_frame::{DELIVER_HEADER_BYTES_MAX, DELIVERY_BYTES_MAX};
use crate::limits;
use crate::record::HandedTo;
use crate::tree::{self, Picked};
use std::cmp::Reverse;

/// Picks of one destination before another has its turn.
const PICKS_PER_TURN: usize = 512;

/// Messages found without validity at the head of one queue, in one pick.
const EXPIRED_PER_PICK: usize = 4096;

/// Why a destination's turn ended.
#[derive(PartialEq)]
enum Turn {
    /// Nothing more can be picked now.
    Idle,
    /// Its turn was over.
    More,
    /// The exchange is full.
    Full,
}

impl Shard {
    /// Serves the listed destinations in turns until all are idle or the exchange is full.
    pub(super) fn dispatch(&mut self) {
        self.more = false;
        if self.draining {
            for place in std::mem::take(&mut self.listed) {
                self.destinations[place as usize].listed = false;
            }
            return;
        }
        let mut budget = Budget::default();
        let mut round = std::mem::take(&mut self.listed);
        let mut next = Vec::new();
        while !round.is_empty() {
            let mut full = false;
            let mut served = 0;
            for place in round.drain(..) {
                full |= budget.full();
                if full {
                    next.push(place);
                    continue;
                }
                let turn = self.turn(place, &mut budget);
                self.call_gateways(place);
                match turn {
                    Turn::Idle => {
                        self.destinations[place as usize].listed = false;
                        self.ask_wake(place);
                    }
                    Turn::More => next.push(place),
                    Turn::Full => {
                        full = true;
                        next.push(place);
                    }
                }
                served = next.len();
            }
            if full {
                // Those that were not served come first in the next.
                self.more = true;
                next.rotate_left(served);
                break;
            }
            std::mem::swap(&mut round, &mut next);
            // Their gateway has a place for them now.
            round.append(&mut self.listed);
        }
        round.clear();
        next.append(&mut self.listed);
        self.listed = next;
    }

    fn turn(&mut self, place: u32, budget: &mut Budget) -> Turn {
        let now_us = self.now_us;
        let destination = &mut self.destinations[place as usize];
        destination.tree.wake(now_us);
        let room = if destination.fields.in_flight_max.is_some() {
            u64::MAX
        } else {
            destination
                .outstanding
                .limit(now_us)
                .saturating_sub(destination.in_flight)
        };
        let mut left = room.min(PICKS_PER_TURN as u64) as usize;
        let cut = room > PICKS_PER_TURN as u64;
        let is_watched = destination.admission.is_some();
        let has_lanes = !destination.lanes.is_empty();
        let mut wants = None;
        while left > 0 {
            if budget.full() {
                return Turn::Full;
            }
            let destination = &mut self.destinations[place as usize];
            if !destination.tree.can_pick() {
                break;
            }
            let consumer = if has_lanes {
                let Some(cost) = self.next_cost(place) else {
                    break;
                };
                let destination = &mut self.destinations[place as usize];
                wants = Some(cost);
                destination.consumer_for(&self.gateways, place, cost, now_us)
            } else {
                destination.best_consumer(now_us)
            };
            let Some(consumer) = consumer else {
                break;
            };
            wants = None;
            let Some(picked) = self.pick(place) else {
                break;
            };
            let Some(key) = self.take_head(place, picked) else {
                left -= 1;
                continue;
            };
            self.hand_out(place, consumer, picked, key, budget);
            if is_watched {
                self.watch_served(place, picked);
            }
            left -= 1;
        }
        let destination = &mut self.destinations[place as usize];
        let again = left == 0
            && cut
            && destination.tree.can_pick()
            && (has_lanes || destination.best_consumer(now_us).is_some());
        if has_lanes && !again {
            destination.wait_for_gateways(&mut self.gateways, place, wants, now_us);
        }
        if is_watched {
            destination.note_bound(now_us);
        }
        if again { Turn::More } else { Turn::Idle }
    }

    /// Cost of the message that `pick` would take.
    fn next_cost(&mut self, place: u32) -> Option<u32> {
        let now_us = self.now_us;
        let destination = &mut self.destinations[place as usize];
        let (owners, pools) = (&destination.owners, &mut self.pools);
        destination.tree.next_cost(now_us, |queue, cost| {
            pool_of(owners, queue).and_then(|pool| pools.wait_us(pool, cost, now_us))
        })
    }

    /// The queue to serve, pools asked.
    #[inline]
    fn pick(&mut self, place: u32) -> Option<Picked> {
        let now_us = self.now_us;
        let destination = &mut self.destinations[place as usize];
        if !destination.pooled {
            return destination.tree.pick(now_us);
        }
        let (owners, pools) = (&destination.owners, &mut self.pools);
        let picked = destination.tree.pick_where(now_us, |queue, cost| {
            pool_of(owners, queue).and_then(|pool| pools.wait_us(pool, cost, now_us))
        })?;
        if let Some(pool) = pool_of(owners, picked.queue) {
            pools.take(pool, picked.charge.cost, now_us);
        }
        Some(picked)
    }

    /// The message at the head of the queue that was picked; those before it whose validity is over
    /// end here. None: all of them did, and the charge went back.
    #[inline]
    fn take_head(&mut self, place: u32, picked: Picked) -> Option<Key> {
        let queue = picked.queue;
        for passed in 0.. {
            let batches = &self.batches;
            let destination = &mut self.destinations[place as usize];
            let key = destination
                .queue_mut(queue)
                .pop(|key| batches.waits(None, key));
            let key = key.expect("the tree picks only queues with a due message");
            let next_cost = if destination.queue_mut(queue).costed {
                let cost = self.cost_of(key);
                self.destinations[place as usize].discharge(queue, cost);
                self.tell_head_cost(place, queue)
            } else {
                1
            };
            if !self.is_over(place, key) {
                return Some(key);
            }
            self.counters.waiting -= 1;
            self.counters.expired += 1;
            let cost = self.cost_of(key);
            if let Some(admission) = &mut self.destinations[place as usize].admission {
                admission.expired(queue, cost);
            }
            self.leave(place, queue, key);
            self.end(key, OUTCOME_EXPIRED);
            let destination = &mut self.destinations[place as usize];
            // The one that was picked stood for this one; the next is taken in its place if it costs
            // the same.
            if passed >= EXPIRED_PER_PICK
                || destination.tree.due(queue) == 0
                || next_cost != picked.charge.cost
            {
                destination.tree.refund(queue, picked.charge, self.now_us);
                return None;
            }
            destination.tree.dequeue(queue, 1, self.now_us);
        }
        None
    }

    /// Tells admission by time what the queue got.
    fn watch_served(&mut self, place: u32, picked: Picked) {
        let destination = &mut self.destinations[place as usize];
        let left = destination.tree.due(picked.queue);
        if let Some(admission) = &mut destination.admission {
            let in_time = admission.served(picked.queue, picked.charge.cost, left, self.now_us);
            self.counters.refused_would_have_made_it += in_time;
        }
    }

    fn hand_out(
        &mut self,
        place: u32,
        consumer: usize,
        picked: Picked,
        key: Key,
        budget: &mut Budget,
    ) {
        let now_us = self.now_us;
        let destination = &mut self.destinations[place as usize];
        destination.in_flight += 1;
        destination.served += 1;
        destination.served_cost += u64::from(picked.charge.cost);
        if let Some(tenant) = destination.tenant_of(picked.queue) {
            destination.tenant_mut(tenant).delivered += 1;
        }
        if self.any_strict {
            self.keep_order(place, picked.queue);
        }
        self.counters.waiting -= 1;
        self.counters.in_flight += 1;
        self.counters.delivered += 1;

        let (handed, bytes) = self.handed_of(key, place, budget);
        let destination = &mut self.destinations[place as usize];
        let served = destination.served;
        let score = destination.tree.last_score();
        let entry = &mut destination.consumers[consumer];
        entry.credit -= 1;
        entry.last_served = served;
        let lane = entry.lane;
        if lane != 0 || !destination.lanes.is_empty() {
            let rate_per_sec = destination.fields.rate_per_sec;
            let cost = picked.charge.cost;
            destination.lanes.serve(lane, cost, served);
            if let Some(gateway) = destination.lanes.gateway(lane) {
                let gateway = self.gateways.at_mut(gateway);
                gateway.take(place, cost, rate_per_sec, now_us);
            }
        }
        let lease_us = destination.fields.lease_ms * 1000;
        if let Some(slowed) = &mut entry.slowed {
            let rate_per_sec = destination.fields.rate_per_sec.unwrap_or(f64::MAX);
            slowed.take(rate_per_sec, picked.charge.cost, now_us);
            if slowed.is_over(now_us) {
                entry.slowed = None;
            } else {
                self.wakes.push(Reverse((slowed.next_us, place)));
            }
        }
        let client = self
            .connections
            .get_mut(&entry.connection)
            .expect("a consumer has its connection");
        let delivery = client.hand_out(InFlight {
            key,
            charge: picked.charge,
            dispatched_us: now_us,
            destination: place,
            queue: picked.queue,
            subscription: entry.number,
            lane,
        });
        if now_us.saturating_add(lease_us) < client.lease_check_us {
            client.lease_check_us = now_us + lease_us;
            self.leases
                .push(Reverse((client.lease_check_us, entry.connection)));
        }
        if entry.frame_exchange != self.exchange {
            entry.frame_exchange = self.exchange;
            entry.frame = NONE;
        }
        match self.handed_to.last_mut() {
            Some(last)
                if last.connection == entry.connection && last.subscription == entry.number =>
            {
                last.count += 1;
            }
            _ => self.handed_to.push(HandedTo {
                count: 1,
                connection: entry.connection,
                subscription: entry.number,
            }),
        }
        self.scores.push(score);
        let handed = Handed { delivery, ..handed };
        append(&mut self.frames, &mut self.handed, entry, handed, bytes);
        self.handed_keys.push(key);
        budget.picks += 1;
        budget.bytes += bytes;
    }

    /// What `emit` needs of a message, and the most bytes its delivery takes.
    fn handed_of(&mut self, key: Key, place: u32, budget: &mut Budget) -> (Handed, usize) {
        let extra = if self.extras.is_empty() {
            super::Extra::default()
        } else {
            self.extras.get(&key).copied().unwrap_or_default()
        };
        let number = batches::batch_of(key);
        let batch = self
            .batches
            .get_mut(number)
            .expect("a queued message has its batch");
        let index = batches::index_of(key);
        debug_assert_eq!(batch.state(index), WAITING);
        batch.set_state(index, IN_FLIGHT);
        batch.log_last = self.next_log;
        if !batch.dirty {
            batch.dirty = true;
            self.checkpoint.dirty.push(number);
        }
        let (accepted_ms, hash) = (batch.accepted_ms, batch.hash);
        let is_told = batch.has_callback(index);
        let slot = batch.record_of(index);
        let record = &mut batch.records[slot];
        if record.touched != self.exchange {
            record.touched = self.exchange;
            record.want = NONE;
            budget.records += 1;
        }
        if record.cache == NONE && record.want == NONE {
            record.want = self.wants.len() as u32;
            self.wants
                .push(Want::Batch(batches::key(number, record.first)));
        }
        let handed = Handed {
            key,
            delivery: 0,
            attempt: extra.attempts + 1,
            flags: extra.flags & DOUBTFUL,
            destination: place,
            next: NONE,
            cache: record.cache,
            want: record.want,
            accepted_ms,
            hash,
        };
        let bytes = record.body_bytes_max as usize + DELIVERY_BYTES_MAX;
        if is_told {
            self.note_status(key);
        }
        (handed, bytes)
    }

    pub(super) fn is_strict_queue(&self, place: u32, queue: u32) -> bool {
        let destination = &self.destinations[place as usize];
        let Owner::Queue { tenant, name, .. } = &destination.owners[queue as usize] else {
            return false;
        };
        if name.sender.is_empty() {
            return false;
        }
        let set = destination.set_of(*tenant);
        set.is_some_and(|set| {
            matches!(
                destination.owners[set as usize],
                Owner::Set { strict: true, .. }
            )
        })
    }

    /// Notes when an idle destination has to be looked at again.
    fn ask_wake(&mut self, place: u32) {
        let destination = &mut self.destinations[place as usize];
        let blocked_on_time = destination.tree.waiting(tree::ROOT) > 0;
        let Some(wake_us) = destination.tree.next_wake_us().filter(|_| blocked_on_time) else {
            return;
        };
        // A bucket's time is rounded up so that the wake does not come before it.
        let wake_us = wake_us.max(self.now_us + 1);
        if wake_us < destination.wake_us || destination.wake_us <= self.now_us {
            destination.wake_us = wake_us;
            self.wakes.push(Reverse((wake_us, place)));
        }
    }

    pub(super) fn fire_wakes(&mut self) {
        while let Some(&Reverse((wake_us, place))) = self.wakes.peek() {
            if wake_us > self.now_us {
                break;
            }
            self.wakes.pop();
            let destination: &mut Destination = &mut self.destinations[place as usize];
            if destination.wake_us <= self.now_us {
                destination.wake_us = u64::MAX;
            }
            self.list(place);
        }
    }
}

fn pool_of(owners: &[Owner], queue: u32) -> Option<u32> {
    match &owners[queue as usize] {
        Owner::Queue { queue, .. } => queue.pool,
        _ => None,
    }
}

/// What an exchange may still hand out.
#[derive(Default)]
struct Budget {
    picks: usize,
    bytes: usize,
    records: usize,
}

impl Budget {
    /// Full when one more delivery of the largest size might not fit.
    const fn full(&self) -> bool {
        self.picks >= limits::PICKS_PER_EXCHANGE
            || self.records >= limits::RECORDS_PER_EXCHANGE
            || self.bytes + limits::PAYLOAD_BYTES + 1024 > limits::EFFECTS_BYTES
    }
}

/// Adds a delivery to its consumer's frame of this exchange, or to a new frame when that is full.
fn append(
    frames: &mut Vec<DeliverFrame>,
    handed: &mut Vec<Handed>,
    consumer: &mut super::destination::Consumer,
    delivery: Handed,
    bytes: usize,
) {
    let place = handed.len() as u32;
    handed.push(delivery);
    if let Some(frame) = frames.get_mut(consumer.frame as usize)
        && frame.bytes + bytes <= limits::DELIVER_FRAME_BYTES
    {
        handed[frame.last as usize].next = place;
        frame.last = place;
        frame.count += 1;
        frame.bytes += bytes;
        return;
    }
    consumer.frame = frames.len() as u32;
    frames.push(DeliverFrame {
        connection: consumer.connection,
        subscription: consumer.number,
        count: 1,
        bytes: bytes + DELIVER_HEADER_BYTES_MAX,
        first: place,
        last: place,
    });
}
