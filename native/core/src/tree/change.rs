//! Nodes that come, change, move and go: rules 6 and 7.

use super::heap::{Heap, OUT};
use super::node::{
    Extra, Family, Limits, NONE, Node, NodeConfig, NodeId, NodeKind, PAUSED, ROOT, TreeConfig,
};
use super::{Bucket, CostModel, Tree, WEIGHT_MAX};

impl Tree {
    /// Adds a node under a parent. It starts at its parent's V, as every newcomer.
    pub fn add(
        &mut self,
        parent: NodeId,
        kind: NodeKind,
        config: NodeConfig,
        now_us: u64,
    ) -> NodeId {
        let now_us = self.advance(now_us);
        let tag = self.family_of(parent).v;
        let family = if kind == NodeKind::Queue {
            NONE
        } else {
            self.new_family()
        };
        let node = Node {
            weight: config.weight.clamp(1, WEIGHT_MAX) as u16,
            stopped: if config.paused { PAUSED } else { 0 },
            ..Node::new(parent, kind, family, tag)
        };
        let id = self.insert_node(node);
        self.family_of_mut(parent).children += 1;
        if kind == NodeKind::Level {
            self.join_levels(id, &config);
        }
        let limits = self.capped(id, &config);
        self.set_limits(id, &limits, now_us);
        id
    }

    /// Changes a node live. A change of weight changes its debt (rule 6).
    pub fn configure_node(&mut self, id: NodeId, config: NodeConfig, now_us: u64) {
        let now_us = self.advance(now_us);
        debug_assert_ne!(id, ROOT);
        let node = &mut self.nodes[id as usize];
        let (old, new) = (node.weight, config.weight.clamp(1, WEIGHT_MAX) as u16);
        node.weight = new;
        let (eligible, backlogged, parent) = (node.eligible, node.due > 0, node.parent);
        let family = self.family_of_mut(parent);
        let v = family.v;
        let reweigh = |sum: &mut u64| *sum = *sum - u64::from(old) + u64::from(new);
        if eligible {
            reweigh(&mut family.eligible_weight);
        }
        if backlogged {
            reweigh(&mut family.backlog_weight);
        }
        if self.is_level(id) {
            self.configure_level(id, &config);
        } else {
            self.reweigh(id, v, old);
        }
        self.stop(id, PAUSED, config.paused);
        let limits = self.capped(id, &config);
        self.set_limits(id, &limits, now_us);
        self.refresh(id, now_us);
    }

    /// The debt of a node whose weight was `old` (rule 6).
    fn reweigh(&mut self, id: NodeId, v: u128, old: u16) {
        let origin = self.origin;
        let node = &mut self.nodes[id as usize];
        let new = node.weight;
        // Below V too, where newcomers moved V on: else a lead would grow with the weight.
        let debt = node.tag.abs_diff(v) * u128::from(old) / u128::from(new);
        node.tag = if node.tag > v {
            v + debt
        } else {
            v.saturating_sub(debt).max(origin)
        };
        node.remainder = 0;
        self.tag_grew(id);
    }

    /// Moves a tenant to another set, or a queue to another tenant or level, with all under it: it
    /// takes its debt with it (rule 6).
    pub fn move_to(&mut self, id: NodeId, parent: NodeId, now_us: u64) {
        let now_us = self.advance(now_us);
        let node = &self.nodes[id as usize];
        let (old, due, held, in_flight) = (node.parent, node.due, node.held, node.in_flight);
        debug_assert!(!self.is_level(id), "a level stays with its tenant");
        if old == parent {
            return;
        }
        // First there, then from here: no common ancestor seems idle in between.
        if due > 0 {
            self.due_more(parent, due);
        }
        self.held_more(parent, held);
        self.in_flight_more(parent, i64::from(in_flight));
        let debt = self.leave(id, old);
        self.in_flight_more(old, -i64::from(in_flight));
        let family = self.family_of_mut(parent);
        let tag = family.v + debt;
        family.children += 1;
        let node = &mut self.nodes[id as usize];
        (node.parent, node.tag) = (parent, tag);
        if due > 0 {
            let weight = u64::from(node.weight);
            self.family_of_mut(parent).backlog_weight += weight;
        }
        self.tag_grew(id);
        self.place(id, now_us);
        // First there, here too: a tenant that gets levels does not lose its turn in between.
        self.refresh_path(parent, now_us);
        self.refresh_path(old, now_us);
    }

    /// Takes a node and what waits there from its old parent; its debt.
    fn leave(&mut self, id: NodeId, old: NodeId) -> u128 {
        let node = &mut self.nodes[id as usize];
        let (tag, due, held) = (node.tag, node.due, node.held);
        let (was, weight) = (std::mem::take(&mut node.eligible), u64::from(node.weight));
        let family = self.nodes[old as usize].family as usize;
        let family = &mut self.families[family];
        let debt = tag.saturating_sub(family.v);
        family.children -= 1;
        if was {
            family.heap.remove(id, &mut self.positions);
            family.eligible_weight -= weight;
        }
        if due > 0 {
            family.backlog_weight -= weight;
            self.due_less(old, due);
        }
        if held > 0 {
            self.held_less(old, held);
        }
        debt
    }

    fn in_flight_more(&mut self, start: NodeId, change: i64) {
        let mut id = start;
        while id != NONE {
            let node = &mut self.nodes[id as usize];
            node.in_flight = (i64::from(node.in_flight) + change) as u32;
            id = node.parent;
        }
    }

    /// Decides again for every node up to the root: caps may have opened anywhere.
    fn refresh_path(&mut self, from: NodeId, now_us: u64) {
        let mut id = from;
        while id != NONE {
            self.place(id, now_us);
            id = self.nodes[id as usize].parent;
        }
    }

    /// Changes the destination live. Other limits change the unit of cost, so every debt S − V is
    /// kept in messages: without it a debt from a rate of 1/s would bar its node for an hour at
    /// 5,000/s. A bucket keeps its fill.
    pub fn configure(&mut self, config: TreeConfig, now_us: u64) {
        let now_us = self.advance(now_us);
        let hold_us = self.nodes[ROOT as usize].hold_us;
        let costs = CostModel::new(&config);
        let factor = costs.nominal(hold_us) / self.costs.nominal(hold_us);
        self.costs = costs;
        self.config = config;
        if (factor - 1.0).abs() > 1e-12 {
            self.scale = (self.scale * factor).clamp(1e-30, 1e30);
            self.rescale(factor);
        }
        self.set_limits(ROOT, &config.limits, now_us);
        self.refresh(ROOT, now_us);
        self.recap(now_us);
    }

    fn rescale(&mut self, factor: f64) {
        let origin = self.origin;
        let scaled = |tag: u128, v: u128| {
            let size = (tag.abs_diff(v) as f64 * factor) as u128;
            if tag >= v {
                v.saturating_add(size)
            } else {
                v.saturating_sub(size).max(origin)
            }
        };
        for id in 1..self.nodes.len() {
            if self.nodes[id].kind.is_some() && !self.is_level(id as NodeId) {
                let v = self.family_of(self.nodes[id].parent).v;
                let node = &mut self.nodes[id];
                node.tag = scaled(node.tag, v);
            }
        }
        self.rescale_levels(factor);
        let nodes = &self.nodes;
        for family in &mut self.families {
            family.tag_max = scaled(family.tag_max, family.v);
            family.heap.rebuild(&mut self.positions, |node| {
                let node = &nodes[node as usize];
                (node.tag, node.tie)
            });
        }
    }

    /// Looks at `budget` places of the arena and frees the idle nodes (rule 7): nothing waits or is
    /// in flight, no debt, the bucket full, no rest pending. So nothing is gained by being freed.
    /// `freed` gets their ids, children before parents.
    pub fn sweep(&mut self, budget: usize, now_us: u64, freed: &mut Vec<NodeId>) {
        let now_us = self.advance(now_us);
        for _ in 0..budget.min(self.nodes.len()) {
            self.hand = (self.hand + 1) % self.nodes.len() as NodeId;
            let mut id = self.hand;
            while id != ROOT && self.is_idle(id, now_us) {
                let parent = self.nodes[id as usize].parent;
                self.free_node(id);
                freed.push(id);
                id = parent;
            }
        }
    }

    fn is_idle(&self, id: NodeId, now_us: u64) -> bool {
        let node = &self.nodes[id as usize];
        let extra = self.extra(node.extra);
        node.kind.is_some()
            && node.due == 0
            && node.held == 0
            && node.in_flight == 0
            && extra.rest_until_us <= now_us
            && (node.family == NONE || self.family_of(id).children == 0)
            && node.tag <= self.family_of(node.parent).v
            && (node.kind != Some(NodeKind::Level) || self.has_no_lead(id))
            && extra.bucket.is_none_or(|bucket| bucket.is_full(now_us))
    }

    fn free_node(&mut self, id: NodeId) {
        debug_assert_eq!(self.positions[id as usize], OUT);
        debug_assert_eq!(self.timer_positions[id as usize], OUT);
        if self.is_level(id) {
            self.leave_levels(id);
        }
        if self.nodes[id as usize].parent == ROOT {
            self.borrowers.remove(&id);
        }
        if self.nodes[id as usize].is_queue() && self.head_cost(id) > 1 {
            self.dear -= 1;
        }
        let node = &mut self.nodes[id as usize];
        node.kind = None;
        let (parent, family, extra) = (node.parent, node.family, node.extra);
        let above = self.family_of_mut(parent);
        above.children -= 1;
        above.heap.shrink();
        if family != NONE {
            self.families[family as usize].heap = Heap::new();
            self.free_families.push(family);
        }
        if extra != NONE {
            self.free_extras.push(extra);
        }
        self.free_nodes.push(id);
    }

    fn insert_node(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.free_nodes.pop() {
            self.nodes[id as usize] = node;
            return id;
        }
        self.nodes.push(node);
        self.positions.push(OUT);
        self.timer_positions.push(OUT);
        self.nodes.len() as NodeId - 1
    }

    pub(super) fn new_family(&mut self) -> u32 {
        let family = Family::new(self.origin);
        if let Some(id) = self.free_families.pop() {
            self.families[id as usize] = family;
            return id;
        }
        self.families.push(family);
        self.families.len() as u32 - 1
    }

    /// A bucket made later than the tree was empty when the tree was made and has filled since
    /// (rule 9), as if it had been there all the time.
    pub(super) fn set_limits(&mut self, id: NodeId, limits: &Limits, now_us: u64) {
        let in_flight_max = limits.in_flight_max.unwrap_or(u32::MAX);
        let node = &self.nodes[id as usize];
        let bucket = match self.extra(node.extra).bucket {
            Some(bucket) => bucket.resized(limits, now_us),
            None => Bucket::new(limits, self.created_us),
        };
        if node.extra != NONE || bucket.is_some() || in_flight_max != u32::MAX {
            let extra = self.extra_mut(id);
            *extra = Extra {
                bucket,
                in_flight_max,
                ..*extra
            };
        }
    }
}
