//! A destination: its scheduling tree, the queues beside it, and who takes its messages.

use super::accounts::AccountId;
use super::admission::Admission;
use super::batches::Key;
use super::expiry::ExpiryLook;
use super::lane::Lanes;
use super::outstanding::Outstanding;
use super::slowed::Slowed;
use crate::error::Code;
use crate::exchange::{DestinationFields, LEVELS_MAX};
use crate::name_map::NameMap;
use crate::record::MessageOptions;
use crate::tree::{NodeId, Tree};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Taken out of a queue lazily: at more of them than of others the queue is cleaned.
const STALE_MIN: u32 = 64;

/// One sender's (or order key's) messages of one tenant, or the tenant's own when none is named.
#[derive(Debug, Default)]
pub struct Queue {
    /// Messages that came in order of acceptance, ascending.
    fresh: VecDeque<Key>,
    /// Messages that came back, or were due later than others; each goes to its place by key.
    returned: BinaryHeap<Reverse<Key>>,
    /// Entries of messages that ended without being picked.
    stale: u32,
    /// Under `strict`: a message of it is in flight or in a timer, and the others wait for it.
    pub blocked: bool,
    /// Messages that wait for their next attempt.
    pub timed: u32,
    /// Some message may cost more than 1: the tree is told the cost of the head.
    pub costed: bool,
    /// Its sender takes no new work.
    pub refuse_new: bool,
    /// Bytes of the bodies of its messages that have not ended.
    pub bytes: u64,
    /// What its messages that wait (not scheduled ones) cost above 1 each.
    pub surcharge: u64,
    /// Which pool its sender draws from, as a place in the shard's list.
    pub pool: Option<u32>,
}

impl Queue {
    /// Adds a message: at the end if it is the newest, else at its place.
    #[inline]
    pub fn push(&mut self, key: Key) {
        if self.fresh.back().is_none_or(|last| *last < key) {
            self.fresh.push_back(key);
        } else {
            self.returned.push(Reverse(key));
        }
    }

    /// The message at the head, if it has not ended: `waits` says so.
    pub fn peek(&mut self, waits: impl Fn(Key) -> bool) -> Option<Key> {
        loop {
            let key = match (self.fresh.front(), self.returned.peek()) {
                (Some(&fresh), Some(&Reverse(returned))) => fresh.min(returned),
                (Some(&key), None) | (None, Some(&Reverse(key))) => key,
                (None, None) => return None,
            };
            if self.stale == 0 || waits(key) {
                return Some(key);
            }
            self.stale -= 1;
            self.take_head();
        }
    }

    #[inline]
    pub fn pop(&mut self, waits: impl Fn(Key) -> bool) -> Option<Key> {
        loop {
            let key = self.take_head()?;
            if self.stale == 0 || waits(key) {
                return Some(key);
            }
            self.stale -= 1;
        }
    }

    #[inline]
    fn take_head(&mut self) -> Option<Key> {
        match (self.fresh.front(), self.returned.peek()) {
            (Some(fresh), Some(Reverse(returned))) if returned < fresh => {
                self.returned.pop().map(|Reverse(key)| key)
            }
            (None, Some(_)) => self.returned.pop().map(|Reverse(key)| key),
            _ => {
                let key = self.fresh.pop_front();
                // A queue that once was long gives its memory back.
                if self.fresh.capacity() > 1024 && self.fresh.len() < self.fresh.capacity() / 4 {
                    self.fresh.shrink_to(self.fresh.len() * 2);
                }
                key
            }
        }
    }

    /// A message of it ended where it stands. `waits` says which have not.
    pub fn drop_one(&mut self, waits: impl Fn(Key) -> bool) {
        self.stale += 1;
        if self.stale > STALE_MIN && self.stale as usize > self.all() / 2 {
            self.fresh.retain(|&key| waits(key));
            self.returned.retain(|&Reverse(key)| waits(key));
            self.fresh.shrink_to(self.fresh.len() * 2);
            self.returned.shrink_to(self.returned.len() * 2);
            self.stale = 0;
        }
    }

    fn all(&self) -> usize {
        self.fresh.len() + self.returned.len()
    }

    /// Messages that wait in it.
    pub fn len(&self) -> usize {
        self.all() - self.stale as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries in no order, of messages that ended too.
    pub fn entries(&self) -> impl Iterator<Item = Key> {
        self.in_order().chain(self.out_of_order())
    }

    /// Entries that came in order of acceptance, of messages that ended too.
    pub fn in_order(&self) -> impl Iterator<Item = Key> {
        self.fresh.iter().copied()
    }

    /// The others, in no order.
    pub fn out_of_order(&self) -> impl Iterator<Item = Key> {
        self.returned.iter().map(|entry| entry.0)
    }

    /// Memory it holds, bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + (self.fresh.capacity() + self.returned.capacity()) * size_of::<Key>()
    }
}

/// What stands behind a node of the tree.
#[derive(Debug)]
pub enum Owner {
    Free,
    Set {
        name: Box<[u8]>,
        strict: bool,
        refuse_new: bool,
    },
    /// Of a set with the policy `shuffle`.
    Slot {
        set: NodeId,
        index: u32,
    },
    Tenant(Box<TenantNode>),
    Level {
        tenant: NodeId,
        rank: u8,
    },
    Queue {
        tenant: NodeId,
        name: Box<QueueName>,
        queue: Box<Queue>,
    },
}

/// A tenant at one destination.
#[derive(Debug)]
pub struct TenantNode {
    pub name: Box<[u8]>,
    /// Whose usage is counted.
    pub account: AccountId,
    pub accepted: u64,
    pub delivered: u64,
    /// What new messages are refused with; none: they are taken.
    pub refuse_new: Option<Code>,
    /// Messages, and bytes of their bodies, that have not ended.
    pub live: u64,
    pub bytes: u64,
    pub waiting_max: u64,
    pub waiting_bytes_max: u64,
    /// What its messages that wait cost above 1 each, by the rank of their level.
    pub surcharges: [u64; LEVELS_MAX],
    /// Nodes of its service levels by rank; empty: its queues hang on itself.
    pub levels: Vec<NodeId>,
}

/// What tells the queues of a tenant apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueName {
    /// Rank of its service level; 0 without levels.
    pub rank: u8,
    /// `sender` is an order key, not a sender.
    pub ordered: bool,
    /// Empty: the tenant's own queue.
    pub sender: Box<[u8]>,
}

/// The same before there is a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueOf<'a> {
    pub level: u8,
    pub ordered: bool,
    pub sender: &'a [u8],
}

impl<'a> QueueOf<'a> {
    /// Of a stored message: its order key names the queue, or else its sender.
    pub fn of(sender: &'a [u8], options: &MessageOptions<'a>) -> Self {
        let ordered = !options.order_key.is_empty();
        Self {
            level: options.level,
            ordered,
            sender: if ordered { options.order_key } else { sender },
        }
    }
}

impl QueueName {
    pub fn as_of(&self) -> QueueOf<'_> {
        QueueOf {
            level: self.rank,
            ordered: self.ordered,
            sender: &self.sender,
        }
    }
}

/// A subscription as its destination sees it.
#[derive(Debug)]
pub struct Consumer {
    pub connection: u32,
    pub number: u32,
    pub credit: u32,
    pub parked: bool,
    /// Its gateway's, among the lanes of the destination; 0: it named none.
    pub lane: u32,
    /// Throttled until then, if it named no gateway.
    pub rest_until_us: u64,
    /// What throttling left of its rate; none: all of it (rule 10).
    pub slowed: Option<Slowed>,
    /// A lease of it ended and it settled nothing since, or it did not attempt what it settled last:
    /// others come first.
    pub late: bool,
    pub last_served: u64,
    /// Deliver frame under construction, valid in `frame_exchange`.
    pub frame: u32,
    pub frame_exchange: u64,
}

impl Consumer {
    /// When it can take a delivery again, µs.
    pub fn ready_us(&self) -> u64 {
        let paced_us = self.slowed.as_ref().map_or(0, |slowed| slowed.next_us);
        self.rest_until_us.max(paced_us)
    }

    pub fn can_take(&self, now_us: u64) -> bool {
        self.credit > 0 && !self.parked && self.ready_us() <= now_us
    }

    /// Most credit left goes first, then the one served longest ago. One that is late comes after all
    /// others, or one that hangs would take message after message to its lease's end while it holds
    /// the most credit.
    pub fn goes_before(&self, other: &Self) -> bool {
        (!self.late, self.credit, other.last_served) > (!other.late, other.credit, self.last_served)
    }

    /// Part of its destination's rate that it takes now, 0…1; 0: it rests.
    pub fn part_at(&self, now_us: u64) -> f64 {
        if self.rest_until_us > now_us {
            return 0.0;
        }
        self.slowed
            .as_ref()
            .map_or(1.0, |slowed| slowed.part(now_us))
    }
}

pub struct Destination {
    pub name: Box<str>,
    /// False after its deletion: consumers stay, work is refused.
    pub exists: bool,
    pub fields: DestinationFields,
    pub tree: Tree,
    pub owners: Vec<Owner>,
    pub sets: NameMap<NodeId>,
    pub tenants: NameMap<NodeId>,
    /// Set node and slot → slot node, of those that are in use.
    pub slots: FxHashMap<(NodeId, u32), NodeId>,
    /// Rank, kind, tenant, sender → queue node.
    pub queues: NameMap<NodeId>,
    /// Admission by time, unless it is off.
    pub admission: Option<Box<Admission>>,
    /// Some queue draws from a pool.
    pub pooled: bool,
    pub consumers: Vec<Consumer>,
    /// Its gateways, once a subscription named one.
    pub lanes: Lanes,
    pub outstanding: Outstanding,
    pub in_flight: u64,
    pub served: u64,
    /// The same as cost.
    pub served_cost: u64,
    /// In the list of destinations to look at in this exchange.
    pub listed: bool,
    /// Time for which a wake is already asked; `u64::MAX`: none.
    pub wake_us: u64,
    /// When idle nodes were last looked for, µs.
    pub swept_us: u64,
    /// When its queues are looked over for messages without validity.
    pub expiry: ExpiryLook,
}

impl Destination {
    pub fn owner_mut(&mut self, node: NodeId) -> &mut Owner {
        &mut self.owners[node as usize]
    }

    pub fn set_owner(&mut self, node: NodeId, owner: Owner) {
        let place = node as usize;
        if place >= self.owners.len() {
            self.owners.resize_with(place + 1, || Owner::Free);
        }
        self.owners[place] = owner;
    }

    pub fn queue_mut(&mut self, node: NodeId) -> &mut Queue {
        match &mut self.owners[node as usize] {
            Owner::Queue { queue, .. } => queue,
            other => unreachable!("node {node} is no queue: {other:?}"),
        }
    }

    /// The consumer to serve next, where all subscriptions belong to one gateway.
    pub fn best_consumer(&self, now_us: u64) -> Option<usize> {
        let mut best: Option<usize> = None;
        for (place, consumer) in self.consumers.iter().enumerate() {
            if !consumer.can_take(now_us) {
                continue;
            }
            if best.is_none_or(|other| consumer.goes_before(&self.consumers[other])) {
                best = Some(place);
            }
        }
        best
    }

    pub fn consumer_mut(&mut self, connection: u32, number: u32) -> Option<&mut Consumer> {
        self.consumers
            .iter_mut()
            .find(|consumer| consumer.connection == connection && consumer.number == number)
    }

    /// The bytes that find a queue again in `queues`. With the tenant's name in them one lookup finds
    /// queue and tenant: two hashes were a fifth of what accepting a message took.
    pub fn queue_name(tenant: &[u8], of: QueueOf<'_>, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&[of.level, u8::from(of.ordered), tenant.len() as u8]);
        out.extend_from_slice(tenant);
        out.extend_from_slice(of.sender);
    }

    /// The accounts of its tenants, for tests.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.owners.iter().filter_map(|owner| match owner {
            Owner::Tenant(tenant) => Some(tenant.account),
            _ => None,
        })
    }

    /// The tenant's side of a queue.
    pub fn tenant_of(&self, queue: NodeId) -> Option<NodeId> {
        match &self.owners[queue as usize] {
            Owner::Queue { tenant, .. } => Some(*tenant),
            _ => None,
        }
    }

    pub fn tenant(&self, node: NodeId) -> &TenantNode {
        match &self.owners[node as usize] {
            Owner::Tenant(tenant) => tenant,
            other => unreachable!("node {node} is no tenant: {other:?}"),
        }
    }

    pub fn tenant_mut(&mut self, node: NodeId) -> &mut TenantNode {
        match &mut self.owners[node as usize] {
            Owner::Tenant(tenant) => tenant,
            other => unreachable!("node {node} is no tenant: {other:?}"),
        }
    }
}
