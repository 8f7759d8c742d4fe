//! A destination: its scheduling tree, the queues beside it, and who takes its messages.

use super::batches::Key;
use super::outstanding::Outstanding;
use crate::exchange::DestinationFields;
use crate::tree::{NodeId, Tree};
use siphasher::sip::SipHasher13;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::BuildHasher;

/// Keyed hashing of names: tenants choose their senders, so they must not be able to choose collisions.
#[derive(Clone, Copy, Debug)]
pub struct NameHash(pub u64, pub u64);

impl BuildHasher for NameHash {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

pub type NameMap<V> = HashMap<Box<[u8]>, V, NameHash>;

/// One sender's messages of one tenant, or the tenant's own when no sender is named.
#[derive(Debug, Default)]
pub struct Queue {
    /// Messages never handed out, ascending.
    fresh: VecDeque<Key>,
    /// Messages that came back; each goes to its place by key.
    returned: BinaryHeap<Reverse<Key>>,
    /// Under `strict`: a message of it is in flight or in a timer, and the others wait for it.
    pub blocked: bool,
}

impl Queue {
    pub fn push(&mut self, key: Key) {
        debug_assert!(self.fresh.back().is_none_or(|last| *last < key));
        self.fresh.push_back(key);
    }

    pub fn push_returned(&mut self, key: Key) {
        self.returned.push(Reverse(key));
    }

    pub fn pop(&mut self) -> Option<Key> {
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

    pub fn len(&self) -> usize {
        self.fresh.len() + self.returned.len()
    }

    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }

    /// Messages in no order.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let returned = self.returned.iter().map(|entry| entry.0);
        self.fresh.iter().copied().chain(returned)
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
    },
    Tenant {
        name: Box<[u8]>,
        accepted: u64,
        delivered: u64,
    },
    Queue {
        tenant: NodeId,
        sender: Box<[u8]>,
        queue: Box<Queue>,
    },
}

/// A subscription as its destination sees it.
#[derive(Debug)]
pub struct Consumer {
    pub connection: u32,
    pub number: u32,
    pub credit: u32,
    pub parked: bool,
    /// Throttled by its gateway until then.
    pub rest_until_us: u64,
    /// A lease of it ended and it settled nothing since: others come first.
    pub late: bool,
    pub last_served: u64,
    /// Deliver frame under construction, valid in `frame_exchange`.
    pub frame: u32,
    pub frame_exchange: u64,
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
    /// Tenant node (4 bytes) + sender → queue node.
    pub queues: NameMap<NodeId>,
    pub consumers: Vec<Consumer>,
    pub outstanding: Outstanding,
    pub in_flight: u64,
    pub served: u64,
    /// In the list of destinations to look at in this exchange.
    pub listed: bool,
    /// Time for which a wake is already asked; `u64::MAX`: none.
    pub wake_us: u64,
    /// When idle nodes were last looked for, µs.
    pub swept_us: u64,
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

    /// The consumer to serve next: most credit left, then the one served longest ago. One that is
    /// late comes after all others, or one that hangs would take message after message to its lease's
    /// end while it holds the most credit.
    pub fn best_consumer(&self, now_us: u64) -> Option<usize> {
        let mut best: Option<usize> = None;
        for (place, consumer) in self.consumers.iter().enumerate() {
            if consumer.credit == 0 || consumer.parked || consumer.rest_until_us > now_us {
                continue;
            }
            let better = best.is_none_or(|other| {
                let other = &self.consumers[other];
                (!consumer.late, consumer.credit, other.last_served)
                    > (!other.late, other.credit, consumer.last_served)
            });
            if better {
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

    /// Name of the queue node's tenant node and the bytes that find it again in `queues`.
    pub fn queue_name(tenant: NodeId, sender: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&tenant.to_le_bytes());
        out.extend_from_slice(sender);
    }
}
