//! Messages that come, go and wait in timers.

use super::Tree;
use super::node::{NONE, NodeId, NodeKind, ROOT, fresh_tie};

impl Tree {
    /// `count` more messages of the queue are due.
    pub fn enqueue(&mut self, queue: NodeId, count: u32, now_us: u64) {
        let now_us = self.advance(now_us);
        if count == 0 {
            return;
        }
        self.due_more(queue, count);
        self.refresh(queue, now_us);
    }

    /// `count` due messages of the queue are gone without service (cancelled, expired).
    pub fn dequeue(&mut self, queue: NodeId, count: u32, now_us: u64) {
        let now_us = self.advance(now_us);
        if count == 0 {
            return;
        }
        self.due_less(queue, count);
        self.refresh(queue, now_us);
    }

    /// A message of the queue waits in a timer: it is not due but keeps the node.
    pub fn hold(&mut self, queue: NodeId) {
        self.held_more(queue, 1);
    }

    /// A message that waited in a timer is gone (cancelled, expired). For one that is due now call
    /// `release`: between `unhold` and `enqueue` the parent would seem idle (rule 7).
    pub fn unhold(&mut self, queue: NodeId) {
        self.held_less(queue, 1);
    }

    /// A message that waited in a timer is due.
    pub fn release(&mut self, queue: NodeId, now_us: u64) {
        self.enqueue(queue, 1, now_us);
        self.unhold(queue);
    }

    /// Messages that are due or wait in a timer.
    pub fn waiting(&self, node: NodeId) -> u32 {
        let node = &self.nodes[node as usize];
        node.due + node.held
    }

    /// Messages that could leave now if nothing else stood in the way.
    pub fn due(&self, node: NodeId) -> u32 {
        self.nodes[node as usize].due
    }

    /// Messages that left and are neither settled nor refunded.
    pub fn in_flight(&self, node: NodeId) -> u32 {
        self.nodes[node as usize].in_flight
    }

    /// 1…10,000.
    pub fn weight(&self, node: NodeId) -> u32 {
        u32::from(self.nodes[node as usize].weight)
    }

    /// The root has none.
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        let parent = self.nodes[node as usize].parent;
        (parent != NONE).then_some(parent)
    }

    /// The root and a freed id have none.
    pub fn kind(&self, node: NodeId) -> Option<NodeKind> {
        let entry = self.nodes.get(node as usize)?;
        if node == ROOT { None } else { entry.kind }
    }

    pub(super) fn due_more(&mut self, start: NodeId, count: u32) {
        let tie = fresh_tie(self.next_sequence());
        let mut id = start;
        while id != NONE {
            let node = &mut self.nodes[id as usize];
            let was = node.due;
            node.due += count;
            let (parent, weight) = (node.parent, u64::from(node.weight));
            if was == 0 {
                node.tie = tie; // Rule 3: became backlogged since its last service.
                node.got = 0;
                if parent != NONE {
                    self.family_of_mut(parent).backlog_weight += weight;
                }
            }
            id = parent;
        }
    }

    pub(super) fn due_less(&mut self, start: NodeId, count: u32) {
        let mut id = start;
        while id != NONE {
            let node = &mut self.nodes[id as usize];
            node.due -= count;
            if node.due == 0 {
                self.became_empty(id);
            }
            id = self.nodes[id as usize].parent;
        }
    }

    pub(super) fn held_more(&mut self, start: NodeId, count: u32) {
        let mut id = start;
        while id != NONE {
            let node = &mut self.nodes[id as usize];
            node.held += count;
            id = node.parent;
        }
    }

    pub(super) fn held_less(&mut self, start: NodeId, count: u32) {
        let mut id = start;
        while id != NONE {
            self.nodes[id as usize].held -= count;
            self.if_idle(id);
            id = self.nodes[id as usize].parent;
        }
    }

    /// The node's last due message went.
    pub(super) fn became_empty(&mut self, id: NodeId) {
        let node = &self.nodes[id as usize];
        let (parent, weight) = (node.parent, u64::from(node.weight));
        if parent != NONE {
            self.family_of_mut(parent).backlog_weight -= weight;
        }
        self.if_idle(id);
    }

    /// Rule 7: when nothing waits under a parent, V := largest tag of its children.
    /// A message in a timer counts as waiting: if it did not, a tenant of 1 % whose message bounces
    /// through a timer while the other's is in flight would find its debt forgiven each time
    /// (simulated with one slot and closed loops: 50 % instead of 1 %).
    fn if_idle(&mut self, id: NodeId) {
        let node = &self.nodes[id as usize];
        if node.family != NONE && node.due == 0 && node.held == 0 {
            let family = &mut self.families[node.family as usize];
            family.v = family.v.max(family.tag_max);
            let levels = family.levels;
            if levels != NONE {
                self.forgive_levels(levels);
            }
        }
    }
}
