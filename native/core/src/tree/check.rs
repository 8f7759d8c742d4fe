//! What must hold between operations; for tests.

use super::Tree;
use super::heap::OUT;
use super::level::{LEVEL_TAG, is_level_tie};
use super::node::{NONE, NodeId, NodeKind, ROOT};

impl Tree {
    /// Panics unless counts, heaps, sums of weights and eligibility agree. Costs as much as the
    /// tree is large.
    #[doc(hidden)]
    pub fn check(&self) {
        let mut sums = vec![[0u64; 6]; self.nodes.len()];
        for (id, node) in self
            .nodes
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, node)| node.kind.is_some())
        {
            let sum = &mut sums[node.parent as usize];
            let weight = u64::from(node.weight);
            sum[0] += u64::from(node.due);
            sum[1] += u64::from(node.held);
            sum[2] += u64::from(node.in_flight);
            sum[3] += 1;
            sum[4] += if node.eligible { weight } else { 0 };
            sum[5] += if node.due > 0 { weight } else { 0 };
            assert!(
                self.nodes[node.parent as usize].kind.is_some(),
                "node {id} outlived its parent"
            );
        }
        for (id, sum) in sums
            .iter()
            .enumerate()
            .filter(|(id, _)| self.nodes[*id].kind.is_some())
        {
            self.check_node(id as NodeId, sum);
        }
        let listed: usize = self.levels.iter().map(|levels| levels.list.len()).sum();
        let nodes = self.nodes.iter();
        let levels = nodes.filter(|node| node.kind == Some(NodeKind::Level));
        assert_eq!(listed, levels.count(), "levels in lists");
        let dear = (1..self.nodes.len() as NodeId).filter(|&id| {
            let node = &self.nodes[id as usize];
            node.kind == Some(NodeKind::Queue) && self.head_cost(id) > 1
        });
        assert_eq!(self.dear as usize, dear.count(), "queues with a dear head");
    }

    fn check_node(&self, id: NodeId, sum: &[u64; 6]) {
        let node = &self.nodes[id as usize];
        if node.family != NONE {
            let own = [node.due, node.held, node.in_flight].map(u64::from);
            assert_eq!(own, sum[..3], "counts of {id}");
            let family = self.family_of(id);
            let kept = [
                u64::from(family.children),
                family.eligible_weight,
                family.backlog_weight,
            ];
            assert_eq!(kept, sum[3..], "children and weights of {id}");
            family.heap.check(&self.positions);
        }
        let (eligible, wake_us) = self.standing(id, self.now_us);
        let timer = self.timer_positions[id as usize];
        assert_eq!(node.timed, timer != OUT);
        if node.eligible {
            assert!(eligible, "{id} is not eligible");
            assert_eq!(timer, OUT);
        } else if timer == OUT {
            assert!(!eligible, "{id} is eligible");
            assert_eq!(wake_us, None, "{id} has no timer");
        }
        if id == ROOT {
            return;
        }
        if self.is_level(id) {
            self.check_level(id);
        }
        let family = self.family_of(node.parent);
        assert!(
            family.tag_max.max(family.v) >= node.tag,
            "largest tag of {}",
            node.parent
        );
        let position = self.positions[id as usize];
        assert_eq!(node.eligible, position != OUT, "heap of {}", node.parent);
        if node.eligible {
            let entry = family.heap.at(position as usize);
            assert_eq!((entry.node, entry.key), (id, (node.tag, node.tie)));
        }
    }

    /// Rule 8: a level is in its tenant's list, and those in the heap stand in the order of now.
    fn check_level(&self, id: NodeId) {
        let node = &self.nodes[id as usize];
        let levels = self.levels_of(node.parent).expect("a list of levels");
        let listed = levels.list.iter().filter(|level| level.node == id);
        assert_eq!(listed.count(), 1, "level {id} in the list of its tenant");
        assert_eq!(node.tag, LEVEL_TAG);
        if node.eligible {
            assert!(is_level_tie(node.tie));
            let now = levels.order().find(|(of, _)| *of == id);
            assert_eq!(now, Some((id, node.tie)), "order of level {id}");
        }
    }
}
