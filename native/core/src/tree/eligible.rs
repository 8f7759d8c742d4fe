//! Rule 2: who may be picked. Only eligible nodes are in their parent's heap; those that lack
//! nothing but time (bucket, rest) are in the heap of timers.

use super::Tree;
use super::heap::Entry;
use super::node::{BLOCKED, Extra, Family, NONE, NodeId, PAUSED, ROOT};

impl Tree {
    /// Lets everything become eligible whose bucket or rest has come; `pick` does it too.
    pub fn wake(&mut self, now_us: u64) {
        let now_us = self.advance(now_us);
        while let Some(first) = self.timers.first() {
            if first.key > now_us {
                return;
            }
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
        let extra = self.extra(node.extra);
        node.stopped & PAUSED == 0
            && node.in_flight < extra.in_flight_max
            && extra.rest_until_us <= self.now_us
            && extra
                .bucket
                .is_none_or(|bucket| bucket.ready_us(extra.head_cost) <= self.now_us)
    }

    /// Not eligible until then: a throttled scope rests. A shorter rest does not end a longer one.
    pub fn rest(&mut self, node: NodeId, until_us: u64, now_us: u64) {
        let now_us = self.advance(now_us);
        let extra = self.extra_mut(node);
        extra.rest_until_us = extra.rest_until_us.max(until_us);
        self.refresh(node, now_us);
    }

    /// Keeps a queue from being picked while its one message is in flight (order `strict`).
    pub fn block(&mut self, queue: NodeId, blocked: bool, now_us: u64) {
        let now_us = self.advance(now_us);
        self.stop(queue, BLOCKED, blocked);
        self.refresh(queue, now_us);
    }

    /// Pauses the destination.
    pub fn pause_root(&mut self, paused: bool, now_us: u64) {
        let now_us = self.advance(now_us);
        self.stop(ROOT, PAUSED, paused);
        self.refresh(ROOT, now_us);
    }

    /// Cost of the queue's next message, from 1. Its bucket, and those above it, let it pass only
    /// when they are ready for all of it.
    pub fn set_head_cost(&mut self, queue: NodeId, cost: u32, now_us: u64) {
        let now_us = self.advance(now_us);
        let cost = cost.max(1);
        let was = self.head_cost(queue);
        if was == cost {
            return;
        }
        self.dear = self.dear + u32::from(cost > 1) - u32::from(was > 1);
        self.extra_mut(queue).head_cost = cost;
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
        let waited = self.nodes[id as usize].timed;
        self.set_timer(id, wake_us);
        let node = &mut self.nodes[id as usize];
        let was = node.eligible;
        node.eligible = is;
        if id == ROOT {
            return is;
        }
        if is && !was {
            self.enter(id, waited);
            return is;
        }
        let (parent, weight) = (node.parent, u64::from(node.weight));
        let family = self.nodes[parent as usize].family as usize;
        let family = &mut self.families[family];
        let node = &self.nodes[id as usize];
        if is {
            let key = (node.tag, node.tie);
            family.heap.rekey(key, id, &mut self.positions);
        } else if was {
            family.heap.remove(id, &mut self.positions);
            family.eligible_weight -= weight;
        }
        is
    }

    /// Puts a node that became eligible into its parent's heap. `waited`: for time to pass.
    fn enter(&mut self, id: NodeId, waited: bool) {
        let parent = self.nodes[id as usize].parent;
        if self.is_level(id) {
            self.level_arrives(id);
        } else {
            let v = self.family_of(parent).v;
            let lag = if parent == ROOT {
                self.lag_kept(id, waited)
            } else {
                0
            };
            self.nodes[id as usize].catch_up(v.saturating_sub(lag));
        }
        let node = &self.nodes[id as usize];
        let entry = Entry {
            key: (node.tag, node.tie),
            node: id,
            family: node.family,
        };
        let weight = u64::from(node.weight);
        let family = self.nodes[parent as usize].family as usize;
        let family = &mut self.families[family];
        family.heap.insert(entry, &mut self.positions);
        family.eligible_weight += weight;
    }

    /// Whether a node is eligible, and when time alone will make it so.
    pub(super) fn standing(&self, id: NodeId, now_us: u64) -> (bool, Option<u64>) {
        let node = &self.nodes[id as usize];
        let has_work = if node.is_queue() {
            node.due > 0
        } else {
            !self.families[node.family as usize].heap.is_empty()
        };
        if !has_work || node.stopped != 0 {
            return (false, None);
        }
        if node.extra == NONE {
            return (true, None);
        }
        let extra = self.extra(node.extra);
        if node.in_flight >= extra.in_flight_max {
            return (false, None);
        }
        let mut at_us = extra.rest_until_us;
        if let Some(bucket) = extra.bucket {
            at_us = at_us.max(bucket.ready_us(extra.head_cost));
        }
        if at_us > now_us {
            (false, Some(at_us))
        } else {
            (true, None)
        }
    }

    /// Cost of a queue's next message; 1 for other nodes unless a dear one waits for their bucket.
    pub(super) fn head_cost(&self, id: NodeId) -> u32 {
        self.extra(self.nodes[id as usize].extra).head_cost
    }

    fn set_timer(&mut self, id: NodeId, at_us: Option<u64>) {
        let node = &mut self.nodes[id as usize];
        if !node.timed && at_us.is_none() {
            return;
        }
        let was = std::mem::replace(&mut node.timed, at_us.is_some());
        match at_us {
            Some(at_us) if was => self.timers.rekey(at_us, id, &mut self.timer_positions),
            Some(key) => {
                let entry = Entry {
                    key,
                    node: id,
                    family: NONE,
                };
                self.timers.insert(entry, &mut self.timer_positions);
            }
            None => self.timers.remove(id, &mut self.timer_positions),
        }
    }

    pub(super) fn stop(&mut self, id: NodeId, bit: u8, stopped: bool) {
        let node = &mut self.nodes[id as usize];
        node.stopped = if stopped {
            node.stopped | bit
        } else {
            node.stopped & !bit
        };
    }

    pub(super) fn extra(&self, extra: u32) -> &Extra {
        self.extras.get(extra as usize).unwrap_or(&Extra::NOTHING)
    }

    /// Makes the extra of a node if it has none.
    pub(super) fn extra_mut(&mut self, id: NodeId) -> &mut Extra {
        let node = &mut self.nodes[id as usize];
        if node.extra == NONE {
            node.extra = self.free_extras.pop().unwrap_or_else(|| {
                self.extras.push(Extra::NOTHING);
                self.extras.len() as u32 - 1
            });
            self.extras[node.extra as usize] = Extra::NOTHING;
        }
        &mut self.extras[node.extra as usize]
    }

    pub(super) fn family_of(&self, parent: NodeId) -> &Family {
        &self.families[self.nodes[parent as usize].family as usize]
    }

    pub(super) fn family_of_mut(&mut self, parent: NodeId) -> &mut Family {
        &mut self.families[self.nodes[parent as usize].family as usize]
    }
}
