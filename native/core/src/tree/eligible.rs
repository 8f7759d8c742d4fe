//! Rule 2: who may be picked. Only eligible nodes are in their parent's heap; those that lack
//! nothing but time (bucket, rest) are in the heap of timers.

use super::heap::OUT;
use super::node::{Family, NONE, NodeId, ROOT};
use super::{Bucket, Tree};

impl Tree {
    /// Lets everything become eligible whose bucket or rest has come; `pick` does it too.
    pub fn wake(&mut self, now_us: u64) {
        let now_us = self.advance(now_us);
        while let Some(first) = self.timers.first() {
            if first.key > now_us {
                return;
            }
            self.timers.remove(first.node, &mut self.timer_positions);
            self.refresh(first.node, now_us);
        }
    }

    /// When something with work becomes eligible by time alone, µs.
    pub fn next_wake_us(&self) -> Option<u64> {
        self.timers.first().map(|first| first.key)
    }

    /// Whether `pick` would find a queue, as of the last `wake`.
    pub fn can_pick(&self) -> bool {
        self.nodes[ROOT as usize].eligible
    }

    /// Whether a node's own pause, rest, bucket and cap would let a message pass.
    pub fn has_room(&self, node: NodeId) -> bool {
        let node = &self.nodes[node as usize];
        !node.paused
            && node.in_flight < node.in_flight_max
            && node.rest_until_us <= self.now_us
            && self.bucket(node.bucket).is_none_or(|bucket| bucket.ready_us(1) <= self.now_us)
    }

    /// Not eligible until then: a throttled scope rests. An earlier time than before ends it early.
    pub fn rest(&mut self, node: NodeId, until_us: u64, now_us: u64) {
        let now_us = self.advance(now_us);
        self.nodes[node as usize].rest_until_us = until_us;
        self.refresh(node, now_us);
    }

    /// Keeps a queue from being picked while its one message is in flight (order `strict`).
    pub fn block(&mut self, queue: NodeId, blocked: bool, now_us: u64) {
        let now_us = self.advance(now_us);
        self.nodes[queue as usize].blocked = blocked;
        self.refresh(queue, now_us);
    }

    /// Pauses the destination.
    pub fn pause_root(&mut self, paused: bool, now_us: u64) {
        let now_us = self.advance(now_us);
        self.nodes[ROOT as usize].paused = paused;
        self.refresh(ROOT, now_us);
    }

    /// Cost of the queue's next message, from 1; a bucket less deep lets it pass when it is full.
    pub fn set_head_cost(&mut self, queue: NodeId, cost: u32, now_us: u64) {
        let now_us = self.advance(now_us);
        self.nodes[queue as usize].head_cost = cost.max(1);
        self.refresh(queue, now_us);
    }

    /// Decides again whether a node is eligible, and its ancestors as far as that changes them.
    pub(super) fn refresh(&mut self, node: NodeId, now_us: u64) {
        let mut id = node;
        loop {
            let was = self.nodes[id as usize].eligible;
            let is = self.place(id, now_us);
            if was == is || id == ROOT {
                return;
            }
            id = self.nodes[id as usize].parent;
        }
    }

    /// Puts one node into its parent's heap, by its key of now, or out of it.
    pub(super) fn place(&mut self, id: NodeId, now_us: u64) -> bool {
        let (is, wake_us) = self.standing(id, now_us);
        self.set_timer(id, wake_us);
        let node = &mut self.nodes[id as usize];
        let was = node.eligible;
        node.eligible = is;
        if id == ROOT {
            return is;
        }
        let (parent, weight) = (node.parent, u64::from(node.weight));
        let family = self.nodes[parent as usize].family as usize;
        let family = &mut self.families[family];
        let node = &mut self.nodes[id as usize];
        match (was, is) {
            (false, true) => {
                node.catch_up(family.v);
                family.heap.insert((node.tag, node.tie), id, &mut self.positions);
                family.eligible_weight += weight;
            }
            (true, true) => family.heap.rekey((node.tag, node.tie), id, &mut self.positions),
            (true, false) => {
                family.heap.remove(id, &mut self.positions);
                family.eligible_weight -= weight;
            }
            (false, false) => {}
        }
        is
    }

    /// Whether a node is eligible, and when time alone will make it so.
    pub(super) fn standing(&self, id: NodeId, now_us: u64) -> (bool, Option<u64>) {
        let node = &self.nodes[id as usize];
        let has_work = if node.family == NONE {
            node.due > 0 && !node.blocked
        } else {
            !self.families[node.family as usize].heap.is_empty()
        };
        if !has_work || node.paused || node.in_flight >= node.in_flight_max {
            return (false, None);
        }
        let mut at_us = node.rest_until_us;
        if let Some(bucket) = self.bucket(node.bucket) {
            at_us = at_us.max(bucket.ready_us(node.head_cost));
        }
        if at_us > now_us { (false, Some(at_us)) } else { (true, None) }
    }

    fn set_timer(&mut self, id: NodeId, at_us: Option<u64>) {
        let set = self.timer_positions[id as usize] != OUT;
        match at_us {
            Some(at_us) if set => self.timers.rekey(at_us, id, &mut self.timer_positions),
            Some(at_us) => self.timers.insert(at_us, id, &mut self.timer_positions),
            None if set => self.timers.remove(id, &mut self.timer_positions),
            None => {}
        }
    }

    pub(super) fn bucket(&self, bucket: u32) -> Option<&Bucket> {
        self.buckets.get(bucket as usize)
    }

    pub(super) fn family_of(&self, parent: NodeId) -> &Family {
        &self.families[self.nodes[parent as usize].family as usize]
    }

    pub(super) fn family_of_mut(&mut self, parent: NodeId) -> &mut Family {
        &mut self.families[self.nodes[parent as usize].family as usize]
    }
}
