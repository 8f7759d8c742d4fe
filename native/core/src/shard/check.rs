//! What must hold between exchanges, for tests: everything is walked and compared with everything.

use super::Shard;
use super::batches::{
    self, Batch, DEAD, GONE, IN_FLIGHT, Key, NONE, OVERDUE, OWN_EXPIRY, SCHEDULED, TIMED, WAITING,
};
use super::connection::InFlight;
use super::destination::{Destination, Owner};
use super::timers::Kind;
use crate::tree::{self, NodeId, NodeKind};
use std::collections::{BTreeMap, BTreeSet};

/// One accepted message that is not settled, as `messages` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageState {
    pub key: u64,
    /// 1 waiting, 2 in flight, 3 timed, 4 scheduled, 14 dead.
    pub state: u8,
    pub attempts: u32,
    pub flags: u8,
    /// 0 unless timed.
    pub due_ms: u64,
}

/// Messages of one queue by what they wait for.
#[derive(Default)]
struct Counts {
    in_flight: u32,
    timed: u32,
    scheduled: u32,
    bytes: u64,
    /// Cost above 1 each, of those that wait for their next attempt.
    surcharge: u64,
}

impl Shard {
    /// Every message that has not ended, dead letters included, ascending by key.
    #[doc(hidden)]
    pub fn messages(&self) -> Vec<MessageState> {
        self.all_messages(batches::is_live)
    }

    /// Every message that has ended and is remembered, ascending by key.
    #[doc(hidden)]
    pub fn ended_messages(&self) -> Vec<MessageState> {
        self.all_messages(|state| state != GONE && !batches::is_live(state))
    }

    fn all_messages(&self, fits: impl Fn(u8) -> bool) -> Vec<MessageState> {
        let mut all = Vec::new();
        for (number, batch) in self.batches.iter() {
            for (index, state) in batch.states().enumerate() {
                let key = batches::key(number, index as u16);
                if !fits(state) || self.is_forgotten(key) {
                    continue;
                }
                let extra = self.extras.get(&key).copied().unwrap_or_default();
                all.push(MessageState {
                    key,
                    state,
                    attempts: extra.attempts,
                    flags: extra.flags,
                    due_ms: if state == TIMED { extra.detail } else { 0 },
                });
            }
        }
        all.sort_unstable_by_key(|message| message.key);
        all
    }

    fn is_forgotten(&self, key: Key) -> bool {
        let batch = self
            .batches
            .get(batches::batch_of(key))
            .expect("it has a state");
        batch.records[batch.record_of(batches::index_of(key))].bytes == 0
    }

    /// Bytes of batch records at hand.
    #[doc(hidden)]
    pub fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Panics unless the shard's parts agree with each other. Costs as much as the shard is large.
    #[doc(hidden)]
    pub fn check(&self) {
        let mut queues: BTreeMap<(u32, NodeId), Counts> = BTreeMap::new();
        self.check_connections(&mut queues);
        self.check_timers(&mut queues);
        self.check_extras();
        let mut waiting = BTreeSet::new();
        for place in 0..self.destinations.len() as u32 {
            self.check_destination(place, &queues, &mut waiting);
        }
        self.check_gateways();
        self.check_messages(&waiting);
        self.check_remembered();
        self.check_cache();
        self.check_events();
        self.check_usage();
        let names: usize = self
            .destinations
            .iter()
            .map(|destination| destination.queues.len())
            .sum();
        assert_eq!(self.counters.queues, names as u64, "the count of queues");
    }

    fn check_connections(&self, queues: &mut BTreeMap<(u32, NodeId), Counts>) {
        let mut keys = BTreeSet::new();
        let checks: BTreeSet<(u64, u32)> = self.leases.iter().map(|entry| entry.0).collect();
        for (&number, client) in &self.connections {
            assert_eq!(
                client.in_flight(),
                client.deliveries().count(),
                "deliveries of connection {number}"
            );
            let mut lease_end_us = u64::MAX;
            for slot in client.deliveries() {
                self.check_delivery(slot, number);
                assert!(keys.insert(slot.key), "{:x} was handed out twice", slot.key);
                let destination = &self.destinations[slot.destination as usize];
                let lease_us = destination.fields.lease_ms.saturating_mul(1000);
                lease_end_us = lease_end_us.min(slot.dispatched_us.saturating_add(lease_us));
                let counts = queues.entry((slot.destination, slot.queue)).or_default();
                counts.in_flight += 1;
                counts.bytes += self.bytes_of(slot.key);
            }
            assert!(
                client.lease_check_us <= lease_end_us,
                "a lease of connection {number} ends at {lease_end_us} and is looked at later"
            );
            assert!(
                lease_end_us == u64::MAX || checks.contains(&(client.lease_check_us, number)),
                "nobody looks at the leases of connection {number}"
            );
            for subscription in &client.subscriptions {
                let consumers = &self.destinations[subscription.destination as usize].consumers;
                let mine = consumers.iter().filter(|consumer| {
                    consumer.connection == number && consumer.number == subscription.number
                });
                assert_eq!(mine.count(), 1, "consumers of one subscription");
            }
        }
        assert_eq!(self.counters.in_flight, keys.len() as u64, "in flight");
    }

    fn check_delivery(&self, slot: &InFlight, connection: u32) {
        let client = &self.connections[&connection];
        let subscription = client.subscription(slot.subscription);
        assert!(
            subscription.is_some_and(|known| known.destination == slot.destination),
            "a delivery of connection {connection} has no subscription"
        );
        assert_eq!(self.state(slot.key), IN_FLIGHT, "state of {:x}", slot.key);
    }

    fn state(&self, key: Key) -> u8 {
        self.state_of(key)
    }

    /// A message with its destination's validity waits there: somebody will look.
    fn check_expiry(&self, place: u32) {
        let at_us = self.destinations[place as usize].expiry.at_us;
        let asked = self.expiries.iter().any(|entry| entry.0 == (at_us, place));
        assert!(asked, "nobody ends the validity of what waits at {place}");
    }

    fn check_extras(&self) {
        for (&key, extra) in &self.extras {
            let state = self.state(key);
            assert_ne!(state, GONE, "{key:x} is gone and something is kept of it");
            assert!(!extra.is_empty(), "an extra of {key:x} says nothing");
            let replayed = batches::is_live(state) && extra.flags & super::REPLAYED != 0;
            if state != DEAD {
                assert_eq!(
                    replayed,
                    self.replayed.contains_key(&key),
                    "validity of {key:x}"
                );
            }
            if matches!(state, WAITING | IN_FLIGHT | TIMED) {
                assert_eq!(state == TIMED, extra.detail > 0, "time of {key:x}");
            }
        }
    }

    /// Each message that waits for a time has its one timer, and each validity of its own an end.
    fn check_timers(&self, queues: &mut BTreeMap<(u32, NodeId), Counts>) {
        let mut due = BTreeSet::new();
        let mut ends = BTreeSet::new();
        for timer in self.timers.entries() {
            let state = self.state(timer.key);
            match (timer.kind(), state) {
                (Kind::Due, TIMED | SCHEDULED) => {
                    assert!(due.insert(timer.key), "{:x} has two timers", timer.key);
                    let counts = queues.entry((timer.place, timer.queue)).or_default();
                    counts.bytes += self.bytes_of(timer.key);
                    if state == TIMED {
                        let extra = self.extras[&timer.key];
                        assert_eq!(timer.at_ms(), extra.detail, "time of {:x}", timer.key);
                        counts.timed += 1;
                        counts.surcharge += u64::from(self.cost_of(timer.key)) - 1;
                    } else {
                        counts.scheduled += 1;
                    }
                }
                (Kind::Expiry, _) => {
                    ends.insert(timer.key);
                }
                _ => {}
            }
        }
        for (number, batch) in self.batches.iter() {
            for (index, state) in batch.states().enumerate() {
                let key = batches::key(number, index as u16);
                if matches!(state, TIMED | SCHEDULED) {
                    assert!(
                        due.contains(&key),
                        "{key:x} waits for a time, without a timer"
                    );
                }
                let flags = batch.flags(index as u16) & (OWN_EXPIRY | OVERDUE);
                if batches::is_live(state) && flags == OWN_EXPIRY {
                    assert!(ends.contains(&key), "nothing ends the validity of {key:x}");
                }
            }
        }
    }

    fn check_destination(
        &self,
        place: u32,
        queues: &BTreeMap<(u32, NodeId), Counts>,
        waiting: &mut BTreeSet<Key>,
    ) {
        let destination = &self.destinations[place as usize];
        destination.tree.check();
        let levels = |owner: &&Owner| matches!(owner, Owner::Level { .. });
        let levels = destination.owners.iter().filter(levels).count();
        let named = levels
            + destination.slots.len()
            + destination.sets.len()
            + destination.tenants.len()
            + destination.queues.len();
        let mut used = 0;
        for (node, owner) in destination.owners.iter().enumerate() {
            let node = node as NodeId;
            let kind = match owner {
                Owner::Free => None,
                Owner::Set { .. } => Some(NodeKind::Set),
                Owner::Slot { .. } => Some(NodeKind::Slot),
                Owner::Tenant(_) => Some(NodeKind::Tenant),
                Owner::Level { .. } => Some(NodeKind::Level),
                Owner::Queue { .. } => Some(NodeKind::Queue),
            };
            assert_eq!(destination.tree.kind(node), kind, "owner of node {node}");
            used += usize::from(kind.is_some());
            check_name(destination, node, owner);
            if let Owner::Queue { queue, .. } = owner {
                let empty = Counts::default();
                let counts = queues.get(&(place, node)).unwrap_or(&empty);
                let tree = &destination.tree;
                assert_eq!(tree.due(node) as usize, queue.len(), "due in queue {node}");
                assert_eq!(
                    tree.in_flight(node),
                    counts.in_flight,
                    "in flight of {node}"
                );
                assert_eq!(
                    tree.waiting(node) - tree.due(node),
                    counts.timed + counts.scheduled,
                    "timed of {node}"
                );
                assert_eq!(queue.timed, counts.timed, "tried again of {node}");
                let mut there = 0;
                let mut bytes = counts.bytes;
                let mut surcharge = counts.surcharge;
                for key in queue.entries() {
                    if self.state(key) == WAITING {
                        if self.default_expiry_ms(place, key).is_some() {
                            self.check_expiry(place);
                        }
                        there += 1;
                        bytes += self.bytes_of(key);
                        surcharge += u64::from(self.cost_of(key)) - 1;
                        assert!(waiting.insert(key), "{key:x} stands in two queues");
                    }
                }
                assert_eq!(there, queue.len(), "messages in queue {node}");
                assert_eq!(queue.bytes, bytes, "bytes of queue {node}");
                assert_eq!(queue.surcharge, surcharge, "surcharge of queue {node}");
                let strict = self.any_strict && self.is_strict_queue(place, node);
                let busy = counts.in_flight + counts.timed > 0;
                assert_eq!(queue.blocked, strict && busy, "strict order of {node}");
            }
        }
        assert_eq!(used, named, "nodes and names of {}", destination.name);
        assert_eq!(
            destination.in_flight,
            u64::from(destination.tree.in_flight(tree::ROOT)),
            "in flight at {}",
            destination.name
        );
        for consumer in &destination.consumers {
            let client = self.connections.get(&consumer.connection);
            let known = client.and_then(|client| client.subscription(consumer.number));
            assert_eq!(
                known.map(|known| known.destination),
                Some(place),
                "a consumer's place"
            );
            assert_eq!(
                client.map(|client| client.parked),
                Some(consumer.parked),
                "parked"
            );
        }
        if !self.draining {
            self.check_work(place);
        }
    }

    /// Work conserving: who can be served was, or stands on the list, or has a wake.
    fn check_work(&self, place: u32) {
        let destination = &self.destinations[place as usize];
        assert_eq!(destination.listed, self.listed.contains(&place));
        if destination.listed {
            assert!(
                self.more || self.exchange == 0,
                "a destination has work and nobody comes back for it"
            );
            return;
        }
        let now_us = self.now_us;
        let room = destination.fields.in_flight_max.is_some()
            || destination.outstanding.clone().limit(now_us) > destination.in_flight;
        let idle =
            !room || !destination.tree.can_pick() || !self.has_idle_gateway(place, destination);
        assert!(
            idle,
            "{} is idle and has room, credit and work",
            destination.name
        );
        let wake_us: Vec<u64> = self
            .wakes
            .iter()
            .filter(|entry| entry.0.1 == place)
            .map(|entry| entry.0.0)
            .collect();
        if destination.tree.waiting(tree::ROOT) == 0 {
            return;
        }
        if let Some(at_us) = destination.tree.next_wake_us() {
            let asked = wake_us
                .iter()
                .any(|&wake_us| wake_us <= at_us.max(now_us + 1));
            assert!(asked, "{} needs a wake at {at_us}", destination.name);
        }
        for consumer in &destination.consumers {
            let rest_us = consumer.ready_us();
            let asked = wake_us.iter().any(|&wake_us| wake_us <= rest_us);
            assert!(
                rest_us <= now_us || asked,
                "a consumer rests and is never looked at"
            );
        }
    }

    fn check_messages(&self, waiting: &BTreeSet<Key>) {
        let listed: BTreeSet<u64> = self.checkpoint.pending().collect();
        let (mut waits, mut held, mut scheduled, mut dead) = (0, 0, 0, 0);
        for (number, batch) in self.batches.iter() {
            check_batch(number, batch);
            assert!(
                !batch.dirty || listed.contains(&number),
                "batch {number} changed and no checkpoint will write it"
            );
            for (index, state) in batch.states().enumerate() {
                let key = batches::key(number, index as u16);
                waits += u64::from(matches!(state, WAITING | TIMED | SCHEDULED));
                scheduled += u64::from(state == SCHEDULED);
                held += u64::from(state == IN_FLIGHT);
                dead += u64::from(state == DEAD);
                if state == WAITING {
                    assert!(waiting.contains(&key), "{key:x} waits in no queue");
                }
                if state == DEAD {
                    assert!(
                        self.dead.contains_key(&key),
                        "{key:x} is on no list of the dead"
                    );
                }
            }
        }
        assert_eq!(self.counters.scheduled, scheduled, "scheduled");
        assert_eq!(self.dead.len() as u64, dead, "dead letters");
        assert_eq!(self.counters.waiting, waits, "waiting");
        assert_eq!(self.counters.in_flight, held, "in flight");
    }

    fn bytes_of(&self, key: Key) -> u64 {
        let batch = self.batches.get(batches::batch_of(key));
        batch.map_or(0, |batch| batch.body_bytes(batches::index_of(key)))
    }

    /// What has ended is listed once, to be forgotten.
    fn check_remembered(&self) {
        let listed: Vec<Key> = self.ended.iter().map(|ended| ended.key).collect();
        let once: BTreeSet<Key> = listed.iter().copied().collect();
        assert_eq!(listed.len(), once.len(), "a record is forgotten twice");
        for (number, batch) in self.batches.iter() {
            for record in &batch.records {
                let key = batches::key(number, record.first);
                let ended = record.live == 0 && record.bytes > 0;
                assert_eq!(ended, once.contains(&key), "the end of record {key:x}");
            }
        }
        let records: u64 = self
            .batches
            .iter()
            .flat_map(|(_, batch)| &batch.records)
            .filter(|record| record.live == 0)
            .map(|record| u64::from(record.bytes))
            .sum();
        let extras = self.extras.keys();
        let extras = extras.filter(|&&key| !batches::is_live(self.state(key)));
        let expected = records + extras.count() as u64 * super::end::EXTRA_BYTES;
        assert_eq!(self.ended_bytes, expected, "bytes of what is remembered");
        let bytes: u64 = self
            .destinations
            .iter()
            .flat_map(|destination| &destination.owners)
            .map(|owner| match owner {
                Owner::Queue { queue, .. } => queue.bytes,
                _ => 0,
            })
            .sum();
        assert_eq!(self.live_bytes, bytes, "bytes of all queues");
    }

    fn check_cache(&self) {
        let mut slots = BTreeSet::new();
        let mut bytes = 0;
        for (number, batch) in self.batches.iter() {
            for record in batch.records.iter().filter(|record| record.cache != NONE) {
                assert!(
                    slots.insert(record.cache),
                    "two records in slot {}",
                    record.cache
                );
                let owner = self.cache.owner(record.cache);
                assert_eq!(owner, batches::key(number, record.first), "owner of a slot");
                bytes += self.cache.get(record.cache).len();
            }
        }
        assert_eq!(self.cache.bytes(), bytes, "bytes of the cache");
    }
}

fn check_name(destination: &Destination, node: NodeId, owner: &Owner) {
    let found = match owner {
        Owner::Free => return,
        Owner::Set { name, .. } => destination.sets.get(name),
        Owner::Slot { set, index } => {
            assert_eq!(
                destination.tree.parent(node),
                Some(*set),
                "set of slot {node}"
            );
            destination.slots.get(&(*set, *index))
        }
        Owner::Tenant(tenant) => destination.tenants.get(&tenant.name),
        Owner::Level { tenant, rank } => {
            let levels = &destination.tenant(*tenant).levels;
            assert_eq!(levels[usize::from(*rank)], node, "level of node {node}");
            return;
        }
        Owner::Queue { tenant, name, .. } => {
            let parent = destination.tree.parent(node);
            let levels = &destination.tenant(*tenant).levels;
            let expected = levels.get(usize::from(name.rank)).unwrap_or(tenant);
            assert_eq!(parent, Some(*expected), "parent of queue {node}");
            let mut found = Vec::new();
            let tenant = &destination.tenant(*tenant).name;
            Destination::queue_name(tenant, name.as_of(), &mut found);
            destination.queues.get(found.as_slice())
        }
    };
    assert_eq!(found, Some(&node), "the name of node {node}");
}

fn check_batch(number: u64, batch: &Batch) {
    let live = batch
        .states()
        .filter(|&state| batches::is_live(state))
        .count();
    assert_eq!(batch.live as usize, live, "live messages of batch {number}");
    let dead = batch.states().filter(|&state| state == DEAD).count();
    assert_eq!(batch.dead as usize, dead, "dead letters of batch {number}");
    assert!(batch.kept > 0, "batch {number} has no record and is kept");
    let kept = batch.records.iter().filter(|record| record.bytes > 0);
    assert_eq!(
        batch.kept as usize,
        kept.count(),
        "records of batch {number}"
    );
    for (place, record) in batch.records.iter().enumerate() {
        let end = batch
            .records
            .get(place + 1)
            .map_or(batch.len(), |next| usize::from(next.first));
        let states = (usize::from(record.first)..end).map(|index| batch.state(index as u16));
        let live = states.filter(|&state| batches::is_live(state)).count();
        assert_eq!(
            usize::from(record.live),
            live,
            "record {} of {number}",
            record.first
        );
    }
}
