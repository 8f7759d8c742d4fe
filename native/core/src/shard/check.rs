//! What must hold between exchanges, for tests: everything is walked and compared with everything.

use super::Shard;
use super::batches::{self, Batch, GONE, IN_FLIGHT, Key, NONE, TIMED, WAITING};
use super::connection::InFlight;
use super::destination::{Destination, Owner};
use crate::tree::{self, NodeId, NodeKind};
use std::collections::{BTreeMap, BTreeSet};

/// One accepted message that is not settled, as `messages` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageState {
    pub key: u64,
    /// 1 waiting, 2 in flight, 3 timed.
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
}

impl Shard {
    /// Every message that is not settled, ascending by key.
    #[doc(hidden)]
    pub fn messages(&self) -> Vec<MessageState> {
        let mut all = Vec::new();
        for (number, batch) in self.batches.iter() {
            for (index, &state) in batch.states.iter().enumerate() {
                let key = batches::key(number, index as u16);
                if state == GONE || self.given_up.contains(&key) {
                    continue;
                }
                let extra = self.extras.get(&key).copied().unwrap_or_default();
                all.push(MessageState {
                    key,
                    state,
                    attempts: extra.attempts,
                    flags: extra.flags,
                    due_ms: if state == TIMED { extra.due_ms } else { 0 },
                });
            }
        }
        all.sort_unstable_by_key(|message| message.key);
        all
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
        self.check_extras(&mut queues);
        let mut waiting = BTreeSet::new();
        for place in 0..self.destinations.len() as u32 {
            self.check_destination(place, &queues, &mut waiting);
        }
        self.check_messages(&waiting);
        self.check_cache();
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
                queues
                    .entry((slot.destination, slot.queue))
                    .or_default()
                    .in_flight += 1;
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
        let batch = self.batches.get(batches::batch_of(key));
        batch.map_or(GONE, |batch| {
            let cell = batch.states.get(usize::from(batches::index_of(key)));
            cell.copied().unwrap_or(GONE)
        })
    }

    fn check_extras(&self, queues: &mut BTreeMap<(u32, NodeId), Counts>) {
        let timers: BTreeSet<(u64, Key)> = self.timers.iter().map(|entry| entry.0).collect();
        for (&key, extra) in &self.extras {
            let state = self.state(key);
            assert_ne!(state, GONE, "{key:x} is gone and something is kept of it");
            assert!(extra.attempts > 0 || extra.flags > 0 || extra.due_ms > 0);
            assert_eq!(state == TIMED, extra.due_ms > 0, "time of {key:x}");
            if state == TIMED {
                assert!(
                    timers.contains(&(extra.due_ms * 1000, key)),
                    "{key:x} waits for a time and has no timer"
                );
                queues
                    .entry((extra.destination, extra.queue))
                    .or_default()
                    .timed += 1;
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
        let named = destination.sets.len() + destination.tenants.len() + destination.queues.len();
        let mut used = 0;
        for (node, owner) in destination.owners.iter().enumerate() {
            let node = node as NodeId;
            let kind = match owner {
                Owner::Free => None,
                Owner::Set { .. } => Some(NodeKind::Set),
                Owner::Tenant { .. } => Some(NodeKind::Tenant),
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
                    counts.timed,
                    "timed of {node}"
                );
                for key in queue.keys() {
                    assert_eq!(self.state(key), WAITING, "state of {key:x}");
                    assert!(waiting.insert(key), "{key:x} stands in two queues");
                }
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
            !room || !destination.tree.can_pick() || destination.best_consumer(now_us).is_none();
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
            let rest_us = consumer.rest_until_us;
            let asked = wake_us.iter().any(|&wake_us| wake_us <= rest_us);
            assert!(
                rest_us <= now_us || asked,
                "a consumer rests and is never looked at"
            );
        }
    }

    fn check_messages(&self, waiting: &BTreeSet<Key>) {
        let listed: BTreeSet<u64> = self.checkpoint.pending().collect();
        let (mut waits, mut held) = (0, 0);
        for (number, batch) in self.batches.iter() {
            check_batch(number, batch);
            assert!(
                !batch.dirty || listed.contains(&number),
                "batch {number} changed and no checkpoint will write it"
            );
            for (index, &state) in batch.states.iter().enumerate() {
                let key = batches::key(number, index as u16);
                waits += u64::from(state == WAITING || state == TIMED);
                held += u64::from(state == IN_FLIGHT);
                if state == WAITING {
                    let known = waiting.contains(&key) || self.given_up.contains(&key);
                    assert!(known, "{key:x} waits in no queue");
                }
            }
        }
        assert_eq!(self.counters.waiting, waits, "waiting");
        assert_eq!(self.counters.in_flight, held, "in flight");
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
        Owner::Tenant { name, .. } => destination.tenants.get(name),
        Owner::Queue { tenant, sender, .. } => {
            assert_eq!(
                destination.tree.parent(node),
                Some(*tenant),
                "tenant of queue {node}"
            );
            let mut name = Vec::new();
            Destination::queue_name(*tenant, sender, &mut name);
            destination.queues.get(name.as_slice())
        }
    };
    assert_eq!(found, Some(&node), "the name of node {node}");
}

fn check_batch(number: u64, batch: &Batch) {
    let live = batch.states.iter().filter(|&&state| state != GONE).count();
    assert_eq!(batch.live as usize, live, "live messages of batch {number}");
    assert!(live > 0, "batch {number} has no message and is kept");
    for (place, record) in batch.records.iter().enumerate() {
        let end = batch
            .records
            .get(place + 1)
            .map_or(batch.states.len(), |next| usize::from(next.first));
        let states = &batch.states[usize::from(record.first)..end];
        let live = states.iter().filter(|&&state| state != GONE).count();
        assert_eq!(
            usize::from(record.live),
            live,
            "record {} of {number}",
            record.first
        );
    }
}
