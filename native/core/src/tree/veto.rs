//! Picks that may be refused: by what lies outside the tree, or by a bucket that is not ready for all
//! of a dear message's cost (rule 9).

use super::node::{NONE, NodeId, ROOT};
use super::{Picked, Tree};

impl Tree {
    /// `pick` with a say for what lies outside the tree, as a pool that several queues share:
    /// `veto` gets the queue that would be served and the cost of its message. None: it is served.
    /// A time, µs: the queue rests until then, uncharged, and the next best is tried, each for
    /// O(log n). Times that are spread out keep the vetoes few.
    pub fn pick_where(
        &mut self,
        now_us: u64,
        veto: impl FnMut(NodeId, u32) -> Option<u64>,
    ) -> Option<Picked> {
        let now_us = self.advance(now_us);
        self.find_where(now_us, veto)?;
        Some(self.take(now_us))
    }

    /// Cost of the message that `pick_where` would take now.
    pub fn next_cost(
        &mut self,
        now_us: u64,
        veto: impl FnMut(NodeId, u32) -> Option<u64>,
    ) -> Option<u32> {
        let now_us = self.advance(now_us);
        if self.dear == 0 {
            return self.can_pick().then_some(1);
        }
        let queue = self.find_where(now_us, veto)?;
        Some(self.head_cost(queue))
    }

    fn find_where(
        &mut self,
        now_us: u64,
        mut veto: impl FnMut(NodeId, u32) -> Option<u64>,
    ) -> Option<NodeId> {
        self.wake(now_us);
        while self.nodes[ROOT as usize].eligible {
            let queue = self.descend::<false>();
            let cost = self.head_cost(queue);
            if self.is_too_dear(queue, cost, now_us) {
                continue;
            }
            if let Some(until_us) = veto(queue, cost) {
                // A rest that is over would be asked about again at once.
                self.rest(queue, until_us.max(now_us + 1), now_us);
                continue;
            }
            return Some(queue);
        }
        None
    }

    /// Whether a bucket above the queue is not ready for all of its cost. It is made to wait until
    /// it is, for the dear message is the best there; who is not under it may go meanwhile.
    fn is_too_dear(&mut self, queue: NodeId, cost: u32, now_us: u64) -> bool {
        if cost == 1 {
            return false;
        }
        let mut id = self.nodes[queue as usize].parent;
        while id != NONE {
            let node = &self.nodes[id as usize];
            let (parent, bucket) = (node.parent, self.extra(node.extra).bucket);
            if bucket.is_some_and(|bucket| bucket.ready_us(cost) > now_us) {
                self.extra_mut(id).head_cost = cost;
                self.refresh(id, now_us);
                return true;
            }
            id = parent;
        }
        false
    }
}
